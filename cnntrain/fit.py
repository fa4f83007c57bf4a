"""Epoch after epoch: train, validate, record, checkpoint. Can be stopped at any step and resumed there."""

from __future__ import annotations

import csv
import io
import math
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cnntrain import checkpoint, loop
from cnntrain.console import Console
from cnntrain.data.loader import EvalLoader, TrainLoader
from cnntrain.errors import Interrupted, RunFailed
from cnntrain.metrics import Result, RunningMean
from cnntrain.precision import Precision
from cnntrain.run_folder import CHECKPOINTS
from cnntrain.seeding import random_state

COLUMNS = (
    "epoch",
    "step",
    "lr",
    "train_loss",
    "train_accuracy",
    "val_loss",
    "val_accuracy",
    "seconds",
    "images_per_second",
)
AfterEpoch = Callable[[Mapping[str, Any]], None]
CHECK_EVERY = 32  # steps between two looks at the loss, each of which waits for the device


@dataclass
class Progress:
    """Where a run is. All of it is in the checkpoint.

    Args:
        epoch: epochs that are over.
        step_in_epoch: steps of the epoch under way.
        step: steps of the run.
        best: the row of the best epoch; None before the first, or without validation.
        stale: epochs since the best one.
        history: a row for each epoch that is over.
        mean: sums of the epoch under way.
        epoch_seconds: time spent on the epoch under way, before it was interrupted.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    best: dict[str, Any] | None = None
    stale: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    mean: dict[str, Any] | None = None
    epoch_seconds: float = 0.0


@dataclass
class Fit:
    """A run under way.

    Args:
        folder: the run folder.
        model: what is trained.
        criterion: the loss.
        optimizer: changes the model.
        schedule: changes the optimizer's learning rate.
        precision: number format of the forward pass.
        train_batches: the training set.
        val_batches: the validation set, or None.
        epochs: passes over the training set.
        num_classes: number of classes.
        grad_clip: longest gradient allowed.
        accumulate: parts of a batch.
        early_stopping: epochs without improvement after which to stop.
        monitor: ``val_accuracy`` or ``val_loss``.
        save_every_steps: steps between two checkpoints within an epoch.
        save_every_minutes: minutes between two checkpoints within an epoch.
        after_epoch: is given the row of each epoch, once all of it is written.
        about: what else a checkpoint holds: configuration, class names, shape, normalisation.
        console: what the person sees.
        progress: where the run is.
    """

    folder: Path
    model: nn.Module
    criterion: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    precision: Precision
    train_batches: TrainLoader
    val_batches: EvalLoader | None
    epochs: int
    num_classes: int
    grad_clip: float | None
    accumulate: int
    early_stopping: int | None
    monitor: str
    save_every_steps: int | None
    save_every_minutes: float | None
    after_epoch: AfterEpoch
    about: dict[str, Any]
    console: Console
    progress: Progress = field(default_factory=Progress)

    def run(self) -> None:
        """Train until the last epoch, or until early stopping ends the run.

        Raises:
            Interrupted: a signal came; the checkpoint is written.
            RunFailed: the loss became NaN or infinite, or the folder can't be written.
        """
        self.write_metrics()
        self.console.headings()
        with StopSignals() as self.signals:
            while self.progress.epoch < self.epochs and not self.is_stale():
                self.one_epoch()
                if self.signals.received is not None:
                    self.stop(self.signals.received)
        if self.progress.epoch < self.epochs:
            self.console.line(f"stopped early: no better {self.monitor} for {self.early_stopping} epochs")

    def is_stale(self) -> bool:
        """Say whether early stopping ends the run."""
        return self.early_stopping is not None and self.progress.stale >= self.early_stopping

    def one_epoch(self) -> None:
        """Train on what the epoch still has to offer, validate, record and write the checkpoint."""
        progress = self.progress
        self.lr = self.next_lr = lr_of(self.optimizer)
        self.mean = RunningMean(self.train_batches.device)
        if progress.mean is not None:
            self.mean.load_state_dict(progress.mean)
        self.begin = self.saved_at = time.monotonic()
        total = len(self.train_batches)
        with self.console.bar(
            total, progress.step_in_epoch, f"epoch {progress.epoch + 1}/{self.epochs}"
        ) as self.bar:
            loop.train_epoch(
                self.model,
                self.train_batches.epoch(progress.epoch, start=progress.step_in_epoch),
                self.criterion,
                self.precision.wrap(self.optimizer),
                self.schedule,
                precision=self.precision,
                grad_clip=self.grad_clip,
                accumulate=self.accumulate,
                mean=self.mean,
                after_step=self.after_step,
            )
        self.check_finite()
        seconds = progress.epoch_seconds + time.monotonic() - self.begin
        result = None if self.val_batches is None else self.validate(self.val_batches)
        self.end_epoch(result, seconds)

    def after_step(self) -> None:
        """Count a step; now and then look at the loss and write a checkpoint; stop if a signal came."""
        progress = self.progress
        progress.step += 1
        progress.step_in_epoch += 1
        self.lr, self.next_lr = self.next_lr, lr_of(self.optimizer)  # the schedule has set the next one
        self.bar.update()
        if progress.step % CHECK_EVERY == 0:
            self.check_finite()
        if self.signals.received is not None:
            self.save_in_epoch()
            self.stop(self.signals.received)
        minutes = (time.monotonic() - self.saved_at) / 60
        if (self.save_every_steps and progress.step % self.save_every_steps == 0) or (
            self.save_every_minutes and minutes >= self.save_every_minutes
        ):
            self.save_in_epoch()

    def stop(self, signal_number: int) -> None:
        """End the run because of a signal, once its checkpoint is written."""
        progress = self.progress
        raise Interrupted(
            f"stopped by {signal.Signals(signal_number).name} after step {progress.step:,}, "
            f"{progress.epoch} of {self.epochs} epochs done\nto go on: cnntrain resume {self.folder}",
            signal_number,
        )

    def validate(self, batches: EvalLoader) -> Result:
        """Evaluate on the validation set."""
        result = loop.evaluate(self.model, batches, self.criterion, self.num_classes, self.precision)
        if not math.isfinite(result.loss):
            raise self.diverged("the validation loss", self.progress.step)
        return result

    def end_epoch(self, result: Result | None, seconds: float) -> None:
        """Record an epoch: the row on the screen and in metrics.csv, the checkpoints."""
        progress = self.progress
        progress.epoch += 1
        row = {
            "epoch": progress.epoch,
            "step": progress.step,
            "lr": self.lr,
            "train_loss": self.mean.loss,
            "train_accuracy": self.mean.accuracy,
            "val_loss": None if result is None else result.loss,
            "val_accuracy": None if result is None else result.accuracy,
            "seconds": seconds,
            "images_per_second": self.mean.seen / seconds,
        }
        progress.history.append(row)
        progress.step_in_epoch, progress.mean, progress.epoch_seconds = 0, None, 0.0
        is_best = result is not None and self.is_better(row)
        progress.stale = 0 if is_best else progress.stale + (result is not None)
        if is_best:
            progress.best = row
        self.save(is_best)
        self.write_metrics()
        self.console.row(row, self.epochs, is_best)
        self.after_epoch(row)

    def is_better(self, row: dict[str, Any]) -> bool:
        """Say whether an epoch is better than the best so far; the loss decides between equal accuracies."""
        best = self.progress.best
        if best is None:
            return True
        if self.monitor == "val_loss":
            return bool(row["val_loss"] < best["val_loss"])
        return (row["val_accuracy"], -row["val_loss"]) > (best["val_accuracy"], -best["val_loss"])

    def save_in_epoch(self) -> None:
        """Write a checkpoint in the middle of an epoch."""
        self.check_finite()
        self.progress.mean = self.mean.state_dict()
        elapsed = self.progress.epoch_seconds
        self.progress.epoch_seconds += time.monotonic() - self.begin
        self.save(is_best=False)
        self.progress.epoch_seconds = elapsed
        self.saved_at = time.monotonic()

    def save(self, is_best: bool) -> None:
        """Write last.pt and, if this is the best epoch or there is no validation to choose one, best.pt."""
        weights = self.model.state_dict()
        if not all(bool(w.isfinite().all()) for w in weights.values()):
            raise self.diverged("weights", self.progress.step)
        data = checkpoint.serialize(
            {
                **self.about,
                "model": weights,
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "scaler": self.precision.scaler.state_dict(),
                "progress": asdict(self.progress),
                "random": random_state(),
            }
        )
        checkpoints = self.folder / CHECKPOINTS
        if is_best or (self.val_batches is None and self.progress.step_in_epoch == 0):
            checkpoint.write(data, checkpoints / checkpoint.BEST)
        checkpoint.write(data, checkpoints / checkpoint.LAST, keep=checkpoints / checkpoint.PREVIOUS)

    def restore(self, state: dict[str, Any]) -> None:
        """Go to where a checkpoint was. The generators are set by the caller, last of all."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if state["scaler"]:
            self.precision.scaler.load_state_dict(state["scaler"])
        self.progress = Progress(**state["progress"])

    def write_metrics(self) -> None:
        """Write metrics.csv anew from the history, so that it always agrees with the checkpoint."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: rounded(value) for name, value in row.items()} for row in self.progress.history
        )
        checkpoint.write_atomically(self.folder / "metrics.csv", text.getvalue().encode())

    def check_finite(self) -> None:
        """Raise RunFailed if a loss of this epoch was NaN or infinite."""
        bad = self.mean.diverged_at()
        if bad is not None:
            first_step = self.progress.step - self.progress.step_in_epoch + 1
            raise self.diverged(
                "the loss", first_step + bad // min(self.accumulate, self.train_batches.batches.batch_size)
            )

    def diverged(self, what: str, step: int) -> RunFailed:
        """Return the error of a run whose loss is no number any more."""
        last = self.folder / CHECKPOINTS / checkpoint.LAST
        kept = (
            f"the last good checkpoint is {last}" if last.exists() else "no checkpoint had been written yet"
        )
        return RunFailed(
            f"{what} became NaN or infinite at step {step:,}, in epoch {self.progress.epoch + 1}, "
            f"at learning rate {self.lr:.3g}; {kept}\n"
            f"try a learning rate ten times smaller (optim.lr={self.lr / 10:.3g}), a warm-up "
            "(schedule.warmup=1) or shorter gradients (grad_clip=1)"
        )


class StopSignals:
    """Notes Ctrl-C and SIGTERM, so that the step under way can be finished. A second Ctrl-C ends at once."""

    NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        """Take over the signals, which only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self.note) for number in self.NUMBERS}
        return self

    def __exit__(self, *error: object) -> None:
        """Give the signals back."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; the default handler serves the next one."""
        self.received = number
        signal.signal(number, self.before[number])


def rounded(value: Any) -> Any:
    """Return a value as metrics.csv shows it: floats with six significant digits."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def lr_of(optimizer: Optimizer) -> float:
    """Return the learning rate of the first group of parameters."""
    return float(optimizer.param_groups[0]["lr"])
