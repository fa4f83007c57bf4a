"""Memory that a process has is kept for what comes next, and counts as free all the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cnntrain.runtime import memory

# Prints how many pages the system handed out for an array that takes the place of another, first where freed
# memory is given back, then where it is kept; and how many the process has before and after it is asked.
PAGES = """
import resource
import numpy as np
from cnntrain.runtime import memory

def pages_for_another():
    for again in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(80_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def pages_held():
    return int(open("/proc/self/statm").read().split()[1])

given_back = pages_for_another()
memory.keep()
print(given_back, pages_for_another(), pages_held())
memory.free()
print(pages_held())
"""


@pytest.mark.skipif(memory.of_libc("mallopt") is None, reason="not the GNU C library")
def test_freed_memory_is_kept_until_it_is_asked_how_much_is_free() -> None:
    small_pages = os.environ | {"NUMPY_MADVISE_HUGEPAGE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", PAGES], capture_output=True, text=True, check=True, env=small_pages
    )
    given_back, kept, before, after = map(int, done.stdout.split())
    assert kept < given_back / 10
    assert before - after > given_back / 2
