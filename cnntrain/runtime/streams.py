"""Standard output and error that never end a command: closed, full, without a reader, of any encoding.

What a command is for is in its files or has been printed by then; a screen that can't take a line is no
reason to lose a run. No torch.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import Any, TextIO

from cnntrain.text import READABLE


class Lasting(io.RawIOBase):
    """The end of a standard stream at the system: what can't be written is dropped.

    Args:
        descriptor: 1 or 2.

    Attributes:
        error: the first one that writing met, or None.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.mode = "wb"
        self.error: OSError | None = None

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self.descriptor)

    def writable(self) -> bool:
        """Return True: it can be written."""
        return True

    def write(self, data: Any) -> int:
        """Write what the system takes, and drop what it refuses; return the number of bytes dealt with."""
        while True:
            try:
                return os.write(self.descriptor, data)
            except BlockingIOError:  # a terminal that another program has made non-blocking
                select.select([], [self.descriptor], [])
            except OSError as error:
                self.error = self.error or error
                return memoryview(data).nbytes


def prepare() -> None:
    """Let standard output and error accept any text, and ignore that they can't be written.

    A closed descriptor is opened on the null device, so that no file of the run takes its number.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout = lasting(sys.stdout, sys.__stdout__, 1)
    sys.stderr = lasting(sys.stderr, sys.__stderr__, 2)


def lasting(stream: TextIO | None, original: TextIO | None, descriptor: int) -> TextIO:
    """Return a standard stream that does not fail; one that somebody has put in its place stays theirs."""
    if stream is not None and stream is not original:
        return stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    raw = Lasting(descriptor)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=encoding,
        errors=READABLE,
        line_buffering=descriptor == 2 or raw.isatty() or getattr(stream, "write_through", False),
    )


def lost() -> OSError | None:
    """Return why some of what was printed on standard output is lost, unless its reader wanted no more."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.error if isinstance(raw, Lasting) else None
    return None if error is None or error.errno == errno.EPIPE else error
