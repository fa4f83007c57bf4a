"""The process of the command ``cnntrain``, also as ``python -m cnntrain``: it hears Ctrl-C from the start.

Imports next to nothing, so that little can be interrupted before it listens.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

AGAIN_SECONDS = 0.05


class Process:
    """This process, and the signal that has come to it.

    Attributes:
        received: the signal; 0 before.
    """

    def __init__(self) -> None:
        self.received = 0
        self.number = os.getpid()

    def listen(self) -> None:
        """Handle Ctrl-C and SIGTERM before the work installs its own handlers, and again after it."""
        signal.signal(signal.SIGINT, self.interrupt)
        signal.signal(signal.SIGTERM, self.terminate)
        sys.unraisablehook = self.again

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Stop what is under way, as Python does; an error that this leads to is not reported as one."""
        if os.getpid() != self.number:  # a worker that has just been forked
            os._exit(128 + number)
        self.received = number
        raise KeyboardInterrupt

    def terminate(self, number: int, frame: FrameType | None) -> None:
        """End at once, as a process without a handler does, but print a line."""
        if os.getpid() == self.number:
            write_directly("terminated")
        os._exit(128 + number)

    def again(self, ignored: Any) -> None:
        """Repeat an interruption that Python has dropped, since it came in a finalizer."""
        if not (self.received and issubclass(ignored.exc_type, KeyboardInterrupt)):
            sys.__unraisablehook__(ignored)
            return
        import threading

        timer = threading.Timer(AGAIN_SECONDS, os.kill, (self.number, self.received))
        timer.daemon = True
        timer.start()

    def close(self, code: int) -> None:
        """Let a signal that comes during Python's clean-up end the process at once, with its exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: os._exit(code))
        sys.unraisablehook = sys.__unraisablehook__


def write_directly(what: str) -> None:
    """Print how the process has ended, if it is of rank 0; not through a stream that may be in use."""
    if os.environ.get("RANK", "0") == "0":
        with contextlib.suppress(OSError):
            os.write(2, f"\ncnntrain: {what}\n".encode())


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    process = Process()
    try:
        process.listen()
        from cnntrain.cli import main as cli

        arguments = sys.argv[1:]
        with cli.reporting_errors(arguments) as end:
            end.code = cli.run(arguments)
        code = end.code
    except BaseException:
        if not process.received:
            raise
        # In the middle of an import, say, an interruption turns into errors of many kinds.
        code = 128 + process.received
        process.close(code)
        write_directly("interrupted")
    process.close(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
