"""Files opened for reading only if they are regular ones: a FIFO would wait for ever, a device never ends."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotRegular(OSError):
    """A path that names a FIFO, a socket, a device or a folder; the text says which."""


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file, or a link to one, for reading. It never waits for a writer.

    Raises:
        NotRegular: it is something else.
        OSError: it can't be opened.
    """
    try:
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        check_regular(path.stat().st_mode)  # a socket can't even be opened
        raise
    try:
        check_regular(os.fstat(number).st_mode)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def check_regular(mode: int) -> None:
    """Raise NotRegular unless the mode of a file is that of a regular one."""
    if not stat.S_ISREG(mode):
        kind = next((words for test, words in KINDS if test(mode)), "something else")
        raise NotRegular(f"not a regular file, but {kind}")
