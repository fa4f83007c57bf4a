"""Ways of training one model that ``cnntrain bench`` compares, and how each is timed."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from cnntrain import loop
from cnntrain.compute.autotune import settle
from cnntrain.compute.engine import ALL_THREADS, Engine
from cnntrain.compute.micro_batches import clip_batch_size
from cnntrain.compute.precision import Precision
from cnntrain.config.instantiate import build
from cnntrain.config.schema import Config
from cnntrain.data.augment.augment import Augment
from cnntrain.data.batches import Batch
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.loader import Normalize, TrainLoader
from cnntrain.data.open import Data, open_data
from cnntrain.errors import UserError
from cnntrain.optim.freezing import Freezing
from cnntrain.runtime.console import Console
from cnntrain.runtime.rng import seed_everything
from cnntrain.training.components.components import build_freezing, build_model, build_task
from cnntrain.training.components.criterion import build_criterion
from cnntrain.training.components.device import find_device
from cnntrain.training.components.optimizer import build_optimizer

FLOOR, TEXTBOOK = "floor", "textbook loop"
IMAGES = 10_000  # on which all contenders train: more than fit into the processor's caches
EXPLANATIONS = {
    FLOOR: "eager fp32 loop over tensors that are normalised already, torch's own defaults",
    TEXTBOOK: "torchvision transforms image by image, DataLoader in this process",
}
STEPS = ("data", "zero_grad", "forward", "loss", "backward", "step")


class Contender:
    """One way of training: a model of its own, and endless batches.

    Args:
        name: in the table.
        explanation: in a line.
        engine: number format, layout and threads.
        model: a copy of it is trained.
        config: of the run.
        batches: returns the batches of one more epoch.
        optim: the node of the optimizer.
        freezing: keeps some parameters as they are.
    """

    def __init__(
        self,
        name: str,
        explanation: str,
        engine: Engine,
        model: nn.Module,
        config: Config,
        batches: Callable[[], Iterator[Batch]],
        optim: Config,
        freezing: Freezing,
    ) -> None:
        self.name = name
        self.explanation = explanation
        self.engine = engine
        self.device = next(model.parameters()).device
        self.model = copy.deepcopy(model)
        engine.prepare(self.model)
        self.task = build_task(config)
        self.criterion = build_criterion(config, None).to(self.device)
        self.optimizer = build_optimizer({**config, "optim": optim}, None, self.model)
        self.precision = Precision(engine.precision, self.device)
        self.batches = batches
        self.freezing = freezing
        self.rates: list[float] = []

    def epoch(self, steps: int) -> Iterator[Batch]:
        """Return that many batches, of several epochs if one has too few."""
        endless = itertools.chain.from_iterable(self.batches() for _ in itertools.count())
        return self.freezing.keep(self.model, itertools.islice(endless, steps))

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


class TextbookDataset(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets hand them out: one PIL image at a time, transformed on the way."""

    def __init__(self, images: InMemoryDataset, config: Config) -> None:
        from torchvision import transforms

        data = config["data"]
        self.pixels = images.first(IMAGES).cpu().permute(0, 2, 3, 1).numpy()
        self.labels = images.labels[:IMAGES].cpu().tolist()
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize(data["mean"], data["std"])]
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return one image, float32 (C, H, W), and its label."""
        from PIL import Image

        pixels = self.pixels[index]
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        return self.transform(image), self.labels[index]


def wait_for(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def contenders(config: Config, console: Console) -> tuple[list[Contender], Data]:
    """Build all ways of training, the floor first."""
    device = find_device(config["device"])
    seed_everything(config["seed"])
    model = build_model(config, None).to(device)
    criterion = build_criterion(config, None).to(device)
    freezing = build_freezing(config, model)
    data = open_data(config, device, console, None)
    if not isinstance(data.train, InMemoryDataset):
        raise UserError("bench needs the data in memory, for the floor: data.cache=ram, or fewer data")
    clip_batch_size(config, min(IMAGES, len(data.train)), console)
    dataset, batch_size = data.train, config["batch_size"]
    mean, std = config["data"]["mean"], config["data"]["std"]
    augment = build("augment", config["augment"], Augment, None)
    typed, _ = settle(config, model, criterion, device)
    fp32, _ = settle({**config, "precision": "fp32"}, model, criterion, device)

    images = Normalize(mean, std, device)(dataset.first(IMAGES).to(device))
    labels = dataset.labels[:IMAGES].to(device)
    plain_optim = {name: None if name == "fused" else value for name, value in config["optim"].items()}

    def floor() -> Iterator[Batch]:
        return zip(images.split(batch_size), labels.split(batch_size), strict=True)

    textbook_loader: DataLoader[Any] = DataLoader(TextbookDataset(dataset, config), batch_size, shuffle=True)

    def textbook() -> Iterator[Batch]:
        for x, y in textbook_loader:
            yield x.to(device), y.to(device)

    plain = Engine("fp32", False, ALL_THREADS)
    found = [Contender(FLOOR, EXPLANATIONS[FLOOR], plain, model, config, floor, plain_optim, freezing)]
    for engine in dict.fromkeys((typed, fp32)):
        normalize = Normalize(mean, std, device, engine.memory_format)
        loader = TrainLoader(
            dataset,
            torch.arange(min(IMAGES, len(dataset))),
            batch_size,
            config["seed"],
            augment,
            normalize,
            device,
            config["workers"],
        )
        epochs = itertools.count()
        found.append(
            Own(
                f"cnntrain, {engine.precision}",
                str(engine),
                engine,
                model,
                config,
                lambda loader=loader, epochs=epochs: loader.epoch(next(epochs)),  # type: ignore[misc]
                config["optim"],
                freezing,
            )
        )
    found.append(
        Contender(TEXTBOOK, EXPLANATIONS[TEXTBOOK], plain, model, config, textbook, plain_optim, freezing)
    )
    return found, data
