"""Ctrl-C and SIGTERM at any moment: one line, no traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest

# While the command is imported, a signal comes, and the import fails in consequence with an error of its own.
AT_THE_START = """
import signal, sys
from cnntrain.__main__ import main

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "cnntrain.cli.main":
            try:
                signal.raise_signal({number})
            except KeyboardInterrupt:
                raise ImportError("cannot load module more than once per process")

sys.meta_path.insert(0, Finder())
main()
"""
IN_A_FINALIZER = """
import signal, sys, time
from cnntrain.cli import main as cli
from cnntrain.__main__ import main

class Interrupted:
    def __del__(self):
        signal.raise_signal({number})

def run(arguments):
    Interrupted()
    time.sleep(600)
    return 0

cli.run = run
main()
"""
AT_THE_END = """
import atexit, signal, sys
from cnntrain.__main__ import main

atexit.register(signal.raise_signal, {number})
sys.argv[1:] = ["--version"]
main()
"""


@pytest.mark.parametrize(
    ("when", "number", "code", "said"),
    [
        (AT_THE_START, 2, 130, "cnntrain: interrupted"),
        (AT_THE_START, 15, 143, "cnntrain: terminated"),
        (IN_A_FINALIZER, 2, 130, "cnntrain: interrupted"),
        (AT_THE_END, 2, 0, ""),
        (AT_THE_END, 15, 0, ""),
    ],
)
def test_a_signal_is_answered_with_one_line(when: str, number: int, code: int, said: str) -> None:
    command = [sys.executable, "-c", when.format(number=number)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.strip()) == (code, said)
