"""The results of a run: the scores that it may be ranked by, and its cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnntrain.runs.records import RunSummary
from cnntrain.tasks.scores import Scores

# What a run has cost, and how that is shown. None has the name of a key.
COSTS: dict[str, Callable[[float], str]] = {
    "epochs_done": "{:g}".format,
    "seconds": lambda seconds: f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.2f}",
}


def figures_of(scores: Scores) -> tuple[str, ...]:
    """Return the names of the results of a run: those that it may be ranked by, and what it has cost."""
    return (*scores.monitors, *COSTS)


def headline(summary: RunSummary, scores: Scores) -> dict[str, Any]:
    """Return the figures of a finished run that it is ranked by, and its seed.

    Raises:
        KeyError: the summary lacks a figure.
        TypeError: a figure is of another type than ``train`` writes.
    """
    best = summary["best"] or summary["final"]
    validated = {figure.name: figure.in_row(best) for figure in scores.ranked}
    others = {
        "epochs_done": summary["epochs"],
        "seconds": summary["train_seconds"],
        "seed": summary["seed"],
    }
    needed = [*others.values(), summary["test"][scores.main.name]]
    given = [value for value in validated.values() if value is not None]
    if not all(isinstance(value, int | float) for value in [*needed, *given]):
        raise TypeError("a figure is not a number")
    return {**validated, **others}
