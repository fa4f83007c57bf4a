"""The training doctor: each problem is found where it is planted, and nothing where all is well."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command

from cnntrain.compute.wait_time import Stopwatch
from cnntrain.config.compose import compose, plain
from cnntrain.config.sections import DoctorSettings
from cnntrain.tasks import Classification
from cnntrain.tasks.classification.doctor import gap_of_kept
from cnntrain.tasks.classification.predictions import ImagePredictions
from cnntrain.training.doctor.diagnosis import waiting
from cnntrain.training.doctor.overfit_batch import overfit

SICK = """\
import time
import torch
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.sources import MNISTMini

class Sick(InMemoryDataset):
    def __init__(self, train, illness):
        digits, generator = MNISTMini(train=train), torch.Generator().manual_seed(0)
        images, labels = digits.images, digits.labels.clone()
        chance = torch.rand(len(labels), generator=generator)
        anything = torch.randint(0, 10, (len(labels),), generator=generator)
        if illness == "random":
            labels = anything
        elif illness == "half":
            labels = torch.where(chance < 0.5, anything, labels)
        elif illness == "noise":
            labels = torch.where(chance < 0.15, anything, labels)
        elif illness == "rare":
            keep = (labels != 3) | (chance < 0.05)
            images, labels = images[keep], labels[keep]
        super().__init__(images, labels, digits.class_names)

class Slow(torch.utils.data.Dataset):
    def __init__(self, train):
        self.digits = MNISTMini(train=train)
        self.targets, self.classes = self.digits.labels, self.digits.class_names
        self.seconds = 0.002 if train else 0.0
    def __len__(self):
        return len(self.digits)
    def __getitem__(self, index):
        time.sleep(self.seconds)
        image, label = self.digits[index]
        return image, int(label)
"""
SHORT = ("epochs=1", "limit=1000")
FIXED = ("precision=fp32", "threads=1", "channels_last=false", "report=false")


def findings(folder: str) -> list[dict[str, str]]:
    return json.loads(Path(folder, "summary.json").read_text())["findings"]  # type: ignore[no-any-return]


def trained(cnntrain: Command, *arguments: str) -> tuple[list[dict[str, str]], str]:
    """What was found, and what was printed."""
    number = len(list(Path().glob("run*")))
    outcome = cnntrain("train", *FIXED, *arguments, f"out=run{number}")
    assert outcome.code == 0, outcome.err
    return findings(f"run{number}"), outcome.out


def planted(illness: str) -> list[str]:
    Path("sick.py").write_text(SICK)
    return ["data.source._target_=sick.Sick", f"+data.source.illness={illness}"]


@pytest.mark.parametrize("optim", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_it_says_nothing_of_healthy_runs(cnntrain: Command, model: str, optim: str) -> None:
    found, out = trained(cnntrain, f"model={model}", f"optim={optim}", "epochs=2", "limit=600")
    assert found == [] and "doctor" not in out and "balanced accuracy" not in out


def test_a_high_loss_is_no_problem_where_the_accuracy_is_good(cnntrain: Command) -> None:
    """Smoothed labels, and many classes at first."""
    assert trained(cnntrain, "model=mlp", "epochs=1", "criterion.label_smoothing=0.6")[0] == []


@pytest.mark.parametrize(
    ("finding", "arguments"),
    [
        ("the images are not normalised", ["data.std=[0.001]", *SHORT]),
        ("the learning rate is too high", ["optim.lr=3", *SHORT]),
        ("the learning rate is too high", ["optim=sgd", "optim.lr=1", *SHORT]),
        ("the learning rate is too low", ["optim=sgd", "optim.lr=1e-7", *SHORT]),
        ("dead ReLUs", ["optim.lr=0.1", "epochs=2", "limit=1500"]),
        ("it overfits", ["limit=200", "batch_size=20", "epochs=10"]),
    ],
)
def test_a_problem_is_found_and_the_suggested_fix_helps(
    cnntrain: Command, finding: str, arguments: list[str]
) -> None:
    found, out = trained(cnntrain, "model=mlp", *arguments)
    assert [f["finding"] for f in found] == [finding]
    assert out.count("doctor:") == 1 and finding in out and found[0]["evidence"] in out
    fix = found[0]["fix"].partition(" or ")[0].replace("'", "").split(" ")
    after, _ = trained(cnntrain, "model=mlp", *arguments, *fix)
    assert finding not in [f["finding"] for f in after], after
    final = [json.loads(Path(f"run{n}/summary.json").read_text())["final"] for n in (0, 1)]
    if finding == "it overfits":
        gaps = [row["train_accuracy"] - row["val_accuracy"] for row in final]
        assert gaps[1] < 0.5 * gaps[0]
    else:
        assert final[1]["val_loss"] < final[0]["val_loss"]


def test_imbalance_is_found_and_balanced_classes_help(cnntrain: Command) -> None:
    rare = ["model=mlp", "epochs=2", "limit=2000", *planted("rare")]
    found, out = trained(cnntrain, *rare)
    assert [f["finding"] for f in found] == ["the classes are imbalanced"]
    test = json.loads(Path("run0/summary.json").read_text())["test"]
    told = f"balanced accuracy {test['balanced_accuracy']:.2%}, macro F1 {test['macro_f1']:.2%}"
    assert told in out and told in cnntrain("eval", "run0").out
    assert json.loads(Path("run0/eval_test.json").read_text())["macro_f1"] == test["macro_f1"]
    assert found[0]["evidence"].endswith(" of 3")
    assert trained(cnntrain, *rare, "balance_classes=true")[0] == []
    recalls = [json.loads(Path(f"run{n}/summary.json").read_text())["per_class"] for n in (0, 1)]
    assert recalls[1][3]["recall"] >= recalls[0][3]["recall"]


def test_wrong_labels_are_found(cnntrain: Command) -> None:
    found, _ = trained(cnntrain, "model=mlp", "epochs=3", "limit=2000", *planted("noise"))
    assert [f["finding"] for f in found] == ["labels look wrong"]
    found, _ = trained(cnntrain, "model=mlp", "epochs=2", *planted("random"))
    assert [f["finding"] for f in found] == ["the model memorises one batch, but not the training set"]


@pytest.mark.parametrize(
    "forward",
    [
        "0 * super().forward(x)",
        "super().forward(0 * x)",  # whose loss falls to the entropy of the labels, by its biases
        "super().forward(x).detach() * 0 + self.output.bias",
    ],
)
def test_a_model_that_gradients_do_not_reach_is_found(cnntrain: Command, forward: str) -> None:
    Path("stuck.py").write_text(
        "from cnntrain.models import MLP\n\nclass Net(MLP):\n"
        f"    def forward(self, x):\n        return {forward}\n"
    )
    found, _ = trained(
        cnntrain, "model._target_=stuck.Net", "model.hidden=[16]", "epochs=1", "optim=sgd", "limit=4000"
    )
    assert [f["finding"] for f in found] == ["the model can't overfit even one batch"]


SMALL_NET = """\
from torch import nn

class Net(nn.Sequential):
    def __init__(self, in_channels, num_classes, softmax=False):
        layers = [nn.Conv2d(in_channels, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(*layers, nn.Linear(8, num_classes), *([nn.Softmax(1)] if softmax else []))
"""


def test_a_small_sound_network_is_called_slow_and_not_broken(cnntrain: Command) -> None:
    Path("small.py").write_text(SMALL_NET)
    small = ["model._target_=small.Net", "limit=1000", "epochs=4"]
    found, _ = trained(cnntrain, *small)
    assert [(f["finding"], f["fix"]) for f in found] == [("training is too slow", "optim.lr=1e-1")]
    assert "16 images alone: loss 2.4 to 0." in found[0]["evidence"]
    assert trained(cnntrain, *small, found[0]["fix"])[0] == []


def test_each_call_of_a_relu_that_a_model_uses_again_counts_by_itself(cnntrain: Command) -> None:
    Path("again.py").write_text(
        "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n"
        "    def __init__(self, in_channels, num_classes):\n        super().__init__()\n"
        "        self.first = nn.Conv2d(in_channels, 8, 3, stride=2)\n"
        "        self.second = nn.Conv2d(8, 16, 3, stride=2)\n"
        "        nn.init.constant_(self.second.bias, -100)\n"
        "        self.relu = nn.ReLU()\n"
        "        self.output = nn.Linear(8 * 13 * 13 + 16 * 6 * 6, num_classes)\n"
        "    def forward(self, x):\n"
        "        x = self.relu(self.first(x))\n"
        "        return self.output(torch.cat([x.flatten(1), self.relu(self.second(x)).flatten(1)], 1))\n"
    )
    found, _ = trained(cnntrain, "model._target_=again.Net", "epochs=1")
    dead = [finding["evidence"] for finding in found if finding["finding"] == "dead ReLUs"]
    assert len(dead) == 1 and "of the 16 units of relu, call 2 are 0" in dead[0]


def test_a_doctor_that_fails_costs_no_run(cnntrain: Command) -> None:
    Path("stuck.py").write_text(
        "from cnntrain.models import MLP\n\nclass Net(MLP):\n"
        "    def forward(self, x):\n        return 0 * super().forward(x)\n"
        "    def __deepcopy__(self, memo):\n        raise TypeError('one of a kind')\n"
    )
    words = ("model._target_=stuck.Net", "model.hidden=[16]", "epochs=1", "optim=sgd", "out=run")
    outcome = cnntrain("train", *FIXED, *words)
    assert outcome.code == 0
    assert "warning the training can't be checked for problems: " in outcome.err
    assert "one of a kind" in outcome.err and "Traceback" not in outcome.err
    assert findings("run") == []


def test_a_softmax_before_the_loss_is_found(cnntrain: Command) -> None:
    Path("small.py").write_text(SMALL_NET)
    short = ("limit=500", "batch_size=16", "epochs=4", "data.image_size=14")
    found, _ = trained(cnntrain, "model._target_=small.Net", "+model.softmax=true", "optim.lr=1e-2", *short)
    assert [f["finding"] for f in found] == ["the model ends in a softmax, and the loss applies another"]


# Random labels, which a network can only memorise: far apart on the training images as they are, near chance
# on others. Augmentation and dropout keep the accuracy of the epoch itself low, mixing makes it mean little.
MEMORISES = ("model=mlp", "limit=150", "batch_size=20", "schedule=constant")


@pytest.mark.parametrize(
    "hidden",
    [
        ["epochs=30", "model.dropout=0.6"],
        ["epochs=25", "augment.mixup=0.4"],
        ["epochs=25", "ema=0.9"],
    ],
)
def test_plain_overfitting_is_found_whatever_hides_it(cnntrain: Command, hidden: list[str]) -> None:
    found, _ = trained(cnntrain, *MEMORISES, *planted("half"), "monitor=val_accuracy", *hidden)
    check_gap(found, images=150)


def test_plain_overfitting_is_found(cnntrain: Command) -> None:
    found, _ = trained(cnntrain, "model=mlp", "limit=60", "batch_size=20", "epochs=15")
    check_gap(found, images=60)


def check_gap(found: list[dict[str, str]], images: int) -> None:
    (overfits,) = (f for f in found if f["finding"] == "it overfits")
    shares = re.search(
        rf"([\d.]+)% of {images} training images right .*, ([\d.]+)% of 50\d", overfits["evidence"]
    )
    assert shares is not None and float(shares[1]) - float(shares[2]) > 15, overfits


def test_few_validation_images_are_told(cnntrain: Command) -> None:
    few = ["model=mlp", "epochs=2", "data.val_fraction=0.008", "limit=1200"]
    found, _ = trained(cnntrain, *few)
    (told,) = found
    assert told["finding"] == "few validation images"
    images = int(re.match(r"\d+", told["evidence"])[0])  # type: ignore[index]
    assert 20 <= images < 50
    assert told["evidence"].endswith(
        f"choose the best of 2 epochs: one image is {100 / images:.1f} points of accuracy"
    )
    assert told["fix"].startswith("monitor=val_loss or data.val_fraction=0.")
    assert trained(cnntrain, *few, "data.val_fraction=0.1")[0] == []
    assert trained(cnntrain, *few, "epochs=1")[0] == []  # nothing to choose from


def test_a_slow_loader_is_found(cnntrain: Command) -> None:
    Path("sick.py").write_text(SICK)
    slow = ["model=mlp", "limit=800", "epochs=1", "data.val_fraction=0", "data.source._target_=sick.Slow"]
    found, out = trained(cnntrain, *slow, "data.cache=off")
    assert [f["finding"] for f in found] == ["data loading limits the speed"]
    assert found[0]["fix"].startswith("data.cache=auto")
    (shown,) = re.findall(r"data loading: (\d+%) of training time", out)
    assert found[0]["evidence"] == f"steps wait for their images {shown} of the time"


def test_augmentation_of_images_in_memory_is_no_slow_loader() -> None:
    """No worker takes it over."""
    for is_streamed, shift, finds in ((False, 2, False), (True, 2, True), (False, 0, True)):
        settings = DoctorSettings.from_config(plain(compose([f"augment.shift={shift}"])))
        found = waiting(settings, stopwatch(waited=3.0, worked=1.0), is_streamed)
        assert (found is not None) == finds
        assert found is None or found.evidence == "steps wait for their images 75% of the time"


def test_the_wait_for_workers_to_start_is_no_slow_loader() -> None:
    settings = DoctorSettings.from_config(plain(compose([])))
    assert waiting(settings, stopwatch(waited=5.0, worked=1.0, started=4.5), True) is None
    assert waiting(settings, stopwatch(waited=5.0, worked=1.0, started=0.5), True) is not None


def stopwatch(waited: float, worked: float, started: float = 0.0) -> Stopwatch:
    watch = Stopwatch(torch.device("cpu"))
    watch.waited, watch.worked, watch.started = waited, worked, started
    return watch


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_it_changes_no_bit_of_the_training(cnntrain: Command, model: str) -> None:
    run = [f"model={model}", "limit=100", "epochs=2", "augment=digits", "model.dropout=0.2"]
    run += ["model.channels=[4,8]"] if model == "cnn" else []
    trained(cnntrain, *run)
    trained(cnntrain, *run, "doctor=false")
    states: list[dict[str, Any]] = [
        torch.load(f"run{n}/checkpoints/last.pt", weights_only=True) for n in (0, 1)
    ]
    assert all(torch.equal(states[0]["model"][name], w) for name, w in states[1]["model"].items())
    assert torch.equal(states[0]["random"]["torch"], states[1]["random"]["torch"])


def test_a_probe_that_overflows_counts_as_nothing_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnntrain.training.doctor.overfit_batch.RATES", (1e30, 1e-2))  # the first ends in NaN
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 64), torch.nn.ReLU())
    model.append(torch.nn.Linear(64, 4))
    probe = Classification((1, 4, 4), 4).memorization_test
    found = overfit(model, torch.randn(12, 1, 4, 4), torch.arange(12) % 4, probe)
    assert found is not None and (found.images, found.rate) == (12, 1e-2) and found.left < 0.5
    one_class = torch.zeros(12, dtype=torch.int64)
    assert overfit(model, torch.randn(12, 1, 4, 4), one_class, probe) is None


@pytest.mark.parametrize(
    ("train", "val", "is_told"),
    [
        ((48, 48), (0, 2), False),  # too few to say anything
        ((48, 48), (0, 10), True),
        ((48, 48), (10, 12), False),
        ((12, 12), (8, 10), False),
        ((500, 500), (400, 500), True),
    ],
)
def test_a_gap_counts_from_what_few_images_leave_of_it(
    train: tuple[int, int], val: tuple[int, int], is_told: bool
) -> None:
    def seen(right: int, count: int) -> ImagePredictions:
        predicted = (torch.arange(count) >= right).long()
        return ImagePredictions(torch.zeros(count, dtype=torch.int64), predicted, torch.ones(count))

    assert bool(gap_of_kept(seen(*train), seen(*val))) == is_told
