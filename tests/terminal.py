"""The command on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios

from forks import Forked


def on_terminal(columns: int, *arguments: str) -> tuple[int, str]:
    """Run the command on a terminal of so many columns; return its exit code and all that was written."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    process = Forked(*arguments, terminal=os.ttyname(theirs))
    written, code = b"", None
    while code is None or select.select([ours], [], [], 0)[0]:
        code = process.poll()
        if select.select([ours], [], [], 0.01)[0]:
            written += os.read(ours, 65536)
    os.close(theirs)  # not before, since who reads a terminal that nobody has open finds its end
    os.close(ours)
    return code, written.decode()
