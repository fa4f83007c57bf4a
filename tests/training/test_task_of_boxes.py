"""Training on boxes, from the command: canvases, data of the user's own, and what a task says of data."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, is_told
from PIL import Image

import cnntrain as package
from cnntrain.config.composer import composed

OWN = """
import torch
from torch import nn
from torch.utils.data import Dataset

from cnntrain.data.sources import MNISTCanvas
from cnntrain.tasks.base import Task
from cnntrain.tasks.boxes import BoxTask
from cnntrain.tasks.metrics import Evaluation, Result, RunningMean
from cnntrain.tasks.scores import LOSS, Scores

GEOMETRY = dict(image_size=[24, 32], digits=[0, 2], digit_size=[12, 16], overlap=0.0, noise=0.0, clutter=0)


class Streamed(Dataset):
    classes = list("0123456789")

    def __init__(self, train):
        self.whole = MNISTCanvas(
            train, **GEOMETRY, threshold=0.2, canvas_seed=0, canvases=60, test_canvases=20, targets="boxes"
        )

    @staticmethod
    def files(train):
        return [__file__]

    def __len__(self):
        return len(self.whole)

    def __getitem__(self, index):
        image, rows = self.whole[index]
        return image, rows[rows[:, 4] >= 0]


class Measure(Evaluation):
    def add(self, output, y):
        pass

    def summed(self, loss, examples, sums):
        return Result(loss, examples)


class Areas(Task):
    scores = Scores((LOSS,))
    learns_from = "boxes"
    of_output = "the share of the image that boxes cover"

    @property
    def output_shape(self):
        return (1,)

    def targets(self, labels):
        sides = labels[..., 2:4] - labels[..., :2]
        return (sides.prod(-1) * (labels[..., 4] + 1)).sum(1, keepdim=True) / 1e4

    def criterion(self, node, trust):
        return nn.MSELoss()

    def running_mean(self, device, share=None):
        return RunningMean(device, share)

    def evaluation(self, device):
        return Measure(device)

    def decode(self, activated, class_names, most):
        return [(("area", float(value)),) for value in activated[:, 0]]


class Finds(BoxTask):  # its box is the middle of the image
    scores = Scores((LOSS,))
    named = ("class", "score")
    output_shape, running_mean, evaluation, criterion = (
        Areas.output_shape, Areas.running_mean, Areas.evaluation, Areas.criterion
    )
    targets = Areas.targets

    def boxes(self, output, score, nms, most):
        found = output.new_tensor([8.0, 6.0, 24.0, 18.0, 0.75, 3.0]).repeat(len(output), most, 1)
        found[:, 1:, 5] = -1
        return found if score is None or score < 0.75 else found.index_fill(2, torch.tensor(5), -1.0)

    def activate(self, output):
        return self.boxes(output, 0.5, 0.5, 2)

    def decode(self, activated, class_names, most):
        return [
            tuple((class_names[int(row[5])], float(row[4])) for row in image if row[5] >= 0)
            for image in activated
        ]


class Claims(BoxTask):  # it has all but boxes
    scores = Scores((LOSS,))
    output_shape, running_mean, evaluation, decode = (
        Areas.output_shape, Areas.running_mean, Areas.evaluation, Areas.decode
    )
"""
TASK = ("task._target_=areas.Areas", "data.targets=boxes", "doctor=false", "report=false")
HOW = ("model=mlp", "epochs=2", "batch_size=16", "precision=fp32", "threads=1")
AUGMENT = ("augment.flip=0.5", "augment.shift=2", "augment.rotate=20", "augment.crop=0.5")
CANVAS = (
    *("data=mnist_canvas", "data.image_size=[24,32]", "data.digits=[0,2]", "data.digit_size=[12,16]"),
    *("data.noise=0", "data.overlap=0", "data.canvases=60", "data.test_canvases=20"),
)


@pytest.fixture(autouse=True)
def own() -> None:
    Path("areas.py").write_text(OWN)
    sys.modules.pop("areas", None)


def weights(run: str) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(Path(run, "checkpoints/last.pt"), weights_only=True)["model"]
    return found


def equal(run: str, other: str) -> bool:
    ours, theirs = weights(run), weights(other)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_boxes_are_streamed_and_cached_as_they_lie_in_memory(cnntrain: Command) -> None:
    done = cnntrain("train", *CANVAS, *TASK, *HOW, *AUGMENT, "out=memory")
    assert done.code == 0, done.err
    with Path("memory/metrics.csv").open() as file:
        assert all(float(row["train_loss"]) > 0 for row in csv.DictReader(file))
    source = ("data.source._target_=areas.Streamed", "data.num_classes=10")
    for how in ("off", "disk", "ram"):
        words = (*source, f"data.cache={how}", "workers=1", f"out={how}")
        done = cnntrain("train", *CANVAS, *TASK, *HOW, *AUGMENT, *words)
        assert done.code == 0, done.err
        assert equal("memory", how)
    assert cnntrain("eval", "disk").code == 0


@pytest.mark.parametrize(
    ("words", "targets", "classes"),
    [
        ((), "masks", 11),
        (("data.targets=boxes",), "boxes", 10),
        (("data.digits=[1,1]", "task=classification"), "classes", 10),
        (("data.digits=[1,1]", "data.targets=classes"), "classes", 10),
        (("task=segmentation",), "masks", 11),
        (("data.digits=[1,1]", "model=mine"), "classes", 10),
        (("model=mine", "task=segmentation"), "masks", 11),
    ],
)
def test_canvases_have_the_targets_that_the_task_learns_from(
    words: tuple[str, ...], targets: str, classes: int
) -> None:
    """The task is typed, or named by the file of the model, as model=yolo does."""
    Path("conf/model").mkdir(parents=True)
    model = "defaults: [override /task@_global_.task: classification]\n_target_: cnntrain.models.MLP\n"
    Path("conf/model/mine.yaml").write_text(
        f"{model}hidden: [8]\nactivation: ReLU\nbatch_norm: false\ndropout: 0.0\n"
    )
    settings = composed(["data=mnist_canvas", *words], "conf").settings
    assert (settings["data"]["targets"], settings["data"]["num_classes"]) == (targets, classes)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("augment.mixup=0.2",), "augment.mixup=0.2 is for data.targets=classes, and these data have boxes"),
        (("data.targets=masks",), "task: Areas learns from boxes, and these data have masks"),
        (("augment.min_visible=1.5",), "augment.min_visible=1.5 is not possible"),
    ],
)
def test_what_does_not_fit_is_told_before_data_are_read(
    cnntrain: Command, words: tuple[str, ...], told: str
) -> None:
    is_told(cnntrain("train", *CANVAS, *TASK, *HOW, *words), told)


def test_a_key_of_boxes_is_refused_for_masks(torchless: Command) -> None:
    told = "augment.min_visible=0.3 is for data.targets=boxes, and these data have masks"
    is_told(torchless("train", "data=mnist_canvas", "model=unet", "augment.min_visible=0.3"), told)


def test_boxes_of_a_task_of_ones_own_are_drawn_and_written(cnntrain: Command) -> None:
    done = cnntrain("train", *CANVAS, *TASK, *HOW, "task._target_=areas.Finds", "out=r")
    assert done.code == 0, done.err
    Image.new("L", (64, 48)).save("a.png")
    assert cnntrain("predict", "r", "a.png", "--json", "a.json", "out=found").code == 0
    (box,) = json.loads(Path("a.json").read_text())
    assert (box["category_id"], box["score"], box["bbox"]) == (3, 0.75, [16.0, 12.0, 32.0, 24.0])
    assert {path.name for path in Path("found").iterdir()} >= {"labels", "overlays"}
    cnntrain("predict", "r", "a.png", "score=0.9", "--json", "b.json", "out=none")
    assert json.loads(Path("b.json").read_text()) == []
    found = package.load("r").predict(torch.zeros(1, 1, 48, 64, dtype=torch.uint8))
    assert found[0, 0, :4].tolist() == [16.0, 12.0, 48.0, 36.0]


def test_a_task_that_claims_to_find_boxes_has_the_method(cnntrain: Command) -> None:
    is_told(cnntrain("train", *CANVAS, *TASK, *HOW, "task._target_=areas.Claims"), "task: ", "boxes")
