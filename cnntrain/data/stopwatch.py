"""How much of the time of training is spent on waiting for pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

Item = TypeVar("Item")


class Stopwatch:
    """Times both sides of an iterator: how long its items take to come, and what is done between them.

    On a GPU, work that is still queued there counts for neither: the share is what the program waits,
    which is at least what the GPU does.
    """

    def __init__(self) -> None:
        self.waited = self.worked = 0.0  # seconds

    @property
    def share(self) -> float:
        """Share of the time that was waited; 0 before anything was timed."""
        total = self.waited + self.worked
        return self.waited / total if total else 0.0

    def timed(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yield items as they come."""
        while True:
            begin = time.perf_counter()
            try:
                item = next(items)
            except StopIteration:
                return
            arrived = time.perf_counter()
            self.waited += arrived - begin
            yield item
            self.worked += time.perf_counter() - arrived
