"""What a trained model makes of one image file, and many of them as CSV or JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cnntrain.inference.model import Trained
from cnntrain.runs.named_output import json_of
from cnntrain.runs.safe_csv import csv_of
from cnntrain.text import shown_path


@dataclass(frozen=True)
class Prediction:
    """What the model makes of a file.

    Args:
        file: the file as typed, or below the folder that was typed.
        outputs: names and values, such as the likeliest classes with their probabilities, the first one the
            prediction; empty if it failed.
        reason: why it could not be read.
        mean: the mean of the pixels that the network gets, from 0 to 1.
        written: files that were written for it, and what each is.
        objects: the objects found in it, float32 (K, 6): left, top, right and bottom in pixels of the file,
            score and class; None: the model finds none.
    """

    file: Path
    outputs: tuple[tuple[str, float], ...] = ()
    reason: str = ""
    mean: float = 0.0
    written: tuple[tuple[str, Path], ...] = ()
    objects: Tensor | None = None


def folder_of(files: Sequence[Path]) -> Path | None:
    """Return the folder that holds all of several files; None if there is none but the current one."""
    if len(files) < 2 or len({file.is_absolute() for file in files}) > 1:
        return None
    folder = Path(os.path.commonpath([file.parent for file in files]))
    return folder if folder.parts and folder != Path(folder.anchor) else None


def as_csv(found: Sequence[Prediction], top: int, named: tuple[str, str]) -> str:
    """Return a row for each file; the columns have the names that the task gives them."""
    names = [f"{name}{'' if number == 1 else f'_{number}'}" for number in range(1, top + 1) for name in named]
    files = list(dict.fromkeys(kind for prediction in found for kind, _ in prediction.written))
    rows: list[list[object]] = [["file", *names, *files, "error"]]
    for prediction in found:
        values = [value for name, share in prediction.outputs for value in (name, f"{share:.6g}")]
        values += [""] * (2 * top - len(values))
        written = dict(prediction.written)
        rows.append([prediction.file, *values, *(written.get(kind, "") for kind in files), prediction.reason])
    return csv_of(rows)


def as_json(trained: Trained, found: Sequence[Prediction]) -> str:
    """Return all of it for programs."""
    task = trained.task
    good = [
        {
            "file": str(p.file),
            task.listed: [dict(zip(task.named, pair, strict=True)) for pair in p.outputs],
            **{kind: str(path) for kind, path in p.written},
        }
        for p in found
        if not p.reason
    ]
    failed = [{"file": str(p.file), "reason": p.reason} for p in found if p.reason]
    return json_of({"checkpoint": shown_path(trained.path), "predictions": good, "failed": failed})
