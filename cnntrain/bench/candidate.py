"""One way of training a model, and how it is timed."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from cnntrain import loop
from cnntrain.compute.engine import Engine
from cnntrain.compute.precision import Precision
from cnntrain.config.sections import OptimizerSettings
from cnntrain.data.batches import Batch
from cnntrain.models.copying import copied
from cnntrain.run.components import Components
from cnntrain.training.components.optimizer import build_optimizer

Epoch = Callable[[], Iterator[Any]]  # gives the batches of one more epoch
STEPS = ("data", "zero_grad", "forward", "loss", "backward", "step")


class Candidate:
    """One way of training: a model of its own, and endless batches.

    Args:
        name: the name in the table.
        explanation: the explanation in a line.
        engine: number format, layout and threads.
        built: the components of a run; copies of its model and its criterion are used.
        optimization: the optimizer.
        batches: returns the batches of one more epoch.
    """

    def __init__(
        self,
        name: str,
        explanation: str,
        engine: Engine,
        built: Components,
        optimization: OptimizerSettings,
        batches: Epoch,
    ) -> None:
        self.name = name
        self.explanation = explanation
        self.engine = engine
        self.device = next(built.model.parameters()).device
        self.model = copied(built.model)
        engine.prepare(self.model)
        self.task = built.task
        self.criterion = copy.deepcopy(built.criterion)
        self.optimizer = build_optimizer(optimization, None, self.model)
        self.precision = Precision(engine.precision, self.device)
        self.batches = batches
        self.freezing = built.freezing
        self.rates: list[float] = []
        self.learnt = 0  # images, in all batches so far

    def endless(self, steps: int) -> Iterator[Any]:
        """Yield that many batches, of several epochs if one has too few, and count their images."""
        epochs = itertools.chain.from_iterable(self.batches() for _ in itertools.count())
        for batch in itertools.islice(epochs, steps):
            self.learnt += len(batch[1])
            yield batch

    def epoch(self, steps: int) -> Iterator[Batch]:
        """Return that many batches of images and targets, as the loss takes them."""
        return self.freezing.keep(self.model, self.task.collate(self.endless(steps)))

    def train(self, steps: int) -> None:
        """Train for some steps: the plain five, without a schedule, clipping or a record."""
        self.model.train()
        for x, y in self.epoch(steps):
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)
            loss.backward()
            self.optimizer.step()

    def timed(self, steps: int) -> float:
        """Return the seconds of some steps."""
        torch.set_num_threads(self.engine.threads)
        wait_for(self.device)
        begin = time.perf_counter()
        self.train(steps)
        wait_for(self.device)
        return time.perf_counter() - begin

    def warm_up(self, seconds: float) -> None:
        """Find out how many steps fill a turn."""
        self.timed(3)
        self.steps = max(3, int(seconds / (self.timed(5) / 5)))

    def turn(self) -> None:
        """Measure once."""
        before = self.learnt
        seconds = self.timed(self.steps)
        self.rates.append((self.learnt - before) / seconds)


class OwnLoop(Candidate):
    """This tool: the loop of loop.py over its own batches."""

    def train(self, steps: int) -> None:
        """Train for some steps with the loop that ``cnntrain train`` runs."""
        optimizer = self.precision.wrap(self.optimizer)
        metrics = self.task.running_mean(self.device)
        loop.train_epoch(
            self.model,
            self.epoch(steps),
            self.criterion,
            optimizer,
            precision=self.precision,
            metrics=metrics,
        ).diverged_at()

    def shares(self, seconds: float) -> dict[str, float]:
        """Return the share of a step's time that each of its parts takes, with a stopwatch between them."""
        torch.set_num_threads(self.engine.threads)
        spent = dict.fromkeys(STEPS, 0.0)
        batches = self.epoch(self.steps)
        optimizer = self.precision.wrap(self.optimizer)
        self.model.train()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            watch = LapTimer(self.device, spent)
            batch = next(batches, None)
            if batch is None:
                break
            watch.lap("data")
            optimizer.zero_grad()
            watch.lap("zero_grad")
            with self.precision.autocast():
                output = self.model(batch[0])
                watch.lap("forward")
                loss = self.criterion(output, batch[1])
                watch.lap("loss")
            self.precision.scale(loss, share=1.0).backward()
            watch.lap("backward")
            optimizer.step()
            watch.lap("step")
        return {name: part / sum(spent.values()) for name, part in spent.items()}


class LapTimer:
    """Adds up the time between its laps."""

    def __init__(self, device: torch.device, spent: dict[str, float]) -> None:
        self.device = device
        self.spent = spent
        self.last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Count the time since the last lap for a part."""
        wait_for(self.device)
        now = time.perf_counter()
        self.spent[name] += now - self.last
        self.last = now


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
