"""From a text to numbers: its bytes, or its characters or words as a vocabulary numbers them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

BYTES = 256
UNKNOWN = 0  # the number of a character or a word that the vocabulary lacks
WORD = re.compile(r"\w+|[^\w\s]")  # a word, or a mark such as a comma


class Tokens:
    """Numbers the tokens of texts.

    Args:
        kind: ``bytes`` of UTF-8, ``characters``, or ``words`` and marks, in small letters.
        vocabulary: the characters, or the words between blanks. Not used for bytes.

    Attributes:
        count: how many numbers there are, from 0.
    """

    def __init__(self, kind: str, vocabulary: str = "") -> None:
        self.kind = kind
        known = vocabulary.split(" ") if kind == "words" and vocabulary else list(vocabulary)
        self.numbers = {token: number for number, token in enumerate(known, UNKNOWN + 1)}
        self.count = BYTES if kind == "bytes" else len(self.numbers) + 1

    def __call__(self, text: str) -> np.ndarray:
        """Return the numbers of a text's tokens, int64 (T,)."""
        if self.kind == "bytes":
            return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)
        return np.array([self.numbers.get(t, UNKNOWN) for t in tokens_of(text, self.kind)], dtype=np.int64)


def tokens_of(text: str, kind: str) -> list[str]:
    """Return the characters of a text, or its words."""
    return WORD.findall(text.lower()) if kind == "words" else list(text)


def vocabulary_of(texts: Iterable[str], kind: str, most: int, least: int) -> str:
    """Return the commonest tokens of texts, as :class:`Tokens` takes them.

    They stand in falling order of their letters, so that ``$`` never comes before ``{``: both together
    would be read as a reference to another key.

    Args:
        texts: those that train.
        kind: ``bytes``, ``characters`` or ``words``.
        most: tokens at most.
        least: how often a token must occur.
    """
    if kind == "bytes":
        return ""
    counts = Counter(token for text in texts for token in tokens_of(text, kind))
    common = sorted(counts, key=lambda token: (-counts[token], token))[:most]
    kept = sorted((token for token in common if counts[token] >= least), reverse=True)
    return (" " if kind == "words" else "").join(kept)
