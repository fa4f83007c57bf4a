"""``ema=0.999``: the average of the weights is what is validated and kept; training goes on without it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, is_told
from torch import nn

from cnntrain.optim.ema import MovingAverage

SMALL = (
    "limit=200",
    "epochs=1",
    "batch_size=20",
    "model.channels=[4]",
    "model.batch_norm=true",
    "report=false",
    "precision=fp32",
    "channels_last=false",
    "threads=1",
)


def state(run: str, name: str = "last") -> dict[str, Any]:
    return torch.load(Path(run) / "checkpoints" / f"{name}.pt", weights_only=True)  # type: ignore[no-any-return]


def test_it_is_the_exponential_moving_average() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average = MovingAverage(model, decay=0.5)
    expected = 0.0
    for step in range(6):
        with torch.no_grad():
            model[0].weight.fill_(float(step + 1))
        model[1].num_batches_tracked += 1
        average.update(model)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = step + 1 if step == 0 else decay * expected + (1 - decay) * (step + 1)
    assert average.model[0].weight.item() == pytest.approx(expected)
    assert average.model[1].num_batches_tracked == 6


def test_training_is_the_same_and_the_average_is_kept(cnntrain: Command) -> None:
    assert "averaged over steps (ema 0.9)" in cnntrain("train", *SMALL, "ema=0.9", "out=averaged").out
    cnntrain("train", *SMALL, "out=plain")
    averaged, plain = state("averaged"), state("plain")["model"]
    assert all(torch.equal(averaged["model_in_training"][name], plain[name]) for name in plain)
    assert not any(torch.equal(averaged["model"][n], plain[n]) for n in plain if n.endswith("weight"))
    *_, row = csv.DictReader(Path("averaged/metrics.csv").read_text().splitlines())
    assert f"{float(row['val_loss']):.4f}" in cnntrain("eval", "averaged", "split=val").out


def test_it_is_resumed_bit_identically(cnntrain: Command) -> None:
    run = ("train", *SMALL, "schedule=constant", "ema=0.9")
    cnntrain(*run, "epochs=2", "out=whole")
    cnntrain(*run, "epochs=1", "out=parts")
    assert cnntrain("resume", "parts", "epochs=2").code == 0
    for part in ("model", "model_in_training"):
        whole, parts = state("whole")[part], state("parts")[part]
        assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_decay_of_1_is_told(torchless: Command) -> None:
    is_told(torchless("train", "ema=1"), "ema=1 is not possible", "from 0 to below 1")
