"""How much memory this process took, and how much it may still take."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path


def peak() -> int:
    """Return the largest memory, in bytes, that this process has taken."""
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def free() -> int:
    """Return the bytes of memory that this process may still take."""
    bounds = []
    info = Path("/proc/meminfo")
    if info.exists():
        fields = dict(line.split(":") for line in info.read_text().splitlines())
        bounds.append(int(fields["MemAvailable"].split()[0]) * 1024)
    else:
        bounds.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and limit.read_text().strip() != "max":  # a container's share
        bounds.append(max(0, int(limit.read_text()) - int(used.read_text())))
    return min(bounds)
