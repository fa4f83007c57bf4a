"""Weights & Biases: a run in its folder, to be sent or sent at once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from cnntrain.errors import UserError
from cnntrain.loggers.base import Logged, Logger
from cnntrain.loggers.images import grid
from cnntrain.runs.records import EpochRow, RunSummary
from cnntrain.runtime.imports import needed
from cnntrain.text import argument


class WandB(Logger):
    """Writes a Weights & Biases run; ``wandb sync`` sends one that was written offline.

    Args:
        project: the name of the project.
        mode: ``offline``, or ``online`` to send it at once.
    """

    def __init__(self, project: str, mode: str) -> None:
        needed("wandb", "logger=wandb")
        if mode not in ("offline", "online"):
            raise UserError(f"logger.wandb.mode={mode} is not possible: it takes offline or online")
        self.project = project
        self.mode: Any = mode

    def begin(self, run: Logged) -> None:
        """Open a run, or go on with it under the same name."""
        import wandb

        self.wandb, self.logged = wandb, run
        self.run = wandb.init(
            project=self.project,
            dir=run.folder,
            mode=self.mode,
            id=hashlib.blake2b(os.fsencode(run.folder.absolute()), digest_size=6).hexdigest(),
            name=run.folder.name,
            group=run.sweep,
            resume="allow" if self.mode == "online" else None,
            config=run.parameters(),
            settings=wandb.Settings(silent=True, console="off"),
        )
        if not run.history and run.images is not None:
            self.run.log({"first images": wandb.Image(grid(run.images).permute(1, 2, 0).numpy())}, step=0)

    def epoch(self, row: EpochRow) -> None:
        """Record the figures of an epoch."""
        self.run.log(self.logged.figures_in(row), step=row["step"])

    def end(self, summary: RunSummary, confusion: Tensor | None) -> None:
        """Record the test figures and the confusion matrix."""
        self.run.summary.update(self.logged.tested_in(summary))
        if confusion is not None:
            self.run.log({"confusion": self.wandb.Image(confusion.numpy())}, step=summary["steps"] + 1)

    def close(self) -> None:
        """Write the rest."""
        self.run.finish()

    def opened_by(self) -> tuple[str, str]:
        """Return where the run is shown or, of one that is offline, the command that sends it."""
        if self.mode == "online":
            return "Weights & Biases", str(self.run.url)
        return "Weights & Biases", f"wandb sync {argument(Path(self.run.dir).parent)}"
