"""`cnntrain explain loader`: what it measures is what it sleeps, and what it says follows from that."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told
from image_tree import digits
from torch import Tensor, nn

from cnntrain.compute.precision import Precision
from cnntrain.explain.sentences import on_waiting
from cnntrain.explain.setup import TrainingSetup
from cnntrain.explain.topics.training.loader import take
from cnntrain.tasks import Classification

PLAIN = ("precision=fp32", "threads=1", "channels_last=false")


def test_the_epoch_is_timed_by_several_pipelines(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "loader", "limit=160", "batch_size=16", *PLAIN, "out=l")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [re.split(r"\s{2,}", line) for line in outcome.out.splitlines()]
    table = {line[0]: line[1:] for line in lines if len(line) == 6 and line[0] != "pipeline"}
    assert list(table) == [*(f"DataLoader, num_workers={n}" for n in (0, 2, 4)), "cnntrain, in memory"]
    for _, waited, worked, share, speed in table.values():
        wait, work = float(waited.removesuffix(" ms")), float(worked.removesuffix(" ms"))
        assert float(share.rstrip("%")) == pytest.approx(100 * wait / (wait + work), abs=1.5)
        assert float(speed.replace(",", "")) == pytest.approx(16 / (wait + work) * 1000, rel=0.1)
    assert Path("l/loader.png").read_bytes().startswith(b"\x89PNG\r\n")


class Slow(nn.Module):
    """A network that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.03)
        return self.layer(x)


def test_each_wait_and_each_step_is_timed() -> None:
    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            time.sleep(0.02)
            yield torch.rand(8, 4), torch.zeros(8, dtype=torch.int64)

    model, device = Slow(), torch.device("cpu")
    parts = TrainingSetup.__new__(TrainingSetup)
    parts.model, parts.device, parts.criterion = model, device, nn.CrossEntropyLoss()
    parts.task, parts.precision = Classification((1, 2, 2), 2), Precision("fp32", device)
    parts.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    timed = take(parts, batches(), 5)
    assert len(timed.waited) == len(timed.worked) == 5
    assert all(wait >= 0.02 for wait in timed.waited) and all(work >= 0.03 for work in timed.worked)
    assert timed.share == pytest.approx(0.4, abs=0.1)
    assert len(timed.steady.waited) == 3


def test_images_that_are_streamed_are_refused(cnntrain: Command) -> None:
    digits(Path("images"))
    outcome = cnntrain("explain", "loader", "data=folder", "data.root=images", "data.cache=off", *PLAIN)
    is_told(outcome, "needs images in memory")


def test_what_is_said_follows_from_the_shares() -> None:
    assert "40% of the time with a, and 2% with b" in on_waiting({"a": 0.4, "b": 0.02})
    assert "c waits even longer" in on_waiting({"a": 0.4, "b": 0.02, "c": 0.6})
    assert "about as long in all of them" in on_waiting({"a": 0.04, "b": 0.02})
