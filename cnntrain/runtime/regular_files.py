"""Files opened only if they are regular ones: a FIFO would wait for ever, a device never ends."""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Any, TextIO

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
    return os.fdopen(opened(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), "rb")


def append_regular(path: Path, **options: Any) -> TextIO:
    """Open a regular file, which is made if there is none, to add text. It never waits for a reader.

    Args:
        path: the path of the file, or a link to it.
        options: encoding and so on, as ``open`` takes them.

    Raises:
        NotRegular: it is something else.
        OSError: it can't be opened.
    """
    file: TextIO = os.fdopen(opened(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a", **options)
    return file


def opened(path: Path, flags: int) -> int:
    """Return the descriptor of a regular file."""
    try:
        number = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    except OSError:
        if path.exists():
            check_regular(path.stat().st_mode)  # a socket, say, can't even be opened
        raise
    try:
        check_regular(os.fstat(number).st_mode)
    except BaseException:
        os.close(number)
        raise
    return number


def check_regular(mode: int) -> None:
    """Raise NotRegular unless the mode of a file is that of a regular one."""
    if not stat.S_ISREG(mode):
        raise NotRegular(f"not a regular file, but {kind_of(mode)}")


def kind_of(mode: int) -> str:
    """Describe what a file is that is no regular one."""
    return next((words for test, words in KINDS if test(mode)), "something else")
