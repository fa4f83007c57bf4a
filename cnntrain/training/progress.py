"""The progress of a run, and the table of its epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from cnntrain.runs.atomic import write_atomically
from cnntrain.runs.records import EpochRow
from cnntrain.runs.safe_csv import csv_of
from cnntrain.runtime.ranks import is_main
from cnntrain.tasks.metrics import Result, RunningMean
from cnntrain.tasks.scores import TRAIN, VAL, VAL_LOSS, Figure, Scores


@dataclass
class Progress:
    """The progress of a run, as its checkpoint holds it.

    Args:
        scores: what is measured in each epoch. It is no part of the checkpoint.
        epoch: epochs that are over.
        step_in_epoch: steps of the epoch under way.
        step: steps of the run.
        best: the row of the best epoch; None before the first, or without validation.
        stale: epochs since the best one.
        history: a row for each epoch that is over.
        mean: sums of the epoch under way.
        epoch_seconds: time spent on the epoch under way, before it was interrupted.
        lr: learning rate of the last step.
        chosen: what the task has chosen on the validation images of the last epoch, see :class:`.Task`.
    """

    scores: Scores
    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best: EpochRow | None = None
    stale: int = 0
    history: list[EpochRow] = field(default_factory=list)
    mean: dict[str, Any] | None = None
    epoch_seconds: float = 0.0
    lr: float = 0.0
    chosen: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep each row of metrics.csv as text: to format thousands again would take longer than an epoch."""
        self.lines: list[str] = []

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of it. It is not copied, as it is serialized at once."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "scores"}

    @classmethod
    def from_state(cls, state: dict[str, Any], scores: Scores) -> Progress:
        """Return the progress that a checkpoint holds. Other entries, of another version, are left out.

        Raises:
            ValueError: the row of an epoch lacks a score.
        """
        check_rows(state, scores)
        return cls(scores, **{item.name: state[item.name] for item in fields(cls) if item.name in state})

    def row(self, train: RunningMean, val: Result | None, seconds: float) -> EpochRow:
        """Return the row of the epoch under way, which has just ended, as metrics.csv has it."""
        row = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "lr": self.lr,
            **{f.name: f.value_in(train) for f in self.scores.on(TRAIN)},
            **{f.name: None if val is None else f.value_in(val) for f in self.scores.on(VAL)},
            "seconds": seconds,
            "images_per_second": train.seen / seconds,
        }
        return cast(EpochRow, row)  # whose scores have names that only the task knows

    @property
    def columns(self) -> list[str]:
        """The columns of metrics.csv."""
        measured = [figure.name for figure in self.scores.epoch]
        return ["epoch", "step", "lr", *measured, "seconds", "images_per_second"]

    def end_epoch(self, row: EpochRow, monitor: Figure) -> bool:
        """Count an epoch, and return whether it is the best so far.

        Args:
            row: its row of metrics.csv; without validation, ``val_loss`` is None and no epoch is the best.
            monitor: the figure in which epochs improve.
        """
        self.epoch += 1
        self.history.append(row)
        self.step_in_epoch, self.mean, self.epoch_seconds = 0, None, 0.0
        if row["val_loss"] is None:
            return False
        if not self.is_better(row, monitor):
            self.stale += 1
            return False
        self.best, self.stale = row, 0
        return True

    def is_better(self, row: EpochRow, monitor: Figure) -> bool:
        """Return whether an epoch is better than the best so far; the loss decides between equal ones."""
        if self.best is None:
            return True
        new, best = ([figure.gain(epoch) for figure in (monitor, VAL_LOSS)] for epoch in (row, self.best))
        return new > best

    def is_stale(self, patience: int | None) -> bool:
        """Return whether the last ``patience`` epochs were all no better than the best."""
        return patience is not None and self.stale >= patience

    def write_metrics(self, folder: Path) -> None:
        """Rewrite metrics.csv from the history, so that it always agrees with the checkpoint."""
        if not is_main():
            return
        columns = self.columns
        for row in self.history[len(self.lines) :]:
            self.lines.append(csv_of([[rounded(row.get(name)) for name in columns]]))
        write_atomically(folder / "metrics.csv", "".join([csv_of([columns]), *self.lines]).encode())


def check_rows(state: Mapping[str, Any], scores: Scores) -> None:
    """Raise a ValueError if a row that a checkpoint holds lacks a score.

    Where there was no validation, the scores of validation are None, but never in the row of the best epoch.
    """
    rows = {f"history[{index}]": row for index, row in enumerate(state.get("history") or ())}
    best = {"best": state["best"]} if state.get("best") is not None else {}
    for where, row in (rows | best).items():
        for figure in scores.epoch:
            may_lack = figure.part == VAL and where != "best" and figure.name in row
            if row.get(figure.name) is None and not may_lack:
                raise ValueError(f"progress.{where} has no {figure.name}")


def rounded(value: Any) -> Any:
    """Return a value as metrics.csv shows it: floats with six significant digits."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
