"""Ctrl-C and SIGTERM: heard at once, and nothing that is finished is lost. No torch."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Notes a signal, so that a run can finish its step. A second one ends the process at once."""

    def __init__(self) -> None:
        self.received = 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        """Take over the signals, which only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self.note) for number in STOPPING}
        return self

    def __exit__(self, *error: object) -> None:
        """Give the signals back."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; the default handler serves the next one."""
        self.received = number
        signal.signal(number, self.before[number])


class StopJobs:
    """Raises KeyboardInterrupt in a sweep when a signal comes, and remembers which one it was.

    It is no Exception, since Hydra takes those that come while it composes for mistakes of the user's. It has
    to be remembered, since Python drops what is raised within a finalizer.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> StopJobs:
        """Take over the signals."""
        self.before = {number: signal.signal(number, self.note) for number in STOPPING}
        return self

    def __exit__(self, *error: object) -> None:
        """Give the signals back."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Stop what is under way."""
        self.received = number
        self.check()

    def check(self) -> None:
        """Raise what stops a sweep, if a signal has come."""
        if self.received is not None:
            raise KeyboardInterrupt


class HeldSignals:
    """Keeps signals back, until :meth:`check`, while an engine runs that can't bear an exception."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> HeldSignals:
        """Take over the signals."""
        self.before = {number: signal.getsignal(number) for number in STOPPING}
        self.hold()
        return self

    def __exit__(self, *error: object) -> None:
        """Give the signals back."""
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def hold(self) -> None:
        """Take the signals, again if the engine has taken them."""
        for number in STOPPING:
            signal.signal(number, self.note)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal."""
        self.received = number

    def check(self) -> None:
        """Do what a signal would have done, if one has come."""
        if self.received is None:
            return
        handler = self.before[self.received]
        if callable(handler):
            handler(self.received, None)
        raise KeyboardInterrupt
