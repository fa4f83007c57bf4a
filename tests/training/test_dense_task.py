"""A task that has a target for each pixel: the whole way, with a task of a user's own in 60 lines."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, is_told
from forks import ended, started

from cnntrain.inference.model import load

OWN = """
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Dataset

from cnntrain.data.images import InMemoryDataset
from cnntrain.tasks.base import Task
from cnntrain.tasks.metrics import Evaluation, Result, RunningMean
from cnntrain.tasks.scores import LOSS, Score, Scores

STOP = Path("stop")  # how many batches go through the network until a signal stops the run


def spots(train):
    generator = torch.Generator().manual_seed(int(train))
    masks = torch.rand(120 if train else 30, 1, 3, 4, generator=generator) < 0.4
    masks = masks.repeat_interleave(4, 2).repeat_interleave(5, 3)
    noise = torch.randint(0, 100, masks.shape, generator=generator)
    return (noise + 150 * masks).to(torch.uint8), masks[:, 0].to(torch.uint8)


class Spots(InMemoryDataset):
    def __init__(self, train):
        super().__init__(*spots(train), ["dark", "bright"])

    @staticmethod
    def files(train):
        return [__file__]


class Streamed(Dataset):
    classes = ["dark", "bright"]

    def __init__(self, train):
        self.images, self.masks = spots(train)

    @staticmethod
    def files(train):
        return [__file__]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.masks[index]


class PerPixel(nn.Module):
    def __init__(self, in_channels, num_classes, dropout=0.1):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(in_channels, num_classes, 1), nn.Dropout(dropout))

    def forward(self, x):
        if self.training and STOP.exists():
            left = int(STOP.read_text())
            STOP.write_text(str(left - 1))
            if left == 0:
                os.kill(os.getpid(), signal.SIGTERM)
        return self.layers(x)


class Right(RunningMean):
    def __init__(self, device, shard=None):
        super().__init__(device, shard)
        self.sums["right"] = torch.zeros((), device=device, dtype=torch.float64)

    @property
    def pixel_accuracy(self):
        return self.mean("right")

    def extract(self, output, y):
        return ((output.detach().argmax(1) == y).double().mean((1, 2)).sum(),)

    def add(self, right):
        self.sums["right"] += torch.stack(right).sum()


@dataclass(frozen=True)
class Pixels(Result):
    pixel_accuracy: float


class Measure(Evaluation):
    def __init__(self, device):
        super().__init__(device)
        self.sums["right"] = torch.zeros((), device=device, dtype=torch.float64)

    def add(self, output, y):
        self.sums["right"] += (output.argmax(1) == y).double().mean((1, 2)).sum()

    def summed(self, loss, examples, sums):
        return Pixels(loss, examples, float(sums["right"]) / examples)


class Dense(Task):
    scores = Scores((LOSS, Score("pixel_accuracy", "pixel acc", higher_is_better=True, is_fraction=True)))
    learns_from = "masks"
    of_output = "one logit a class and pixel"

    @property
    def output_shape(self):
        return (self.num_classes, *self.input_shape[1:])

    def targets(self, labels):
        return labels.long()

    def criterion(self, node, trust):
        return nn.CrossEntropyLoss(ignore_index=255)

    def running_mean(self, device, shard=None):
        return Right(device, shard)

    def evaluation(self, device):
        return Measure(device)

    def decode(self, activated, class_names, most):
        return [(("bright", float(value)),) for value in activated.argmax(1).double().mean((1, 2))]
"""
DATA = (
    *("data=fake", "data.source._target_=spots.Spots", "~data.source.size", "data.targets=masks"),
    *(
        "data.channels=1",
        "data.image_size=[12,20]",
        "data.num_classes=2",
        "data.mean=[0.4]",
        "data.std=[0.3]",
    ),
)
RUN = (
    *(
        *DATA,
        "task._target_=spots.Dense",
        "model=custom",
        "model._target_=spots.PerPixel",
        "doctor=false",
        "report=false",
    ),
    *("epochs=3", "batch_size=16", "optim.lr=0.05", "precision=fp32", "threads=1"),
)
AUGMENT = ("augment.flip=0.5", "augment.shift=2", "augment.rotate=20", "augment.crop=0.5")


@pytest.fixture(autouse=True)
def own() -> None:
    Path("spots.py").write_text(OWN)
    sys.modules.pop("spots", None)


def metrics(run: str) -> list[dict[str, str]]:
    with Path(run, "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if "second" not in k} for row in csv.DictReader(file)]


def weights(run: str) -> dict[str, Any]:
    state = torch.load(Path(run, "checkpoints/last.pt"), weights_only=True)
    found: dict[str, Any] = state["model"]
    return found


def equal(run: str, other: str) -> bool:
    ours, theirs = weights(run), weights(other)
    return metrics(run) == metrics(other) and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_it_learns_from_masks_and_is_evaluated(cnntrain: Command) -> None:
    done = cnntrain("train", *RUN, "out=r")
    assert done.code == 0, done.err
    assert "1×12×20" in done.out and "108 train, 12 val, 30 test" in done.out
    assert float(metrics("r")[-1]["val_pixel_accuracy"]) > 0.9
    summary = json.loads(Path("r/summary.json").read_text())
    assert "monitor: val_pixel_accuracy" in Path("r/config.yaml").read_text()
    assert cnntrain("eval", "r").code == 0
    evaluated = json.loads(Path("r/eval_test.json").read_text())
    assert evaluated["pixel_accuracy"] == pytest.approx(summary["test"]["pixel_accuracy"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_resumed_in_mid_epoch_ends_with_the_same_bits(cnntrain: Command, workers: int) -> None:
    words = (*RUN, *AUGMENT, f"workers={workers}")
    assert cnntrain("train", *words, "out=whole").code == 0
    Path("stop").write_text("12")
    stopped = cnntrain("train", *words, "out=parts")
    Path("stop").unlink()
    progress = torch.load("parts/checkpoints/last.pt", weights_only=True)["progress"]
    assert stopped.code == 143 and progress["step_in_epoch"] > 0 and progress["mean"]["right"] > 0
    assert cnntrain("resume", "parts").code == 0
    assert equal("whole", "parts")


def test_masks_are_streamed_and_cached_as_they_lie_in_memory(cnntrain: Command) -> None:
    words = (*RUN, *AUGMENT, "epochs=1")
    assert cnntrain("train", *words, "out=memory").code == 0
    for how in ("off", "disk", "ram"):
        streamed = ("data.source._target_=spots.Streamed", f"data.cache={how}", "workers=2", f"out={how}")
        done = cnntrain("train", *words, *streamed)
        assert done.code == 0, done.err
        assert equal("memory", how)


def test_two_processes_train_as_one_does(cnntrain: Command) -> None:
    words = (*RUN, "epochs=2", "data.cache=off", "data.source._target_=spots.Streamed")
    words += ("+model.dropout=0", "optim=sgd")
    assert cnntrain("train", *words, "out=one").code == 0
    together = ended(started(2, "train", *words, "out=two"))
    assert [code for code, *_ in together] == [0, 0], together
    for one, two in zip(metrics("one"), metrics("two"), strict=True):
        assert {k: float(v) for k, v in two.items()} == pytest.approx(
            {k: float(v) for k, v in one.items()}, rel=1e-3
        )


def test_classes_count_the_same_with_balance_classes(cnntrain: Command) -> None:
    told = cnntrain("train", *RUN, "balance_classes=true", "epochs=1", "out=r")
    assert told.code == 0, told.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("augment.mixup=0.2",), "augment.mixup=0.2 is for data.targets=classes, and these data have masks"),
        (("augment.cutmix=1",), "augment.cutmix=1 is for data.targets=classes"),
        (("data.targets=classes",), "task: Dense learns from masks, and these data have classes"),
        (
            ("task._target_=cnntrain.tasks.Classification",),
            "task: Classification learns from classes, and these data have masks",
        ),
        (("monitor=val_accuracy",), "monitor=val_accuracy is not possible: it takes val_pixel_accuracy or"),
        (("data.image_size=12x20",), "did you mean 'data.image_size=[12,20]'?"),
        (("data.image_size=[12,20,3]",), "data.image_size=[12,20,3] is not possible"),
        (("data.resize_size=14",), "data.resize_size=14 is smaller than data.image_size=[12,20]"),
        (("augment.shift=12",), "augment.shift=12 moves images of [12,20] pixels out of sight"),
    ],
)
def test_what_does_not_fit_is_told_before_data_are_read(
    cnntrain: Command, words: tuple[str, ...], told: str
) -> None:
    Path("spots.py").write_text(OWN.replace("def spots(train):", "def spots(train):\n    raise OSError"))
    is_told(cnntrain("train", *RUN, *words), told)


def test_a_model_of_whole_images_is_told_from_one_of_pixels(cnntrain: Command) -> None:
    words = [word for word in RUN if not word.startswith("model.")]
    told = cnntrain("train", *words, "model=mlp")
    is_told(told, "MLP gives (2, 2) for a batch of 2, not (2, 2, 12, 20): one logit a class and pixel")


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_images_that_are_not_square_are_classified(cnntrain: Command, model: str) -> None:
    fake = ("data=fake", "data.source.size=200", "data.num_classes=3", "data.image_size=[10,17]")
    plain = ("precision=fp32", "channels_last=false", "threads=1", "report=false")
    words = (*fake, f"model={model}", "augment.crop=0.5", "data.resize_size=[12,20]", "epochs=1", *plain)
    done = cnntrain("train", *words, "out=r")
    assert done.code == 0, done.err
    assert "3×10×17" in done.out and cnntrain("eval", "r").code == 0
    trained = load("r")
    assert trained.predict(torch.zeros(2, 3, 10, 17, dtype=torch.uint8)).shape == (2, 3)
    assert trained.predict(torch.zeros(2, 1, 40, 30, dtype=torch.uint8)).shape == (2, 3)
