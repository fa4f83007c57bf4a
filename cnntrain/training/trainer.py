"""Epoch after epoch: train, validate, record, checkpoint. A run can be stopped and resumed at any step."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cnntrain import loop
from cnntrain.compute import ddp
from cnntrain.compute.micro_batches import is_out_of_memory, out_of_memory
from cnntrain.data.batches import Batch
from cnntrain.data.loader import EvalLoader, TrainLoader
from cnntrain.errors import Interrupted, RunFailed
from cnntrain.optim import schedule_free
from cnntrain.optim.schedules import lr_of
from cnntrain.runs.records import CheckpointState
from cnntrain.runs.schema.checkpoints import NOT_FINITE
from cnntrain.runtime import distributed
from cnntrain.runtime.ranks import is_main, world_size
from cnntrain.runtime.rng import random_state
from cnntrain.runtime.signals import StopSignals
from cnntrain.tasks import losses
from cnntrain.tasks.base import Task
from cnntrain.tasks.losses import weigher
from cnntrain.tasks.metrics import Result
from cnntrain.text import argument
from cnntrain.training.doctor.diagnosis import show_finding
from cnntrain.training.doctor.doctor import Doctor
from cnntrain.training.epoch_table import EpochScreen
from cnntrain.training.learner import Learner
from cnntrain.training.output import Budget, Output, diverged
from cnntrain.training.progress import Progress

CHECK_EVERY = 32  # steps between two looks at the loss; each look waits for the device
AGREE_EVERY = 8  # steps after which the processes of a run ask each other whether to stop or to save


class Trainer:
    """A training run under way.

    Args:
        learner: the model to train, and what trains it.
        train_batches: the training set.
        val_batches: the validation set, or None.
        task: the task that the model learns.
        budget: how long to train, and how often to save.
        output: the files and the screen that the run writes to.
        doctor: observes the training; None without one.
    """

    def __init__(
        self,
        learner: Learner,
        train_batches: TrainLoader,
        val_batches: EvalLoader | None,
        task: Task,
        budget: Budget,
        output: Output,
        doctor: Doctor | None = None,
    ) -> None:
        self.learner = learner
        self.train_batches = train_batches
        self.val_batches = val_batches
        self.task = task
        self.budget = budget
        self.output = output
        self.doctor = doctor
        self.progress = Progress(self.task.scores)
        self.is_checked = False

    def fit(self) -> None:
        """Train until the last epoch, or until early stopping ends the run.

        Raises:
            Interrupted: a signal came; the checkpoint is written.
            RunFailed: the loss became NaN or infinite, or the folder can't be written.
        """
        progress, budget, console = self.progress, self.budget, self.output.console
        progress.write_metrics(self.output.folder)
        self.screen = EpochScreen(console, progress.scores, budget.epochs, self.task.called)
        self.replicate()
        with StopSignals() as self.signals:
            while progress.epoch < budget.epochs and not progress.is_stale(budget.patience):
                with self.failures_in_words():
                    seconds = self.train_epoch()
                    result = None if self.val_batches is None else self.validate(self.val_batches)
                    self.end_epoch(result, seconds)
                self.stop_if_asked(*distributed.all_reduce_max(self.signals.received))
        if progress.epoch < budget.epochs:
            console.line(f"stopped early: no better {budget.monitor.name} for {budget.patience} epochs")

    def replicate(self) -> None:
        """Average the gradients over all processes."""
        learner = self.learner
        self.replicated = ddp.parallel(learner.model, self.train_batches.shard, learner.has_idle)

    @contextmanager
    def failures_in_words(self) -> Iterator[None]:
        """Explain how to go on if the memory runs out, or if several processes can't train the model.

        Raises:
            RunFailed: the RunFailed in place of such an error of torch's.
        """
        try:
            yield
        except RuntimeError as error:
            if distributed.UNFINISHED in str(error):
                raise RunFailed(
                    "model: some parameters take part in some steps only, which several processes can't "
                    "train: start it without torchrun"
                ) from error
            if not is_out_of_memory(error):
                raise
            step, parts = self.progress.step, self.learner.accumulate
            batch_size = self.train_batches.batches.batch_size
            raise out_of_memory(self.output.folder, step, parts, batch_size) from error

    def train_epoch(self) -> float:
        """Train on what the epoch still has to offer, and return the seconds that all of it took."""
        progress, learner = self.progress, self.learner
        if learner.freezing.begin_epoch(learner.model, progress.epoch):  # the gradients are others now
            self.replicate()
        self.next_lr = lr_of(learner.optimizer)
        self.mean = self.task.running_mean(self.train_batches.device, self.train_batches.shard)
        if progress.mean is not None:
            self.mean.load_state_dict(progress.mean)
        self.begin = self.saved_at = time.monotonic()
        total, epochs = len(self.train_batches), self.budget.epochs
        name, after = f"epoch {progress.epoch + 1}/{epochs}", total * (epochs - progress.epoch - 1)
        look: dict[str, Any] = {"after": after, "loss": lambda: self.mean.loss_so_far}
        with self.output.console.bar(total, progress.step_in_epoch, name, **look) as self.bar:
            loop.train_epoch(
                self.replicated,
                self.batches(),
                learner.criterion,
                learner.precision.wrap(learner.optimizer),
                None if learner.waits_for_epochs else learner.schedule,
                precision=learner.precision,
                grad_clip=learner.grad_clip,
                accumulate=learner.accumulate,
                metrics=self.mean,
                after_step=self.after_step,
            )
        self.check_finite()
        self.mean = self.mean.whole()
        return progress.epoch_seconds + time.monotonic() - self.begin

    def batches(self) -> Iterator[Batch]:
        """Return the batches of the epoch under way that are still to come."""
        progress, learner = self.progress, self.learner
        batches = self.train_batches.epoch(progress.epoch, start=progress.step_in_epoch)
        batches = self.task.collate(learner.freezing.keep(learner.model, batches))
        batches = losses.weighed(batches, weigher(learner.criterion), self.train_batches.shard)
        return batches if self.doctor is None else self.doctor.watch(batches, resumed=progress.step > 0)

    def after_step(self) -> None:
        """Count a step; now and then look at the loss and write a checkpoint; stop if a signal came."""
        progress, learner, every = self.progress, self.learner, self.budget.save_every_steps
        progress.step += 1
        progress.step_in_epoch += 1
        progress.lr, self.next_lr = self.next_lr, lr_of(learner.optimizer)  # the schedule has set the next
        if learner.average is not None:
            learner.average.update(learner.model)
        self.bar.update()
        if not self.is_checked:
            self.check_checkpoint()
        if self.doctor is not None:
            finding = self.doctor.after_step(self.mean)
            if finding is not None:
                with self.bar.external_write_mode():
                    show_finding(self.output.console, finding)
        if progress.step % CHECK_EVERY == 0:
            self.check_finite()
        received, is_time = self.asked()
        if received or is_time or (every and progress.step % every == 0):
            self.save_in_epoch()
        self.stop_if_asked(received)

    def check_checkpoint(self) -> None:
        """Check after the first step, before it costs an epoch, whether a checkpoint could be read again.

        Raises:
            UserError: it can't, because of what a class of the user's keeps.
        """
        self.is_checked = True
        if is_main():
            self.learner.check_state(self.output.about)

    def asked(self) -> tuple[int, ...]:
        """Return the signal that has come to any process, or 0, and whether minutes ask for a checkpoint."""
        if world_size() > 1 and self.progress.step % AGREE_EVERY:
            return 0, False
        minutes, every = (time.monotonic() - self.saved_at) / 60, self.budget.save_every_minutes
        return distributed.all_reduce_max(self.signals.received, every is not None and minutes >= every)

    def stop_if_asked(self, signal_number: int) -> None:
        """End the run because of a signal, if one came; its checkpoint is written."""
        if not signal_number:
            return
        progress = self.progress
        raise Interrupted(
            f"stopped by {signal.Signals(signal_number).name} after step {progress.step:,}, "
            f"{progress.epoch} of {self.budget.epochs} epochs done\n"
            f"to go on: cnntrain resume {argument(self.output.folder)}",
            signal_number,
        )

    def validate(self, batches: EvalLoader) -> Result:
        """Evaluate on the validation set."""
        learner = self.learner
        followed = self.task.collate(self.output.console.followed(batches, "validating"))
        with schedule_free.evaluated(learner.model, learner.optimizer):
            model = learner.result
            ddp.same_weights(model)  # each process has batch statistics of its own
            evaluation = self.task.evaluation(self.train_batches.device)
            result = loop.evaluate(model, followed, learner.val_criterion, evaluation, learner.precision)
        if not math.isfinite(result.loss):
            raise self.diverged("the validation loss", self.progress.step)
        return result

    def end_epoch(self, result: Result | None, seconds: float) -> None:
        """Record an epoch: the row on the screen and in metrics.csv, the checkpoints."""
        row = self.progress.row(self.mean, result, seconds)
        is_best = self.progress.end_epoch(row, self.budget.monitor)
        self.progress.chosen = {} if result is None else self.task.chosen(result)
        if self.learner.waits_for_epochs:
            monitored: Any = self.budget.monitor.in_row(row)  # of type int in torch's stubs, wrongly
            self.learner.schedule.step(monitored)
        self.save(is_best)
        self.progress.write_metrics(self.output.folder)
        self.screen.row(row, is_best)
        self.output.after_epoch(row)

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
        learner, progress = self.learner, self.progress
        weights = learner.weights()
        if not learner.is_finite(weights):
            raise self.diverged("weights", progress.step)
        random, *random_of_others = distributed.all_gather(random_state())
        if not is_main():
            return
        state = {
            **self.output.about,
            NOT_FINITE: learner.not_finite,
            "model": weights,
            "progress": progress.state_dict(),
        }
        if is_best or (self.val_batches is None and progress.step_in_epoch == 0):
            self.output.write_best(state)
        if learner.averages:
            state["model_in_training"] = learner.model.state_dict()
        state |= {**learner.state_dict(), "random": random, "random_of_others": random_of_others}
        self.output.write_last(state)

    def load_state_dict(self, state: CheckpointState) -> None:
        """Restore the state of a checkpoint. The caller sets the generators, last of all."""
        self.learner.load_state_dict(state)
        self.progress = Progress.from_state(state["progress"], self.task.scores)

    def check_finite(self) -> None:
        """Raise RunFailed if a loss of this epoch was NaN or infinite."""
        bad = self.mean.diverged_at()
        if bad is not None:
            first_step = self.progress.step - self.progress.step_in_epoch + 1
            parts = min(self.learner.accumulate, self.train_batches.batches.batch_size)
            raise self.diverged("the loss", first_step + bad // parts)

    def diverged(self, what: str, step: int) -> RunFailed:
        """Return the error of a run whose loss became NaN or infinite."""
        epoch = self.progress.epoch + (self.progress.step_in_epoch > 0)  # else it has been counted already
        return diverged(what, step, max(epoch, 1), self.progress.lr, self.output.last)
