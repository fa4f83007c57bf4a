"""From a text to numbers: its bytes, characters or words by a vocabulary, or the tokens of a tokenizer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from cnntrain.sequences.tokenizer import ids_of, kept

BYTES = 256
KINDS = ("bytes", "characters", "words")  # all else is the file of a tokenizer
UNKNOWN = 0  # the number of a character or a word that the vocabulary lacks
WORD = re.compile(r"\w+|[^\w\s]")  # a word, or a mark such as a comma


class Tokens:
    """Numbers the tokens of texts.

    Args:
        kind: ``bytes`` of UTF-8, ``characters``, ``words`` and marks, in small letters, or the file of a
            tokenizer, which is not read.
        vocabulary: the characters, the words between blanks, or the tokenizer, packed. Not used for bytes.

    Attributes:
        words: what the tokens are called.
        numbers: the numbers of each character or word; of a tokenizer, its vocabulary.
        unknown: the number of what is not known. A tokenizer has a token of its own for that, and this number
            stands for what augmentation hides alone.
        count: how many numbers there are, from 0.

    Raises:
        UserError: the library of the tokenizer is not installed, or it is none.
    """

    def __init__(self, kind: str, vocabulary: str = "") -> None:
        self.kind, self.unknown = kind, UNKNOWN
        self.words = kind if kind in KINDS else "tokens"
        self.tokenizer = None if kind in KINDS else kept(vocabulary)
        known = vocabulary.split(" ") if kind == "words" and vocabulary else list(vocabulary)
        self.numbers = {token: number for number, token in enumerate(known, UNKNOWN + 1)}
        self.count = BYTES if kind == "bytes" else len(self.numbers) + 1
        if self.tokenizer is not None:
            self.numbers = self.tokenizer.get_vocab()
            self.unknown = max(self.numbers.values()) + 1
            self.count = self.unknown + 1

    def __call__(self, text: str) -> np.ndarray:
        """Return the numbers of a text's tokens, int64 (T,).

        Raises:
            UserError: the tokenizer can't take it.
        """
        if self.tokenizer is not None:
            return np.array(ids_of(self.tokenizer, text), dtype=np.int64)
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
