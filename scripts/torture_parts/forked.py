"""``cnntrain ARGUMENTS`` in a process that was forked for it: its streams, limits and end."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import io
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from torture_parts.guard import guard

STOPPING = (signal.SIGINT, signal.SIGTERM)
ADDRESS_SPACE = 8 * 2**30  # bytes above what it begins with, so that no fault takes the machine down


REPORT = 250  # descriptor of the audit hook's reports, away from those that the command opens


PR_SET_PDEATHSIG = 1  # prctl(2): the signal to get when the parent ends


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


def preload() -> None:
    """Import what the commands use, once, so that no child has to."""
    import importlib
    import pkgutil

    import torch

    torch.set_num_threads(1)
    import cnntrain

    for module in pkgutil.walk_packages(cnntrain.__path__, "cnntrain."):
        if not module.name.endswith(("predict_onnx", "__main__")):  # which are programs
            importlib.import_module(module.name)
    for name in (
        "hydra.main",
        "rich.table",
        "rich.progress",
        "tqdm",
        "torch.nn.parallel",
        "matplotlib.figure",
        "jinja2",
    ):
        importlib.import_module(name)
    sys.stdout.flush()


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
