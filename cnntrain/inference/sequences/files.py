"""Files of sequences for ``predict``: a series a CSV file, one step a row, or a text in UTF-8."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.config.inputs import TEXT
from cnntrain.errors import UserError
from cnntrain.inference.model import Trained
from cnntrain.inference.prediction import Prediction
from cnntrain.sequences.layout import contents
from cnntrain.sequences.series import parsed
from cnntrain.sequences.texts import text_of
from cnntrain.text import printable


def predictions(trained: Trained, files: Sequence[Path], top: int, batch_size: int) -> Iterator[Prediction]:
    """Yield what a model makes of each file, in order.

    Args:
        trained: the model.
        files: the files of sequences.
        top: how many of the likeliest classes.
        batch_size: sequences that the model sees at a time.
    """
    for first in range(0, len(files), batch_size):
        batch = files[first : first + batch_size]
        found = [sequence_in(file, trained.inputs, trained.features) for file in batch]
        good = [value for value, reason in found if not reason]
        named: Iterator[Any] = iter(())
        if good:
            named = iter(trained.task.decode(trained.predict(good), trained.class_names, top))
        for file, (_, reason) in zip(batch, found, strict=True):
            yield Prediction(file, reason=reason) if reason else Prediction(file, next(named))


def sequence_in(file: Path, inputs: str, features: int) -> tuple[np.ndarray | str, str]:
    """Return what a file holds, a series or a text, and ""; or why it holds none.

    Args:
        file: its path.
        inputs: ``series`` or ``text``.
        features: the number of features that a step of a series must have.
    """
    try:
        content = contents(file)
        if inputs == TEXT:
            return text_of(content, str(file)), ""
        found = parsed(content, str(file))
    except UserError as error:
        return "", str(error).removeprefix(printable(file)).lstrip(": ")
    if found.shape[1] != features:
        return "", f"has {found.shape[1]} features, and the model takes {features}"
    return found, ""
