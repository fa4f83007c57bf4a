"""The load of the machine: other processes make what is timed here slower than on a quiet machine."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

TOLERANCE = 0.25  # of a core: what the system itself does, and the resolution of the counters


def is_loaded() -> bool:
    """Return whether more threads wanted to run in the last minute than the machine has cores."""
    try:
        return os.getloadavg()[0] > (os.cpu_count() or 1)
    except (OSError, AttributeError):  # a system that does not say
        return False


@dataclass(frozen=True)
class ProcessorTime:
    """Processor time up to a moment, in seconds.

    Args:
        wall: the moment, by the monotonic clock.
        used: the time of all processes on all cores; None where the system does not say.
        own: the time of this process and its children.
    """

    wall: float
    used: float | None
    own: float

    @classmethod
    def now(cls) -> ProcessorTime:
        """Read the counters."""
        times = os.times()
        own = times.user + times.system + times.children_user + times.children_system
        return cls(time.monotonic(), used_by_all(), own)


def used_by_all() -> float | None:
    """Return the seconds that all cores together have worked since the machine started (proc_stat(5))."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
        user, nice, system, _, _, irq, softirq, steal = (int(field) for field in fields[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def leave_too_few(begin: ProcessorTime, end: ProcessorTime, threads: int) -> bool:
    """Return whether other processes left fewer cores than this one used threads.

    Args:
        begin: the counters before.
        end: the counters after.
        threads: the most threads that this process used at once.
    """
    if begin.used is None or end.used is None or end.wall <= begin.wall:
        return False
    others = (end.used - begin.used - (end.own - begin.own)) / (end.wall - begin.wall)
    return others + threads > (os.cpu_count() or 1) + TOLERANCE


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
