"""How long training waits for its images: one measure for the screen and for the doctor."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from cnntrain.compute.wait_time import Stopwatch


def slow(seconds: tuple[float, ...]) -> Iterator[int]:
    for number, pause in enumerate(seconds):
        time.sleep(pause)
        yield number


def test_both_sides_of_an_iterator_are_timed_and_the_first_item_apart() -> None:
    watch = Stopwatch(torch.device("cpu"))
    assert watch.share == 0
    for _ in watch.timed(slow((0.2, 0.05))):
        time.sleep(0.05)
    assert watch.started >= 0.2 and watch.waited >= watch.started + 0.05 and watch.worked >= 0.1
    assert watch.share == watch.waited / (watch.waited + watch.worked)
