"""What a logger gets to know about a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cnntrain.config.schema import leaves, shown
from cnntrain.runs.run_folder import SWEEP

Row = Mapping[str, Any]
NAMES = {
    "train/loss": "train_loss",
    "train/accuracy": "train_accuracy",
    "val/loss": "val_loss",
    "val/accuracy": "val_accuracy",
    "lr": "lr",
    "images_per_second": "images_per_second",
}


@dataclass(frozen=True)
class Logged:
    """What a logger gets to know about a run when it begins.

    Args:
        folder: of the run.
        config: whole, as plain types.
        history: the rows of the epochs that are over, if the run is resumed.
        images: some of the training set as the network gets them, uint8 (N, C, H, W).
    """

    folder: Path
    config: Mapping[str, Any]
    history: Sequence[Row]
    images: Tensor

    @property
    def sweep(self) -> str | None:
        """The name of the sweep that the run belongs to."""
        return self.folder.parent.name if (self.folder.parent / SWEEP).exists() else None

    def parameters(self) -> dict[str, str]:
        """Return the hyperparameters: every key of the configuration, with its value as typed."""
        return {key: shown(value) for key, value in leaves(self.config)}


class Logger:
    """Takes the figures of one run."""

    def begin(self, run: Logged) -> None:
        """Open the record of a run, or go on with it."""

    def epoch(self, row: Row) -> None:
        """Record an epoch: a row of metrics.csv."""

    def end(self, summary: Mapping[str, Any], confusion: Tensor) -> None:
        """Record how the run ended: summary.json, and the confusion matrix as an image, uint8 (H, W, 3)."""

    def close(self) -> None:
        """Write out what is not written yet."""

    def opened_by(self) -> tuple[str, str] | None:
        """Return what shows the record, and the command that does so; None if nothing does."""
        return None
