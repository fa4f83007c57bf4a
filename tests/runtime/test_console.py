"""Long work shows progress on a terminal, and nowhere else."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Iterator

import pytest
from conftest import TINY
from terminal import on_terminal

from cnntrain.runtime import console
from cnntrain.runtime.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Slow(list[int]):
    def __iter__(self) -> Iterator[int]:
        for item in super().__iter__():
            time.sleep(0.1)
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
    monkeypatch.setattr(console, "MOMENT_SECONDS", 0.1)
    assert list(Console(verbose).followed(items, "validating")) == [1, 2, 3]
    assert ("validating" in screen.getvalue()) == shown


def test_a_run_on_a_terminal_of_80_columns_shows_a_bar_and_cuts_no_line() -> None:
    code, written = on_terminal(80, "train", *TINY, "epochs=2", "precision=fp32", "threads=1")
    assert code == 0, written
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written)
    assert re.search(r"\repoch 1/2 +\d+%\|.*\| \d+/7 \[", plain)
    lines = [line.rpartition("\r")[2] for line in plain.replace("\r\n", "\n").splitlines()]
    assert [line for line in lines if len(line) > 80 and " " in line.strip()] == []
    assert len([line for line in lines if re.match(r" *[12]/2 ", line)]) == 2
