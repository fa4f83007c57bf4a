"""What the sequences of a data set are, in words."""

from __future__ import annotations

from cnntrain.config.inputs import SERIES
from cnntrain.config.sections import DataSettings
from cnntrain.runtime.console import count
from cnntrain.sequences.tokens import Tokens


def steps_in_words(data: DataSettings) -> str:
    """Return ``up to 29 steps of 12 features``, or what a text is made of."""
    if data.inputs == SERIES:
        return f"up to {count(data.steps, 'step')} of {count(data.features, 'feature')}"
    tokens = Tokens(data.tokens, data.vocabulary)
    known = len(tokens.numbers) or tokens.count
    return f"up to {data.steps:,} {tokens.words}, of a vocabulary of {known:,}"
