"""An audit hook that reports programs that are started, connections, and files written in the wrong place."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAMS = {
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "pty.spawn",
    "os.startfile",
}
NETWORK = {
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "urllib.Request",
    "http.client.connect",
}
CHANGES = {  # events about paths, each with how many of its arguments are paths that change
    "os.mkdir": 1,
    "os.rename": 2,
    "os.remove": 1,
    "os.rmdir": 1,
    "os.truncate": 1,
    "os.chmod": 1,
    "os.chown": 1,
    "os.utime": 1,
    "shutil.rmtree": 1,
}
OF_NAMES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir"}  # which change a link, not what it leads to
LINKS = {"os.link", "os.symlink"}  # whose second path is made
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
OWN_PROGRAMS = {
    "git",
    "uname",
}  # that cnntrain, and the platform module, start to describe commit and machine
EVERYONES = (
    "/dev/null",
    "/dev/full",
    "/dev/shm",
    "/dev/tty",
    "/dev/stdout",
    "/dev/stderr",
    "/dev/fd",
    "/proc",
)
PROGRAM, CONNECTION, WRITTEN = "program started:", "connection:", "written outside:"


OF_BENCH = ("from cnntrain.cli.main import run", "import torch; from cnntrain.runtime.memory import peak")


def is_own(words: Any) -> bool:
    """Return whether cnntrain starts a program itself: git, uname, Python for ``bench``."""
    if isinstance(words, str | bytes):
        words = [words]
    name, *rest = [os.fsdecode(word) for word in words] or [""]
    if name == sys.executable:
        return rest[:1] == ["-c"] and rest[1].startswith(OF_BENCH)
    return name in OWN_PROGRAMS


class Within(str):
    """A path that is not to be followed further."""


def itself(path: Any) -> Any:
    """Return the path of a link itself, in a folder whose own links are followed."""
    if not isinstance(path, str | bytes | os.PathLike):
        return path
    folder, name = os.path.split(os.path.normpath(Path.cwd() / os.fsdecode(path)))
    return Within(f"{os.path.realpath(folder)}/{name}")


def guard(writable: Sequence[Path], report: int) -> None:
    """Report, from now on and in all that this process forks, what a command has no business to do.

    Args:
        writable: the folders below which it may write.
        report: descriptor to which a line is written for each.
    """
    places = [os.path.realpath(place) for place in writable] + list(EVERYONES)
    within = threading.local()

    def outside(path: Any) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False  # a descriptor, of a file that was opened before
        real = str(path) if isinstance(path, Within) else os.path.realpath(os.fsdecode(path))
        return not any(real == place or real.startswith(place.rstrip("/") + "/") for place in places)

    def tell(kind: str, event: str, what: Any) -> None:
        os.write(report, f"{kind} {event} {what!r}"[:300].replace("\n", " ").encode(errors="replace") + b"\n")

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event in PROGRAMS:
            words = arguments[1] if event == "subprocess.Popen" else arguments[:1]
            if not is_own(words):
                tell(PROGRAM, event, arguments[:2])
        elif event in NETWORK:
            address = arguments[-1] if event == "socket.connect" else arguments[0]
            if event != "socket.connect" or not isinstance(address, str | bytes):  # text: a Unix socket
                tell(CONNECTION, event, address)
        elif event in LINKS and outside(itself(arguments[1])):
            tell(WRITTEN, event, arguments[1])
        elif event in CHANGES:
            for path in arguments[: CHANGES[event]]:
                if outside(itself(path) if event in OF_NAMES else path):
                    tell(WRITTEN, event, path)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            if (
                not isinstance(arguments[2], int)
                or not arguments[2] & WRITING
                or getattr(within, "busy", False)
            ):
                return
        elif (
            event not in PROGRAMS and event not in NETWORK and event not in CHANGES and event not in LINKS
        ) or getattr(within, "busy", False):
            return
        within.busy = True
        try:
            if event == "open":
                if outside(arguments[0]):
                    tell(WRITTEN, event, arguments[0])
            else:
                look(event, arguments)
        finally:
            within.busy = False

    sys.addaudithook(hook)
