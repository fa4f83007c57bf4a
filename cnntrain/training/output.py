"""The budget of a training run, its output, and the error of a run that diverged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnntrain.errors import RunFailed
from cnntrain.runs import checkpoint
from cnntrain.runs.records import EpochRow
from cnntrain.runs.run_folder import CHECKPOINTS
from cnntrain.runtime.console import Console
from cnntrain.tasks.scores import Figure

AfterEpoch = Callable[[EpochRow], None]


@dataclass(frozen=True)
class Budget:
    """The length of the training, and how often to save.

    Args:
        epochs: passes over the training set.
        monitor: the figure in which epochs improve.
        patience: the epochs without improvement after which training stops; None means never.
        save_every_steps: steps between two checkpoints within an epoch.
        save_every_minutes: minutes between two checkpoints within an epoch.
    """

    epochs: int
    monitor: Figure
    patience: int | None = None
    save_every_steps: int | None = None
    save_every_minutes: float | None = None


@dataclass(frozen=True)
class Output:
    """The folder that a training run writes to, and the observers that it notifies.

    Args:
        folder: the run folder.
        console: the console to print to.
        about: what else a checkpoint holds: configuration, class names, shape, normalisation.
        after_epoch: is given the row of each epoch, once all of it is written.
    """

    folder: Path
    console: Console
    about: dict[str, Any]
    after_epoch: AfterEpoch

    @property
    def last(self) -> Path:
        """The newest checkpoint, which a run is resumed from."""
        return self.folder / CHECKPOINTS / checkpoint.LAST

    def write_best(self, state: Mapping[str, Any]) -> None:
        """Write the checkpoint of the best epoch.

        No run resumes from it, so it leaves out what only resumption needs, two thirds of the size.
        """
        checkpoint.write(checkpoint.serialize(state), self.last.with_name(checkpoint.BEST))

    def write_last(self, state: Mapping[str, Any]) -> None:
        """Write the newest checkpoint, and keep the one before it."""
        previous = self.last.with_name(checkpoint.PREVIOUS)
        checkpoint.write(checkpoint.serialize(state), self.last, keep=previous)


def diverged(what: str, step: int, epoch: int, lr: float, last: Path) -> RunFailed:
    """Return the error that says what happened, what is kept and what to try.

    Args:
        what: what became NaN or infinite.
        step: the step of the run at which it did.
        epoch: the epoch under way.
        lr: learning rate of that step.
        last: the newest checkpoint, if there is any yet.
    """
    kept = f"the last good checkpoint is {last}" if last.exists() else "no checkpoint had been written yet"
    return RunFailed(
        f"{what} became NaN or infinite at step {step:,}, in epoch {epoch}, "
        f"at learning rate {lr:.3g}; {kept}\n"
        f"try a learning rate ten times smaller (optim.lr={lr / 10:.3g}), a warm-up "
        "(schedule.warmup=1) or gradient clipping (grad_clip=1)"
    )
