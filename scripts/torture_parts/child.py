"""``cnntrain ARGUMENTS`` in a process that is forked from this one, which has imported torch, and is watched.

A fork takes some milliseconds where a new process takes two seconds. The child gets streams, a folder, an
environment and limits of its own, a process group of its own, and an audit hook that reports programs that it
starts, connections that it opens and files that it writes where it has no business. It ends as Python ends:
handlers of ``atexit`` run, and a stream that can't be flushed gives exit code 120.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import fcntl
import io
import multiprocessing
import os
import re
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from torture_parts.guard import guard

MEMORY = int(2.5 * 2**30)  # bytes of one process, at most
ADDRESS_SPACE = 8 * 2**30  # bytes above what it begins with, so that no fault takes the machine down
TIME = 60.0  # seconds; the machine may be busy
PIPE = 2**20  # bytes that are kept of what a command prints, where a limit on files calls for a pipe
REPORT = 250  # descriptor of the audit hook's reports, away from those that the command opens
PR_SET_PDEATHSIG = 1  # prctl(2): the signal to get when the parent ends
STOPPING = (signal.SIGINT, signal.SIGTERM)
CODES = {0, 1, 2, 128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGPIPE}
CRASH = re.compile(rb"Traceback \(most recent call last\)|^Exception ignored in", re.MULTILINE)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
TURNING = re.compile("[\u2028\u2029\u202a-\u202e\u2066-\u2069]")  # lines and directions; data may hold them
FLOOD = 20_000  # characters of an error message


@dataclass
class Streams:
    """What a command finds as its standard streams.

    Attributes:
        closed: descriptors that are not open.
        full: descriptors that lead to /dev/full.
        gone: descriptors that lead to a pipe that nobody reads.
        encoding: of what it prints.
    """

    closed: tuple[int, ...] = ()
    full: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()
    encoding: str = "utf-8"


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


def be_the_command(
    arguments: Sequence[str],
    folder: Path,
    env: Mapping[str, str],
    files: Sequence[int],
    writable: Sequence[Path] | None,
    streams: Streams,
    file_size: int | None,
    bound: bool,
) -> NoReturn:
    """Be the command, in the process that was forked for it."""
    code = 125
    try:
        os.setpgid(0, 0)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.dup2(files[2], REPORT)
        os.set_inheritable(REPORT, False)
        open_streams(files, streams)
        limit(file_size)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(env)
        tempfile.tempdir = None  # which this process may have found out for itself
        multiprocessing.current_process()._config.pop("tempdir", None)  # type: ignore[attr-defined]
        if bound:
            give_up_rights()
        python_streams(streams.encoding)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = ["cnntrain", *arguments]
        if writable is not None:
            guard(writable, REPORT)
        code = ended_as_python_ends(arguments)
    except BaseException:
        os.write(REPORT, f"the harness: {traceback.format_exc()}".replace("\n", " | ").encode())
    finally:
        os._exit(code)


def give_up_rights() -> None:
    """Give up the right of root's processes to pass over permissions (capset(2)); they hold from now on."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)())


def limit(file_size: int | None) -> None:
    """Set the limits of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))


def open_streams(files: Sequence[int], streams: Streams) -> None:
    """Put descriptors 0 to 2 where the command is to find them."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number in (1, 2):
        os.dup2(files[number - 1], number)
    for number in streams.full:
        os.dup2(os.open("/dev/full", os.O_WRONLY), number)
    for number in streams.gone:
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, number)
    for number in streams.closed:
        os.close(number)


def python_streams(encoding: str) -> None:
    """Make ``sys.stdin`` and the others of descriptors 0 to 2, as Python does when it begins."""
    for number, name, errors in (
        (0, "stdin", "strict"),
        (1, "stdout", "strict"),
        (2, "stderr", "backslashreplace"),
    ):
        stream: Any = None
        with contextlib.suppress(OSError):
            os.fstat(number)
            raw = open(number, "wb" if number else "rb", closefd=False)  # noqa: SIM115
            stream = io.TextIOWrapper(raw, encoding, errors, line_buffering=number == 2)
            stream.mode = "w" if number else "r"
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def ended_as_python_ends(arguments: Sequence[str]) -> int:
    """Call the command and return its exit code, once all is done that Python does at its end."""
    from cnntrain.__main__ import Process
    from cnntrain.cli import main

    code = 0
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    except KeyboardInterrupt:  # it came so early that no code of cnntrain could hear it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    try:
        main.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                traceback.print_exc()
        code = 1
    Process().close(code)  # as the command does: a signal that comes from now on ends the process at once
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except (OSError, ValueError) as error:
            code = 120
            with contextlib.suppress(OSError, AttributeError):
                os.write(2, f"Exception ignored in: {stream}\n{error}\n".encode())
    return code
