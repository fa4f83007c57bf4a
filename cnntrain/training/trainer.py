"""Epoch after epoch: train, validate, record, checkpoint. A run can be stopped and resumed at any step."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from cnntrain import loop
from cnntrain.compute import ddp
from cnntrain.compute.micro_batches import is_out_of_memory, out_of_memory
from cnntrain.compute.precision import Precision
from cnntrain.data.loader import EvalLoader, TrainLoader
from cnntrain.errors import Interrupted, RunFailed, UserError
from cnntrain.optim import schedule_free
from cnntrain.optim.ema import MovingAverage
from cnntrain.optim.freezing import Freezing
from cnntrain.optim.schedules import lr_of
from cnntrain.runs import checkpoint
from cnntrain.runs.checkpoint_schema import NOT_FINITE, first_not_finite, is_finite
from cnntrain.runs.run_folder import CHECKPOINTS
from cnntrain.runtime import distributed
from cnntrain.runtime.console import Console
from cnntrain.runtime.ranks import is_main, world_size
from cnntrain.runtime.rng import random_state
from cnntrain.runtime.signals import StopSignals
from cnntrain.tasks import losses, metrics
from cnntrain.tasks.losses import weigher
from cnntrain.tasks.metrics import Result
from cnntrain.text import argument
from cnntrain.training.divergence import diverged
from cnntrain.training.doctor.diagnosis import show_finding
from cnntrain.training.doctor.doctor import Doctor
from cnntrain.training.epoch_table import EpochScreen
from cnntrain.training.progress import Progress
from cnntrain.training.restoring import Fresh

AfterEpoch = Callable[[Mapping[str, Any]], None]
CHECK_EVERY = 32  # steps between two looks at the loss; each look waits for the device
AGREE_EVERY = 8  # steps after which the processes of a run ask each other whether to stop or to save


@dataclass
class Fit:
    """A run under way.

    Args:
        folder: the run folder.
        model: what is trained.
        criterion: the loss in training.
        val_criterion: the loss in evaluation.
        optimizer: changes the model.
        schedule: changes the optimizer's learning rate.
        precision: numeric precision of the forward pass.
        train_batches: the training set.
        val_batches: the validation set, or None.
        freezing: keeps some parameters as they are.
        fresh: what optimizer and schedule keep before the first step.
        epochs: passes over the training set.
        num_classes: number of classes.
        grad_clip: maximum gradient norm.
        accumulate: micro-batches of a batch.
        early_stopping: epochs without improvement after which to stop.
        monitor: ``val_accuracy`` or ``val_loss``.
        save_every_steps: steps between two checkpoints within an epoch.
        save_every_minutes: minutes between two checkpoints within an epoch.
        after_epoch: called with the row of each epoch, once all of it is written.
        about: what else a checkpoint holds: configuration, class names, shape, normalisation.
        console: what the user sees.
        doctor: observes the training; None without one.
        average: moving average of the weights; if there is one, it is what is validated and kept.
        has_idle: whether some parameters take no part in the loss.
        progress: where the run is.
    """

    folder: Path
    model: nn.Module
    criterion: nn.Module
    val_criterion: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    precision: Precision
    train_batches: TrainLoader
    val_batches: EvalLoader | None
    freezing: Freezing
    fresh: Fresh
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
    doctor: Doctor | None = None
    average: MovingAverage | None = None
    has_idle: bool = False
    progress: Progress = field(default_factory=Progress)

    def __post_init__(self) -> None:
        """Note which buffers are not finite before the first step, such as a minimum so far."""
        self.not_finite = [name for name, b in self.model.named_buffers() if not is_finite(b)]
        self.is_checked = False

    def run(self) -> None:
        """Train until the last epoch, or until early stopping ends the run.

        Raises:
            Interrupted: a signal came; the checkpoint is written.
            RunFailed: the loss became NaN or infinite, or the folder can't be written.
        """
        self.progress.write_metrics(self.folder)
        self.screen = EpochScreen(self.console, self.epochs)
        self.together = ddp.parallel(self.model, self.train_batches.share, self.has_idle)
        with StopSignals() as self.signals:
            while self.progress.epoch < self.epochs and not self.progress.is_stale(self.early_stopping):
                self.one_epoch_within_memory()
                self.stop_if_asked(*distributed.agreed(self.signals.received))
        if self.progress.epoch < self.epochs:
            self.console.line(f"stopped early: no better {self.monitor} for {self.early_stopping} epochs")

    def one_epoch_within_memory(self) -> None:
        """Train an epoch; if the memory runs out, say how to go on."""
        try:
            self.one_epoch()
        except RuntimeError as error:
            if distributed.UNFINISHED in str(error):
                raise RunFailed(
                    "model: some parameters take part in some steps only, which several processes can't "
                    "train: start it without torchrun"
                ) from error
            if not is_out_of_memory(error):
                raise
            batch_size = self.train_batches.batches.batch_size
            raise out_of_memory(self.folder, self.progress.step, self.accumulate, batch_size) from error

    def one_epoch(self) -> None:
        """Train on what the epoch still has to offer, validate, record and write the checkpoint."""
        progress = self.progress
        if self.freezing.begin_epoch(self.model, progress.epoch):  # the gradients to average are others now
            self.together = ddp.parallel(self.model, self.train_batches.share, self.has_idle)
        self.next_lr = lr_of(self.optimizer)
        self.mean = metrics.running_mean(self.train_batches.device, self.train_batches.share)
        if progress.mean is not None:
            self.mean.load_state_dict(progress.mean)
        self.begin = self.saved_at = time.monotonic()
        total = len(self.train_batches)
        name, after = f"epoch {progress.epoch + 1}/{self.epochs}", total * (self.epochs - progress.epoch - 1)
        look: dict[str, Any] = {"after": after, "loss": lambda: self.mean.loss_so_far}
        with self.console.bar(total, progress.step_in_epoch, name, **look) as self.bar:
            batches = self.train_batches.epoch(progress.epoch, start=progress.step_in_epoch)
            batches = self.freezing.keep(self.model, batches)
            batches = losses.weighed(batches, weigher(self.criterion), self.train_batches.share)
            loop.train_epoch(
                self.together,
                batches if self.doctor is None else self.doctor.watch(batches, resumed=progress.step > 0),
                self.criterion,
                self.precision.wrap(self.optimizer),
                None if self.waits_for_epochs else self.schedule,
                precision=self.precision,
                grad_clip=self.grad_clip,
                accumulate=self.accumulate,
                mean=self.mean,
                after_step=self.after_step,
            )
        self.check_finite()
        self.mean = self.mean.whole()
        seconds = progress.epoch_seconds + time.monotonic() - self.begin
        result = None if self.val_batches is None else self.validate(self.val_batches)
        self.end_epoch(result, seconds)

    def after_step(self) -> None:
        """Count a step; now and then look at the loss and write a checkpoint; stop if a signal came."""
        progress = self.progress
        progress.step += 1
        progress.step_in_epoch += 1
        progress.lr, self.next_lr = self.next_lr, lr_of(self.optimizer)  # the schedule has set the next one
        if self.average is not None:
            self.average.update(self.model)
        self.bar.update()
        if not self.is_checked:
            self.check_checkpoint()
        if self.doctor is not None:
            finding = self.doctor.after_step(self.mean)
            if finding is not None:
                with self.bar.external_write_mode():
                    show_finding(self.console, finding)
        if progress.step % CHECK_EVERY == 0:
            self.check_finite()
        received, is_time = self.asked()
        if received or is_time or (self.save_every_steps and progress.step % self.save_every_steps == 0):
            self.save_in_epoch()
        self.stop_if_asked(received)

    def check_checkpoint(self) -> None:
        """See after the first step, before it costs an epoch, whether a checkpoint could be read again.

        Raises:
            UserError: it can't, because of what a class of the user's keeps.
        """
        self.is_checked = True
        if is_main():
            self.fresh.check_before_writing({**self.about, "model": self.model.state_dict(), **self.parts()})

    def parts(self) -> dict[str, Any]:
        """Return what only going on from a checkpoint takes, beside weights and random generators."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
        }

    def asked(self) -> tuple[int, ...]:
        """Return the signal that has come to any process, or 0, and whether minutes ask for a checkpoint."""
        if world_size() > 1 and self.progress.step % AGREE_EVERY:
            return 0, False
        minutes = (time.monotonic() - self.saved_at) / 60
        is_time = self.save_every_minutes is not None and minutes >= self.save_every_minutes
        return distributed.agreed(self.signals.received, is_time)

    def stop_if_asked(self, signal_number: int) -> None:
        """End the run because of a signal, if one came; its checkpoint is written."""
        if not signal_number:
            return
        progress = self.progress
        raise Interrupted(
            f"stopped by {signal.Signals(signal_number).name} after step {progress.step:,}, "
            f"{progress.epoch} of {self.epochs} epochs done\n"
            f"to go on: cnntrain resume {argument(self.folder)}",
            signal_number,
        )

    @property
    def waits_for_epochs(self) -> bool:
        """Whether the schedule looks at the monitored value of each epoch, rather than at each step."""
        return isinstance(self.schedule, ReduceLROnPlateau)

    @property
    def result(self) -> nn.Module:
        """The model that is evaluated and kept: with averaged weights, if there is a moving average."""
        return self.model if self.average is None else self.average.model

    def validate(self, batches: EvalLoader) -> Result:
        """Evaluate on the validation set."""
        followed = self.console.followed(batches, "validating")
        with schedule_free.evaluated(self.model, self.optimizer):
            model = self.result
            ddp.same_weights(model)  # each process has batch statistics of its own
            result = loop.evaluate(model, followed, self.val_criterion, self.num_classes, self.precision)
        result = metrics.whole(result)
        if not math.isfinite(result.loss):
            raise self.diverged("the validation loss", self.progress.step)
        return result

    def end_epoch(self, result: Result | None, seconds: float) -> None:
        """Record an epoch: the row on the screen and in metrics.csv, the checkpoints."""
        row = self.progress.row(self.mean, result, seconds)
        is_best = self.progress.end_epoch(row, self.monitor)
        if self.waits_for_epochs:
            self.schedule.step(row[self.monitor])
        self.save(is_best)
        self.progress.write_metrics(self.folder)
        self.screen.row(row, is_best)
        self.after_epoch(row)

    def save_in_epoch(self) -> None:
        """Write a checkpoint in the middle of an epoch."""
        self.check_finite()
        self.progress.mean = self.mean.whole().state_dict()
        elapsed = self.progress.epoch_seconds
        self.progress.epoch_seconds += time.monotonic() - self.begin
        self.save(is_best=False)
        self.progress.epoch_seconds = elapsed
        self.saved_at = time.monotonic()

    def save(self, is_best: bool) -> None:
        """Write last.pt and, if this is the best epoch or there is no validation to choose one, best.pt."""
        weights, trained = self.weights(), self.model.state_dict()
        if any(first_not_finite(part, self.not_finite) is not None for part in (trained, weights)):
            raise self.diverged("weights", self.progress.step)
        random, *random_of_others = distributed.gathered(random_state())
        if not is_main():
            return
        result = {
            **self.about,
            NOT_FINITE: self.not_finite,
            "model": weights,
            "progress": self.progress.state_dict(),
        }
        checkpoints = self.folder / CHECKPOINTS
        if is_best or (self.val_batches is None and self.progress.step_in_epoch == 0):
            # Nobody goes on from it, so it does without what only that takes, two thirds of the size.
            checkpoint.write(checkpoint.serialize(result), checkpoints / checkpoint.BEST)
        data = checkpoint.serialize(
            {
                **result,
                **({"model_in_training": trained} if self.averages else {}),
                **self.parts(),
                "random": random,
                "random_of_others": random_of_others,
            }
        )
        checkpoint.write(data, checkpoints / checkpoint.LAST, keep=checkpoints / checkpoint.PREVIOUS)

    @property
    def averages(self) -> bool:
        """Whether the weights that are kept are others than those that are trained."""
        return self.average is not None or schedule_free.has_modes(self.optimizer)

    def weights(self) -> dict[str, Any]:
        """Return the weights to keep, those that were validated."""
        if self.average is not None or not self.averages:
            return self.result.state_dict()
        with schedule_free.evaluated(self.model, self.optimizer):
            return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go to where a checkpoint was. The caller sets the generators, last of all."""
        planned = self.schedule.state_dict().get("total_steps")
        before = state["schedule"].get("total_steps")
        if planned != before and None not in (planned, before):
            raise UserError(
                f"schedule: {type(self.schedule).__name__} was planned for {before:,} steps and can't be "
                f"changed to {planned:,}: leave epochs as they were, or start anew with schedule=onecycle"
            )
        self.model.load_state_dict(state["model_in_training" if self.averages else "model"])
        if self.average is not None:
            self.average.restore(state["model"], state["progress"]["step"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if state["scaler"]:
            self.precision.scaler.load_state_dict(state["scaler"])
        self.progress = Progress.of(state["progress"])

    def check_finite(self) -> None:
        """Raise RunFailed if a loss of this epoch was NaN or infinite."""
        bad = self.mean.diverged_at()
        if bad is not None:
            first_step = self.progress.step - self.progress.step_in_epoch + 1
            raise self.diverged(
                "the loss", first_step + bad // min(self.accumulate, self.train_batches.batches.batch_size)
            )

    def diverged(self, what: str, step: int) -> RunFailed:
        """Return the error of a run whose loss became NaN or infinite."""
        last = self.folder / CHECKPOINTS / checkpoint.LAST
        epoch = self.progress.epoch + (self.progress.step_in_epoch > 0)  # else it has been counted already
        return diverged(what, step, max(epoch, 1), self.progress.lr, last)
