"""What a logger is given about a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cnntrain.config.keys import leaves
from cnntrain.runs.records import EpochRow, RunSummary
from cnntrain.runs.run_folder import SWEEP
from cnntrain.tasks.scores import TEST, Scores
from cnntrain.text import shown


@dataclass(frozen=True)
class Logged:
    """What a logger is given about a run when it begins.

    Args:
        folder: the run folder.
        config: the whole configuration, as plain types.
        scores: the scores of its task.
        history: the rows of the epochs that are over, if the run is resumed.
        images: some of the training set as the network gets them, uint8 (N, C, H, W), with masks
            over them if pixels are labelled; None of sequences.
    """

    folder: Path
    config: Mapping[str, Any]
    scores: Scores
    history: Sequence[EpochRow]
    images: Tensor | None

    @property
    def sweep(self) -> str | None:
        """The name of the sweep that the run belongs to."""
        return self.folder.parent.name if (self.folder.parent / SWEEP).exists() else None

    def parameters(self) -> dict[str, str]:
        """Return the hyperparameters: every key of the configuration, with its value as typed."""
        return {key: shown(value) for key, value in leaves(self.config)}

    def figures_in(self, row: EpochRow) -> dict[str, float]:
        """Return what is recorded of an epoch, by the names that loggers use, such as ``val/loss``."""
        measured = {figure.tag: figure.in_row(row) for figure in self.scores.epoch}
        others = {"lr": row["lr"], "images_per_second": row["images_per_second"]}
        return {tag: value for tag, value in (measured | others).items() if value is not None}

    def tested_in(self, summary: RunSummary) -> dict[str, float]:
        """Return what is recorded of the test, by the names that loggers use, such as ``test/loss``."""
        return {figure.tag: summary["test"][figure.score.name] for figure in self.scores.on(TEST)}


class Logger:
    """Takes the figures of one run."""

    def begin(self, run: Logged) -> None:
        """Open the record of a run, or go on with it."""

    def epoch(self, row: EpochRow) -> None:
        """Record an epoch: a row of metrics.csv."""

    def end(self, summary: RunSummary, confusion: Tensor | None) -> None:
        """Record how the run ended.

        Args:
            summary: what summary.json says.
            confusion: the confusion matrix as an image, uint8 (H, W, 3); None if the task has none.
        """

    def close(self) -> None:
        """Write out what is not written yet."""

    def opened_by(self) -> tuple[str, str] | None:
        """Return what shows the record, and the command that does so; None if nothing does."""
        return None
