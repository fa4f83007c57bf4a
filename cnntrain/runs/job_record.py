"""What a job of a sweep left behind: its state, and the figures that it is ranked by."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnntrain.runs import run_files

RECORD = "job.json"


def headline(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a finished job that it is ranked by. Test data are not used for that.

    Raises:
        KeyError: the summary lacks a figure.
        TypeError: a figure is of another type than ``train`` writes.
    """
    best = summary["best"] or summary["final"]
    figures = {
        "val_accuracy": best["val_accuracy"],
        "val_loss": best["val_loss"],
        "epochs_done": summary["epochs"],
        "seconds": summary["train_seconds"],
        "seed": summary["seed"],
    }
    needed = [figures[name] for name in ("epochs_done", "seconds", "seed")] + [summary["test"]["accuracy"]]
    validated = [value for name, value in figures.items() if name.startswith("val_") and value is not None]
    if not all(isinstance(value, int | float) for value in [*needed, *validated]):
        raise TypeError("a figure is no number")
    return figures


def record_of(folder: Path) -> dict[str, Any] | None:
    """Return a job's record; None before it has begun, or if it is damaged."""
    try:
        record = run_files.read_json(folder / RECORD)
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and "state" in record else None


def is_done(folder: Path) -> bool:
    """Say whether the job of a folder is finished, or was stopped for good."""
    record = record_of(folder)
    return record is not None and record["state"] in ("finished", "pruned")
