"""All sequences of a source in memory, checked; and the facts that ``auto`` stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnntrain.errors import UserError, describe_error
from cnntrain.sequences.tokens import Tokens, vocabulary_of
from cnntrain.text import printable

MOST_STEPS = 1000  # that ``data.steps=auto`` takes; of longer sequences the rest is cut off


@dataclass(frozen=True)
class Sequences:
    """Sequences in memory.

    Args:
        values: the values of each, float32 (T, F), or a text.
        labels: the labels of each.
        class_names: the name of each class.
        names: what messages call each.
    """

    values: list[Any]
    labels: np.ndarray
    class_names: tuple[str, ...]
    names: list[str]


def read(source: Any, inputs: str, advance: Callable[[int], object] = lambda number: None) -> Sequences:
    """Read all samples of a map-style data set of (sequence, class number) pairs.

    The names of the classes are its ``classes``, if it has them.

    Args:
        source: the source with ``__len__`` and ``__getitem__``.
        inputs: ``series`` or ``text``: what a sequence is.
        advance: called with the number of sequences read.

    Raises:
        UserError: it is no such data set, or a sample is not what it should be; it is named.
    """
    kind = type(source).__name__
    if not hasattr(source, "__len__") or not hasattr(source, "__getitem__"):
        raise UserError(f"{kind} is not a data set: it needs __len__ and __getitem__")
    if not len(source):
        raise UserError(f"{kind} holds no sequences")
    names = list(getattr(source, "files", None) or (f"{kind}[{index}]" for index in range(len(source))))
    check: Callable[[Any], Any] = text if inputs == "text" else series
    values, labels = [], []
    for index, name in enumerate(names):
        try:
            value, label = source[index]
            values.append(check(value))
            labels.append(int(label))
        except UserError:  # which says it all
            raise
        except Exception as error:  # whatever a data set of the user's may raise
            raise UserError(f"{printable(name)}: {describe_error(error)}") from error
        if inputs == "series" and values[0].shape[1] != values[-1].shape[1]:
            raise UserError(
                f"{printable(name)} has {values[-1].shape[1]} features, and {printable(names[0])} has "
                f"{values[0].shape[1]}: all sequences must have the same number"
            )
        advance(1)
    own = getattr(source, "classes", None)
    named = tuple(map(str, own if own is not None else range(max(labels) + 1)))
    wrong = next((label for label in labels if not 0 <= label < len(named)), None)
    if wrong is not None:
        raise UserError(f"{kind}: label {wrong} is outside the {len(named)} classes")
    return Sequences(values, np.array(labels, dtype=np.int64), named, names)


def series(value: Any) -> np.ndarray:
    """Return a time series, float32 (T, F), of an array or a tensor (T, F), or (T,) of a single feature.

    Raises:
        ValueError: it is none.
    """
    found: np.ndarray = np.asarray(value, dtype=np.float32)
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or 0 in found.shape:
        raise ValueError(f"a sequence is an array (steps, features) with one step or more, not {found.shape}")
    bad = np.argwhere(~np.isfinite(found))
    if len(bad):
        step, feature = bad[0]
        raise ValueError(f"step {step + 1:,}, feature {feature + 1} is {found[step, feature]}")
    return found


def text(value: Any) -> str:
    """Return a text.

    Raises:
        TypeError, ValueError: it is none, or holds nothing.
    """
    if not isinstance(value, str):
        raise TypeError(f"a text is a str, not {type(value).__name__}")
    if not value.strip():
        raise ValueError("it holds no text")
    return value


def facts(train: Sequences, test: Sequences, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``auto`` stands for in the group ``data``.

    Args:
        train: what trains and validates; normalisation and vocabulary come from it alone.
        test: what tests.
        data: the group.
    """
    found: dict[str, Any] = {"num_classes": max(2, len(train.class_names))}
    if data["inputs"] == "text":
        how = data["tokens"], data["vocabulary_size"], data["min_count"]
        vocabulary = data["vocabulary"]
        if vocabulary == "auto":
            vocabulary = vocabulary_of(train.values, *how)
        tokens = Tokens(data["tokens"], vocabulary)
        lengths = [len(tokens(value)) for part in (train, test) for value in part.values]
        found["vocabulary"] = vocabulary
    else:
        lengths = [len(value) for part in (train, test) for value in part.values]
        together = np.concatenate(train.values).astype(np.float64)
        spread = together.std(0)
        found["features"] = together.shape[1]
        found["mean"] = rounded(together.mean(0))
        found["std"] = rounded(np.where(spread > 0, spread, 1.0))
    found["steps"] = min(max(1, *lengths), MOST_STEPS)
    return found


def rounded(values: Sequence[float] | np.ndarray) -> list[float]:
    """Return numbers of 6 digits."""
    return [float(f"{value:.6g}") for value in values]
