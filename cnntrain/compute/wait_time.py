"""The share of the training time that is spent waiting for images."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import TypeVar

import torch

Item = TypeVar("Item")


class Stopwatch:
    """Times both sides of an iterator: how long its items take to come, and what is done between them.

    A GPU works while the program goes on. So only some items are timed there, and the GPU is waited for
    before and after: what it has still to do would hide how long the images take, or the step.

    Args:
        device: on which the items are worked on.

    Attributes:
        waited: seconds for items.
        worked: seconds of work between them.
        started: seconds for the first item of each iterator, part of ``waited``: the time in which worker
            processes start.
    """

    SAMPLED = 16  # items for each one that is timed, on a GPU

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.waited = self.worked = self.started = 0.0

    @property
    def share(self) -> float:
        """Share of the time that was waited; 0 before anything was timed."""
        total = self.waited + self.worked
        return self.waited / total if total else 0.0

    def timed(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yield items as they come."""
        for number in itertools.count():
            is_timed = self.device.type != "cuda" or number % self.SAMPLED == self.SAMPLED - 1
            begin = self.now(is_timed)
            try:
                item = next(items)
            except StopIteration:
                return
            arrived = self.now(is_timed)
            yield item
            if is_timed:
                stands_for = 1 if self.device.type != "cuda" else self.SAMPLED
                waited = stands_for * (arrived - begin)
                self.waited += waited
                self.started += waited if number == 0 else 0.0
                self.worked += stands_for * (self.now(is_timed) - arrived)

    def now(self, is_timed: bool) -> float:
        """Return the time, once the GPU has finished its work."""
        if is_timed and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
