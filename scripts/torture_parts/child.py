"""``cnntrain ARGUMENTS`` in a process that is forked from this one, which has imported torch, and is watched.

A fork takes some milliseconds where a new process takes two seconds. The child gets streams, a folder, an
environment and limits of its own, a process group of its own, and an audit hook that reports programs that it
starts, connections that it opens and files that it writes where it has no business. It ends as Python ends:
handlers of ``atexit`` run, and a stream that can't be flushed gives exit code 120.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torture_parts.forked import STOPPING, Streams, be_the_command

MEMORY = int(2.5 * 2**30)  # bytes of one process, at most
TIME = 60.0  # seconds; the machine may be busy
PIPE = 2**20  # bytes that are kept of what a command prints, where a limit on files calls for a pipe
CODES = {0, 1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGPIPE}
CRASH = re.compile(rb"Traceback \(most recent call last\)|^Exception ignored in", re.MULTILINE)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
TURNING = re.compile("[\u2028\u2029\u202a-\u202e\u2066-\u2069]")  # lines and directions; data may hold them
FLOOD = 20_000  # characters of an error message


@dataclass
class Ended:
    """What a command left behind.

    Attributes:
        arguments: of the command.
        code: exit code; negative for a signal.
        out: what it printed.
        err: what it printed on stderr.
        peak: bytes of memory of its largest process.
        seconds: that it took.
        reports: of the audit hook, and of what watched it from outside.
    """

    arguments: Sequence[str]
    code: int
    out: bytes
    err: bytes
    peak: int
    seconds: float
    reports: list[str] = field(default_factory=list)

    @property
    def crashes(self) -> int:
        """How many tracebacks it printed."""
        return len(CRASH.findall(self.out)) + len(CRASH.findall(self.err))

    def faults(self, killed: bool = False) -> list[str]:
        """Return what is wrong with how a command ended, whatever it was asked.

        Args:
            killed: a signal was sent, so that it may have ended by one.
        """
        found = list(self.reports)
        if self.crashes:
            last = [line for line in (self.err or self.out).decode(errors="replace").splitlines() if line]
            found.append(f"traceback: {last[-1][:200] if last else ''}")
        if self.code not in CODES and not (killed and self.code < 0):
            found.append(f"exit code {self.code}")
        if self.peak > MEMORY:
            found.append(f"{self.peak / 2**30:.1f} GiB of memory")
        for name, text in (("stdout", self.out), ("stderr", self.err)):
            shown = text.decode(errors="replace")
            as_data = name == "stdout" and "-" in self.arguments  # --json -, --csv -
            raw = CONTROL.search(shown) or (None if as_data else TURNING.search(shown))
            if raw:
                found.append(f"control character {raw[0]!r} on {name}")
        if len(self.err) > FLOOD:
            found.append(f"{len(self.err):,} characters on stderr")
        return found


class Child:
    """A running command.

    Args:
        arguments: of ``cnntrain``.
        folder: where it works; it may write below it, and nowhere else but ``writable``.
        env: variables beside those of this process.
        writable: further places where it may write.
        streams: its standard streams.
        file_size: bytes that a file may have (RLIMIT_FSIZE).
        bound: hold it to permissions of files, as if it were not root's.
        guarded: whether the audit hook is set.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        env: Mapping[str, str] | None = None,
        *,
        writable: Sequence[Path] = (),
        streams: Streams | None = None,
        file_size: int | None = None,
        bound: bool = False,
        guarded: bool = True,
    ) -> None:
        self.arguments = list(arguments)
        self.begun = time.monotonic()
        self.peak = 0
        self.reports: list[str] = []
        self.ended: Ended | None = None
        names = ("child-out", "child-err", "child-reports")
        self.files = [os.memfd_create(name, os.MFD_CLOEXEC) for name in names]
        self.pipes: list[
            int
        ] = []  # in the place of stdout and stderr where a limit would hit those files too
        ends = list(self.files)
        if file_size is not None:
            for number in (0, 1):
                reader, ends[number] = os.pipe2(os.O_CLOEXEC)
                os.set_blocking(reader, False)
                fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, PIPE)
                self.pipes.append(reader)
        sys.stdout.flush()  # else the child would have a copy of what is not written yet
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # until the child is what it is to be
        self.pid = os.fork()
        if self.pid == 0:
            places = [*writable, folder]
            be_the_command(
                self.arguments,
                folder,
                {**os.environ, **(env or {})},
                ends,
                places if guarded else None,
                streams or Streams(),
                file_size,
                bound,
            )
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        for end in set(ends) - set(self.files):
            os.close(end)
        with contextlib.suppress(OSError):  # so does the child: whoever comes first
            os.setpgid(self.pid, self.pid)

    def send(self, number: int) -> bool:
        """Send a signal; say whether it still ran."""
        if self.poll() is not None:
            return False
        os.kill(self.pid, number)  # it has not been waited for, so the number is still its own
        return True

    def kill(self) -> None:
        """End it and all that it has started."""
        if self.ended is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def poll(self) -> Ended | None:
        """Return how it ended, or None while it runs."""
        if self.ended is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.peak = max(self.peak, usage.ru_maxrss * 1024)
                self.finish(os.waitstatus_to_exitcode(status))
        return self.ended

    def wait(self, timeout: float = TIME) -> Ended:
        """Wait for its end; kill it if that does not come in time, or if it takes too much memory."""
        pause, looked = 0.001, 0.0
        while True:
            ended = self.poll()
            if ended is not None:
                return ended
            now = time.monotonic()
            if now > looked + 0.05:
                looked = now
                self.peak = max(self.peak, largest_memory(self.pid))
                if self.peak > MEMORY:
                    self.kill()
            if now > self.begun + timeout:
                self.reports.append(f"not ended after {timeout:.0f} s")
                self.kill()
                timeout += 10
            time.sleep(pause)
            pause = min(0.02, pause * 1.3)

    def finish(self, code: int) -> None:
        """Collect what it left behind, and end what it left running."""
        if code >= 0 and outlives(self.pid):
            self.reports.append("processes left running")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for reader, file in zip(self.pipes, self.files, strict=False):
            with contextlib.suppress(BlockingIOError):
                while text := os.read(reader, PIPE):
                    os.write(file, text)
            os.close(reader)
        texts = []
        for file in self.files:
            os.lseek(file, 0, os.SEEK_SET)
            with os.fdopen(file, "rb") as stream:
                texts.append(stream.read())
        self.reports += list(dict.fromkeys(texts[2].decode(errors="replace").splitlines()))
        seconds = time.monotonic() - self.begun
        self.ended = Ended(self.arguments, code, texts[0], texts[1], self.peak, seconds, self.reports)


def largest_memory(pid: int) -> int:
    """Return the bytes of memory of the largest among a process and its children."""
    found = 0
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (str(pid), *children):
            with contextlib.suppress(OSError, StopIteration):
                lines = Path(f"/proc/{one}/status").read_text().splitlines()
                rss = next(line for line in lines if line.startswith("VmRSS"))
                found = max(found, int(rss.split()[1]) * 1024)
    return found


def outlives(group: int, patience: float = 5.0) -> bool:
    """Return whether a process of a group still runs after some seconds."""
    end = time.monotonic() + patience
    while running(group):
        if time.monotonic() > end:
            return True
        time.sleep(0.05)
    return False


def running(group: int) -> bool:
    """Return whether a process of a group runs; those that only wait to be collected do not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, found = stat.read_text().rpartition(")")[2].split()[:3]
            if int(found) == group and state not in "ZX":
                return True
    return False
