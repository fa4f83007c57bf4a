"""Sequences of unequal length as they lie in files: time series and texts, each with a class. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntrain.runtime.imports import lazily

if TYPE_CHECKING:
    from cnntrain.sequences.japanese_vowels import JapaneseVowels as JapaneseVowels
    from cnntrain.sequences.series import SeriesFolder as SeriesFolder
    from cnntrain.sequences.texts import TextFolder as TextFolder

__getattr__, __dir__ = lazily(
    __name__,
    {"JapaneseVowels": "japanese_vowels", "SeriesFolder": "series", "TextFolder": "texts"},
)
