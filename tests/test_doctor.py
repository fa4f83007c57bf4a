"""The training doctor: each illness is found where it is planted, and nothing where all is well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command

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
    found, out = trained(cnntrain, f"model={model}", f"optim={optim}", "epochs=2", "limit=1200")
    assert found == [] and "doctor" not in out


def test_a_high_loss_is_no_illness_where_the_accuracy_is_good(cnntrain: Command) -> None:
    """Smoothed labels, and many classes at first."""
    assert trained(cnntrain, "model=mlp", "epochs=1", "criterion.label_smoothing=0.6")[0] == []


@pytest.mark.parametrize(
    ("finding", "arguments"),
    [
        ("the images are not normalised", ["data.std=[0.001]", "epochs=1"]),
        ("the learning rate is too high", ["optim.lr=3", "epochs=1"]),
        ("the learning rate is too high", ["optim=sgd", "optim.lr=1", "epochs=1"]),
        ("the learning rate is too low", ["optim=sgd", "optim.lr=1e-7", "epochs=1"]),
        ("dead ReLUs", ["optim.lr=0.1", "epochs=2"]),
        ("it overfits", ["limit=200", "batch_size=20", "epochs=14"]),
    ],
)
def test_an_illness_is_found_and_its_mend_mends_it(
    cnntrain: Command, finding: str, arguments: list[str]
) -> None:
    found, out = trained(cnntrain, "model=mlp", *arguments)
    assert [f["finding"] for f in found] == [finding]
    assert out.count("doctor:") == 1 and finding in out and found[0]["evidence"] in out
    mend = found[0]["mend"].partition(" or ")[0].replace("'", "").split(" ")
    after, _ = trained(cnntrain, "model=mlp", *arguments, *mend)
    assert finding not in [f["finding"] for f in after], after
    final = [json.loads(Path(f"run{n}/summary.json").read_text())["final"] for n in (0, 1)]
    if finding == "it overfits":
        gaps = [row["train_accuracy"] - row["val_accuracy"] for row in final]
        assert gaps[1] < 0.5 * gaps[0]
    else:
        assert final[1]["val_loss"] < final[0]["val_loss"]


def test_imbalance_is_found_and_balanced_classes_mend_it(cnntrain: Command) -> None:
    rare = ["model=mlp", "epochs=2", *planted("rare")]
    found, _ = trained(cnntrain, *rare)
    assert [f["finding"] for f in found] == ["the classes are imbalanced"]
    assert found[0]["evidence"].endswith(" of 3")
    assert trained(cnntrain, *rare, "balance_classes=true")[0] == []
    recalls = [json.loads(Path(f"run{n}/summary.json").read_text())["per_class"] for n in (0, 1)]
    assert recalls[1][3]["recall"] >= recalls[0][3]["recall"]


def test_wrong_labels_are_found(cnntrain: Command) -> None:
    found, _ = trained(cnntrain, "model=mlp", "epochs=3", *planted("noise"))
    assert [f["finding"] for f in found] == ["labels look wrong"]
    found, _ = trained(cnntrain, "model=mlp", "epochs=2", *planted("random"))
    assert [f["finding"] for f in found] == ["one batch is learnt by heart, but not the training set"]


def test_a_model_that_gradients_do_not_reach_is_found(cnntrain: Command) -> None:
    Path("stuck.py").write_text(
        "from cnntrain.models import MLP\n\nclass Net(MLP):\n"
        "    def forward(self, x):\n        return 0 * super().forward(x)\n"
    )
    found, _ = trained(cnntrain, "model._target_=stuck.Net", "model.hidden=[16]", "epochs=1", "optim=sgd")
    assert [f["finding"] for f in found] == ["the model can't even learn one batch by heart"]


def test_a_slow_loader_is_found(cnntrain: Command) -> None:
    Path("sick.py").write_text(SICK)
    slow = ["model=mlp", "limit=800", "epochs=1", "data.source._target_=sick.Slow"]
    found, _ = trained(cnntrain, *slow, "data.cache=off")
    assert [f["finding"] for f in found] == ["training is bound by the loader"]
    assert found[0]["mend"].startswith("data.cache=auto")


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_it_changes_no_bit_of_the_training(cnntrain: Command, model: str) -> None:
    run = (f"model={model}", "limit=100", "epochs=2", "augment=digits", "model.dropout=0.2")
    trained(cnntrain, *run)
    trained(cnntrain, *run, "doctor=false")
    states: list[dict[str, Any]] = [
        torch.load(f"run{n}/checkpoints/last.pt", weights_only=True) for n in (0, 1)
    ]
    assert all(torch.equal(states[0]["model"][name], w) for name, w in states[1]["model"].items())
    assert torch.equal(states[0]["random"]["torch"], states[1]["random"]["torch"])
