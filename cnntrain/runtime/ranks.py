"""The rank of this process in a run that ``torchrun`` has started. No torch.

The only process of a run has rank 0.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time

from cnntrain.text import JOIN, folded, without_controls

USUAL_WIDTH = 80  # columns of a terminal


def world_size() -> int:
    """Return the number of processes of this run."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "RANK" in os.environ else 1


def rank() -> int:
    """Return the rank of this process among all of this run."""
    return int(os.environ["RANK"]) if world_size() > 1 else 0


def is_main() -> bool:
    """Return whether this process writes the files and reports to the user: that of rank 0."""
    return rank() == 0


def local_rank() -> int:
    """Return the rank of this process on its machine, which is also the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", 0)) if world_size() > 1 else 0


def processes_here() -> int:
    """Return the number of this run's processes on this machine, which share its cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if world_size() > 1 else 1


class Reporter:
    """Reports to the user for all processes: one of them prints, the others stay silent."""

    is_chosen = rank() == 0  # every process sees a mistake of the user's, so the first one prints it
    PATIENCE_SECONDS = 5.0

    @classmethod
    def report(cls, text: str) -> None:
        """Print why the run ends to standard error, if this process is the chosen one."""
        if cls.is_chosen:
            note(text)
        else:  # torchrun ends all when the first one ends: let that be the chosen one
            time.sleep(cls.PATIENCE_SECONDS)

    @classmethod
    def remark(cls, text: str) -> None:
        """Print a line to standard error while the work goes on, if this process is the chosen one."""
        if cls.is_chosen:
            note(f"cnntrain: {text}")


def note(text: str) -> None:
    """Print lines to standard error, without control characters; on a terminal, folded between words."""
    text = without_controls(text)
    with contextlib.suppress(OSError, ValueError):  # it is no terminal, or closed
        own = os.get_terminal_size(sys.stderr.fileno()).columns or USUAL_WIDTH  # 0 where nobody has set it
        width = shutil.get_terminal_size((own, 24)).columns
        text = "\n".join(in_lines(line, width) for line in text.split("\n"))
    print(text.replace(JOIN, " "), file=sys.stderr)


def in_lines(line: str, width: int, hang: int = 2) -> str:
    """Return a line folded to a width."""
    return ("\n" + " " * hang).join(line[begin:end] for begin, end in folded(line, width, hang))
