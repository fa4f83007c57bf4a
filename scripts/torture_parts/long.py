"""Very many epochs in one process: memory, open files and the time of an epoch stay as they are."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from torture_parts.child import largest_memory
from torture_parts.harness import Case, Part
from torture_parts.runs import TINY

LONGEST = 1200.0  # seconds
GROWTH = 30  # MiB that memory may grow between the first quarter and the last
SLOWER = 1.5  # by how much an epoch of the last quarter may be slower than one of the second


@dataclass
class Seen:
    """A look at a process that trains.

    Attributes:
        memory: bytes.
        files: that are open.
        seconds: of the processor, which does not depend on what else runs on the machine.
        epochs: that are done.
    """

    memory: int
    files: int
    seconds: float
    epochs: int


def attempt(case: Case, number: int) -> None:
    """Train for many epochs: 2,000 at full counts, else fewer; look at the process while it does."""
    total = EPOCHS[number % len(EPOCHS)]
    arguments = [one for one in TINY if not one.startswith("epochs")]
    more = ((), ("augment=digits", "save_every_steps=3"), ("workers=1", "ema=0.9"))[number % 3]
    child = case.start("train", *arguments, *more, f"epochs={total}", "limit=32", "out=run", "-q")
    seen: list[Seen] = []
    while child.poll() is None and time.monotonic() < child.begun + LONGEST:
        time.sleep(0.05)
        with contextlib.suppress(OSError, IndexError):
            seen.append(look(child.pid, case.folder / "run/metrics.csv"))
    case.succeeds(case.finished(child, timeout=LONGEST))
    with (case.folder / "run/metrics.csv").open() as file:
        epochs = sum(1 for _ in file) - 1
    case.must(epochs == total, f"{epochs} epochs in metrics.csv, not {total}")
    # After the last epoch, the command opens other files: it loads the best weights and writes the summary.
    for fault in growth([one for one in seen if one.memory and 0 < one.epochs < total]):
        case.must(False, fault)


def look(pid: int, metrics: Path) -> Seen:
    """Look at a process that trains."""
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime to cstime
    return Seen(largest_memory(pid), files, seconds, metrics.read_bytes().count(b"\n") - 1)


def growth(seen: list[Seen]) -> list[str]:
    """Return what grew from the second quarter of a run to its last."""
    quarter = len(seen) // 4
    if quarter < 2:
        return []
    early, late = seen[quarter : 2 * quarter], seen[-quarter:]
    found = []
    before, after = (statistics.median(one.memory for one in part) / 2**20 for part in (early, late))
    if after - before > GROWTH:
        found.append(f"memory grew from {before:.0f} to {after:.0f} MiB")
    # The fewest of each quarter: a file that stays open counts in every look.
    files = [min(one.files for one in part) for part in (early, late)]
    if files[1] > files[0] + 1:
        found.append(f"open files grew from {files[0]} to {files[1]}")
    epochs = [part[-1].epochs - part[0].epochs for part in (early, late)]
    if min(epochs) >= 10:
        first, last = ((p[-1].seconds - p[0].seconds) / n for p, n in zip((early, late), epochs, strict=True))
        if last > first * SLOWER + 0.002:
            found.append(f"an epoch took {first:.4f} s of the processor, in the end {last:.4f} s")
    return found


EPOCHS = (40, 2000, 500)  # of cases 0, 1 and 2
LONG = Part("long", "2,000 epochs in one process: memory, files, time of an epoch", 3, 1, attempt)
