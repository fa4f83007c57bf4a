"""Files that the user has named on the command line, ``-`` for standard output, and folders for several."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cnntrain.errors import RunFailed, UserError
from cnntrain.runs.atomic import write_atomically
from cnntrain.runs.run_folder import OUTPUTS, claim, discard_if_unused, make_folder, typed_path
from cnntrain.runtime.console import Console, is_terminal
from cnntrain.text import encoded, printable, without_controls

MOST_LINKS = 40  # that lead from one to the next, as many as Linux follows
# Where a system lists the files that a process has open.
DESCRIPTORS = re.compile(r"/dev/fd|/proc/(?P<process>\d+)(/task/\d+)?/fd")


def message_console(*names: str | None, verbose: int = 1) -> Console:
    """Return a console for messages beside files of these names: silent if one is standard output.

    Raises:
        UserError: one can't be written, which is known before the work.
    """
    for name in names:
        if name is not None and not is_stdout(name):
            check_writable(name)
    return Console(0 if any(name is not None and is_stdout(name) for name in names) else verbose)


def check_writable(name: str) -> None:
    """Check that a file can be written, or made in a folder that is there or can be made.

    Raises:
        UserError: it can't.
    """
    path = typed_path(name)
    if path.is_dir():
        raise UserError(f"{printable(name)} can't be written: it is a folder, name a file")
    if os.access(path, os.W_OK):
        return
    above = next(folder for folder in path.absolute().parents if os.path.lexists(folder))
    if not above.is_dir():
        raise UserError(f"{printable(name)} can't be written: {printable(above)} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise UserError(f"{printable(name)} can't be written: {os.strerror(errno.EACCES)}")


@contextmanager
def output_folder(out: str | None, command: str, name: str = "") -> Iterator[Path]:
    """Make a folder for files: ``out``, or a fresh one under outputs/, that of the command.

    It goes again if nothing was written, because of a mistake or Ctrl-C.

    Args:
        out: the output folder, as typed.
        command: the command that writes the files.
        name: part of the name of a fresh folder.

    Raises:
        UserError: it can't be made.
    """
    if out is None:
        folder = claim(OUTPUTS / command, name)
    else:
        folder = typed_path(out)
        make_folder(folder)
    try:
        yield folder
    finally:
        if out is None or not any(folder.iterdir()):  # what lies in a folder of the user's stays
            discard_if_unused(folder)


def is_stdout(name: str) -> bool:
    """Return whether a name means standard output: ``-``, ``/dev/stdout`` or ``/dev/fd/1``."""
    return name in ("-", "/dev/stdout") or descriptor_of(typed_path(name)) == 1


def write(name: str, text: str, console: Console) -> None:
    """Write a file that the user has named, and say so; or write to standard output.

    Raises:
        UserError: it can't be written.
    """
    if is_stdout(name):
        sys.stdout.write(without_controls(text) if is_terminal(sys.stdout) else text)
        return
    write_named(typed_path(name), encoded(text))
    console.line("[dim]written to {}[/]", name)


def save_bytes(path: Path, data: bytes) -> None:
    """Write a file of a command's own, whole or not at all, in a folder that is made if there is none.

    Raises:
        RunFailed: it can't be written, because the disk is full, say.
    """
    try:
        write_atomically(path, data)
    except OSError as error:
        raise RunFailed(f"{printable(path)} can't be written: {error.strerror or error}") from error


def write_named(path: Path, data: bytes) -> None:
    """Write into what the user has named: through links, into FIFOs and devices.

    A regular file is replaced once all is written, so that there is the old one or the new one, whole. What
    the shell has opened (``/dev/fd/3``, ``/dev/stderr``) is written to where it stands: ``3>>file`` appends.

    Raises:
        UserError: it can't be written.
    """
    try:
        descriptor = descriptor_of(path)
        if descriptor is not None:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            return
        status = None
        with suppress(FileNotFoundError):
            status = path.stat()  # of what a link leads to
        if status is not None and not stat.S_ISREG(status.st_mode):
            path.write_bytes(data)
            return
        replace(Path(os.path.realpath(path)), data, status)
    except OSError as error:
        raise UserError(f"{printable(path)} can't be written: {error.strerror or error}") from error


def descriptor_of(path: Path) -> int | None:
    """Return the number of the open file that a path names, also through links; None if it names none.

    To open such a path again would begin at the start of the file, and empty it.
    """
    for _ in range(MOST_LINKS):
        folder = Path(os.path.realpath(path.parent))
        listed = DESCRIPTORS.fullmatch(str(folder))
        if listed and path.name.isdecimal() and listed["process"] in (None, str(os.getpid())):
            return int(path.name)
        try:
            path = folder / (folder / path.name).readlink()
        except OSError:  # no link, or nothing
            return None
    return None


def replace(path: Path, data: bytes, status: os.stat_result | None) -> None:
    """Replace a regular file, whose permissions stay, or make it.

    Args:
        path: without links.
        data: the new contents.
        status: the status of the file that is there; None if there is none.
    """
    try:
        write_atomically(path, data)
    except PermissionError:
        if status is None:
            raise
        path.write_bytes(data)  # the file may be written, but its folder not
        return
    if status is not None:
        with suppress(OSError):
            path.chmod(stat.S_IMODE(status.st_mode))


def json_of(value: Any) -> str:
    """Return a value as JSON that people can read: letters of all scripts as they are.

    Bytes of a file name that are not UTF-8 become the escapes that JSON has for them.
    """
    text = json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False)
    return f"{text.encode('utf-8', 'backslashreplace').decode()}\n"
