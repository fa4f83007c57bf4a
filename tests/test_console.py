"""Long work shows progress on a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator

import pytest

from cnntrain.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Slow(list[int]):
    def __iter__(self) -> Iterator[int]:
        for item in super().__iter__():
            time.sleep(0.3)
            yield item


@pytest.mark.parametrize(
    ("screen", "verbose", "items", "shown"),
    [
        (Terminal(), 1, Slow([1, 2, 3]), True),
        (Terminal(), 1, [1, 2, 3], False),
        (Terminal(), 0, Slow([1, 2, 3]), False),
        (io.StringIO(), 1, Slow([1, 2, 3]), False),
    ],
    ids=["slow", "fast", "quiet", "pipe"],
)
def test_what_takes_more_than_a_moment_is_followed_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, screen: io.StringIO, verbose: int, items: list[int], shown: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", screen)
    assert list(Console(verbose).followed(items, "validating")) == [1, 2, 3]
    assert ("validating" in screen.getvalue()) == shown
