"""Ctrl-C and SIGTERM: heard at once, and nothing that is finished is lost. No torch."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Self

STOPPING = (signal.SIGINT, signal.SIGTERM)
AGAIN_SECONDS = 0.05  # after which a signal that met a finalizer is sent again


class Signals:
    """Takes over Ctrl-C and SIGTERM within a ``with``, as far as this is the main thread, which alone can.

    Attributes:
        received: the signal that has come; 0 before.
    """

    def __init__(self) -> None:
        self.received = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Install the handlers of the signals."""
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in STOPPING}
            # None is a handler of a program around Python, which Python could not put back.
            self.before = {number: handler for number, handler in handlers.items() if handler is not None}
            self.hold()
        return self

    def __exit__(self, *error: object) -> None:
        """Restore the handlers that were installed before."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def hold(self) -> None:
        """Install the handlers, again if other code has replaced them."""
        for number in self.before:
            signal.signal(number, self.note)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal."""
        self.received = number


class StopSignals(Signals):
    """Notes a signal, so that a run can finish its step. A second one ends the process at once."""

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; the handler of before serves the next one."""
        self.received = number
        signal.signal(number, self.before[number])


class StopJobs(Signals):
    """Raises KeyboardInterrupt in a sweep when a signal comes, and remembers which one it was.

    It is no Exception, since Hydra takes those that come while it composes for mistakes of the user's. It has
    to be remembered, since Python drops what is raised within a finalizer, that of a progress bar, say: the
    signal is then sent again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.again: threading.Timer | None = None

    def __enter__(self) -> Self:
        """Install the handlers, and hear of the errors that Python drops."""
        self.hook = sys.unraisablehook
        sys.unraisablehook = self.repeat
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        """Restore what was installed before."""
        super().__exit__(*error)
        sys.unraisablehook = self.hook
        self.cancel()

    def note(self, number: int, frame: FrameType | None) -> None:
        """Stop what is under way."""
        self.received = number
        self.check()

    def check(self) -> None:
        """Raise what stops a sweep, if a signal has come."""
        if self.received:
            self.cancel()
            raise KeyboardInterrupt

    def repeat(self, dropped: sys.UnraisableHookArgs) -> None:
        """Send the signal again if what was dropped is its interruption; another error is printed."""
        if not (self.received and issubclass(dropped.exc_type, KeyboardInterrupt)):
            self.hook(dropped)
            return
        self.again = threading.Timer(AGAIN_SECONDS, os.kill, (os.getpid(), self.received))
        self.again.daemon = True
        self.again.start()

    def cancel(self) -> None:
        """Leave it at the interruption that has been raised, so that what follows it is not interrupted."""
        if self.again is not None:
            self.again.cancel()
            self.again = None


class DeferredSignals(Signals):
    """Keeps signals back, until :meth:`check`, while an engine runs that can't bear an exception."""

    def check(self) -> None:
        """Act on a signal that was received, if there is one, as its own handler would have."""
        if not self.received:
            return
        handler = self.before[self.received]
        if callable(handler):
            handler(self.received, None)
        raise KeyboardInterrupt


def fast_exit() -> None:
    """Let Python end without looking for cycles in all of torch first, which takes half a second."""
    if "triton" not in sys.modules:  # whose bindings would complain of leaks
        gc.freeze()
