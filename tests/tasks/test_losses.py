"""Losses are means over the examples, whatever the batch size; a loss that is no mean is refused."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Command, is_told
from torch import nn

from cnntrain.compute.ddp import Shard
from cnntrain.loop import evaluate, train_epoch
from cnntrain.tasks.classification.metrics import ClassificationEvaluation
from cnntrain.tasks.losses import weighed, weigher

RUN = (*TINY, "precision=fp32", "channels_last=false", "threads=1", "data.split_seed=0")
WEIGHTS = "++criterion.weight=[1,2,3,4,5,1,1,1,1,9]"
LOSSES = """
import torch
from torch import nn
from torch.nn import functional as F

class Weighted(nn.Module):  # divides by the weights of the labels, which it tells no one
    def forward(self, logits, y):
        return F.cross_entropy(logits, y, weight=torch.arange(1.0, logits.shape[1] + 1))

class Root(nn.Module):
    def forward(self, logits, y):
        return F.cross_entropy(logits, y).sqrt()

class Mean(nn.Module):
    def forward(self, logits, y):
        return F.cross_entropy(logits, y, reduction="none").pow(2).mean()

class Tolerant(nn.Module):  # 0 for logits of noise
    def forward(self, logits, y):
        return (F.cross_entropy(logits, y, reduction="none") - 8).clamp(min=0).mean()

class TolerantSum(nn.Module):
    def forward(self, logits, y):
        return (F.cross_entropy(logits, y, reduction="none") - 8).clamp(min=0).sum()

class Zero(nn.Module):
    def forward(self, logits, y):
        return 0 * logits.mean()

class Noisy(nn.Module):
    def forward(self, logits, y):
        return F.cross_entropy(logits + torch.randn_like(logits), y)
"""


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["+criterion.reduction=sum"], ["is a sum over the examples", "criterion.reduction=mean"]),
        (["criterion._target_=losses.Weighted"], ["Weighted is not a mean over the examples"]),
        (["criterion._target_=losses.TolerantSum"], ["TolerantSum is a sum over the examples"]),
        (["criterion._target_=losses.Root"], ["Root is not a mean over the examples"]),
        (["+criterion.ignore_index=3"], ["criterion.ignore_index=3 leaves out a class"]),
        (["+criterion.weight=[1,1,1,1,1,1,1,1,1,0]"], ["the weights of classes are above 0"]),
        (["+criterion.weight=[1,2]"], ["criterion.weight=[1,2]", "takes 10 numbers, one per class"]),
        ([WEIGHTS, "balance_classes=true"], ["balance_classes=true and criterion.weight", "leave one out"]),
    ],
)
def test_a_loss_that_is_no_mean_is_refused(cnntrain: Command, words: list[str], parts: list[str]) -> None:
    Path("losses.py").write_text(LOSSES)
    is_told(cnntrain("train", *RUN, *words), *parts)


@pytest.mark.parametrize("loss", ["Mean", "Noisy", "Tolerant", "Zero"])
def test_a_mean_of_ones_own_trains(cnntrain: Command, loss: str) -> None:
    Path("losses.py").write_text(LOSSES)
    assert cnntrain("train", *RUN, "limit=32", f"criterion._target_=losses.{loss}").code == 0


def losses(run: str) -> dict[str, float]:
    (row,) = csv.DictReader(Path(run, "metrics.csv").read_text().splitlines())
    return {name: float(row[name]) for name in ("train_loss", "val_loss")}


def weights(run: str) -> dict[str, torch.Tensor]:
    return torch.load(Path(run) / "checkpoints" / "last.pt", weights_only=True)["model"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("weighted", [[WEIGHTS], ["balance_classes=true"]])
def test_class_weights_give_the_same_losses_and_steps_however_a_batch_is_cut(
    cnntrain: Command, weighted: list[str]
) -> None:
    run = ("train", *RUN, *weighted, "batch_size=60", "limit=60", "optim=sgd")
    assert cnntrain(*run, "out=whole").code == 0
    assert cnntrain(*run, "accumulate=7", "eval_batch_size=3", "out=cut").code == 0
    assert losses("cut") == pytest.approx(losses("whole"), rel=1e-5)
    for name, weight in weights("cut").items():
        assert torch.allclose(weight, weights("whole")[name], atol=1e-6), name


def test_a_weighted_epoch_is_torchs_weighted_mean() -> None:
    torch.manual_seed(0)
    model, x, y = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), torch.randn(10, 1, 2, 2), torch.arange(10) % 3
    criterion = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 0.1]), label_smoothing=0.1)
    expected = criterion(model(x), y).item()
    batches = list(zip(x.split(4), y.split(4), strict=True))
    assert evaluate(
        model, batches, criterion, ClassificationEvaluation(torch.device("cpu"), 3)
    ).loss == pytest.approx(expected)
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    assert train_epoch(model, batches, criterion, still, accumulate=2).loss == pytest.approx(expected)


def test_processes_count_as_much_as_the_classes_of_their_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    others = torch.tensor(7.0)  # the weight of the other process's part
    monkeypatch.setattr("torch.distributed.all_reduce", lambda whole: whole.add_(others))
    shard = Shard(0, 2)
    weigh = weigher(nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0])))
    batches: Any = iter([(torch.zeros(3, 1), torch.tensor([0, 1, 1]))])
    for _ in weighed(batches, weigh, shard):
        assert shard.weight == pytest.approx(5 * 2 / 12)
    assert weigh(torch.full((3, 2), 0.5)) == 3  # shares of the classes are divided by their number
