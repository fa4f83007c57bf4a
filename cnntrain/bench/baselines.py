"""Ways of training one model that ``cnntrain bench`` compares, and how each is timed."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from cnntrain import loop
from cnntrain.bench.textbook import textbook_dataset
from cnntrain.compute.autotune import tune
from cnntrain.compute.engine import ALL_THREADS, Engine
from cnntrain.compute.micro_batches import BatchPlan
from cnntrain.compute.precision import Precision
from cnntrain.config.sections import BenchSettings, OptimizerSettings
from cnntrain.data.batches import Batch
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.loader import Normalize, TrainLoader
from cnntrain.data.open import Data
from cnntrain.errors import UserError
from cnntrain.models.copying import copied
from cnntrain.run.components import Components
from cnntrain.runtime.console import Console
from cnntrain.training.components.optimizer import build_optimizer

FLOOR, TEXTBOOK = "floor", "textbook loop"
IMAGES = 10_000  # on which all contenders train: more than fit into the processor's caches
EXPLAINED = "eager fp32 loop over tensors that are normalised already, torch's own defaults"  # the floor
Epoch = Callable[[], Iterator[Batch]]  # gives the batches of one more epoch
STEPS = ("data", "zero_grad", "forward", "loss", "backward", "step")


class Contender:
    """One way of training: a model of its own, and endless batches.

    Args:
        name: in the table.
        explanation: in a line.
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

    def epoch(self, steps: int) -> Iterator[Batch]:
        """Return that many batches of images and targets, of several epochs if one has too few."""
        endless = itertools.chain.from_iterable(self.batches() for _ in itertools.count())
        return self.freezing.keep(self.model, self.task.collate(itertools.islice(endless, steps)))

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

    def turn(self, batch_size: int) -> None:
        """Measure once."""
        self.rates.append(self.steps * batch_size / self.timed(self.steps))


class Own(Contender):
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
            watch = Stopwatch(self.device, spent)
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


class Stopwatch:
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


def contenders(settings: BenchSettings, built: Components, data: Data, console: Console) -> list[Contender]:
    """Build all ways of training, the floor first.

    Args:
        settings: of the run.
        built: its components.
        data: its images.
        console: told if the batch is clipped.

    Raises:
        UserError: the images are not in memory.
    """
    if not isinstance(data.train, InMemoryDataset):
        raise UserError("bench needs the data in memory, for the floor: data.cache=ram, or fewer data")
    dataset, device = data.train, next(built.model.parameters()).device
    indices = torch.arange(min(IMAGES, len(dataset)))
    asked = settings.engine
    plan = BatchPlan(asked.batch_size, asked.accumulate).clipped(len(indices), asked.model.shape, console)
    asked = replace(asked, batch_size=plan.size, accumulate=plan.accumulate)
    typed, _ = tune(asked, built.model, built.criterion, built.task.dummy, device)
    as_fp32 = replace(asked, precision="fp32")
    fp32, _ = tune(as_fp32, built.model, built.criterion, built.task.dummy, device)

    optimization = replace(settings.optimization, optim=built.optim)
    plain_optim = {name: None if name == "fused" else value for name, value in built.optim.items()}
    plain = Engine("fp32", False, ALL_THREADS), built, replace(optimization, optim=plain_optim)
    mean, std = settings.data.mean, settings.data.std
    floor = floor_batches(dataset, plan.size, Normalize(mean, std, device), device)
    found = [Contender(FLOOR, EXPLAINED, *plain, floor)]
    for engine in dict.fromkeys((typed, fp32)):
        normalize = Normalize(mean, std, device, engine.memory_format)
        loader = TrainLoader(
            dataset,
            indices,
            plan.size,
            settings.seed,
            built.augment,
            normalize,
            device,
            settings.data.workers,
        )
        name, batches = f"cnntrain, {engine.precision}", own_batches(loader)
        found.append(Own(name, str(engine), engine, built, optimization, batches))
    textbook, explained = textbook_dataset(settings.data, dataset, IMAGES, built.augment.strengths)
    workers = settings.data.workers
    explained += f", DataLoader {f'with {workers} workers' if workers else 'in this process'}"
    batches = textbook_batches(textbook, plan.size, workers, device)
    found.append(Contender(TEXTBOOK, explained, *plain, batches))
    return found


def floor_batches(dataset: InMemoryDataset, size: int, normalize: Normalize, device: torch.device) -> Epoch:
    """Return what gives the batches of tensors that are normalised already."""
    images = normalize(dataset.first(IMAGES).to(device))
    labels = dataset.labels[:IMAGES].to(device)
    return lambda: zip(images.split(size), labels.split(size), strict=True)


def textbook_batches(dataset: Dataset[Any], size: int, workers: int, device: torch.device) -> Epoch:
    """Return what gives the batches of torchvision's transforms."""
    loader: DataLoader[Any] = DataLoader(
        dataset, size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    return lambda: ((x.to(device), y.to(device)) for x, y in loader)


def own_batches(loader: TrainLoader) -> Epoch:
    """Return what gives the batches of one epoch after the other, as ``train`` makes them."""
    epochs = itertools.count()
    return lambda: loader.epoch(next(epochs))
