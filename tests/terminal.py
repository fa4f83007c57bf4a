"""The command on a terminal of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios


def on_terminal(columns: int, *arguments: str) -> tuple[int, str]:
    """Run the command on a terminal of so many columns; return its exit code and all that was written."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    command = [sys.executable, "-m", "cnntrain", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # EIO, when the command has ended
        while chunk := os.read(ours, 65536):
            written += chunk
    os.close(ours)
    return process.wait(), written.decode()
