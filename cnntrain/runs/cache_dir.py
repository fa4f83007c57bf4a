"""The user's cache folder: what can be made again, kept so that the next run need not make it.

Nothing in it is needed, and nothing in it is trusted: whoever reads a file checks it and makes it again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from cnntrain.errors import UserError
from cnntrain.runtime.console import format_bytes
from cnntrain.text import printable

UNFINISHED = ".tmp"
NOWHERE = Path(os.devnull) / "cnntrain"  # where nothing can be written or found
A_DAY = 24 * 3600  # seconds after which an unfinished file is no one's any more


def folder() -> Path:
    """Return ``$CNNTRAIN_CACHE``, or the folder ``cnntrain`` where the system keeps its users' caches.

    For a user without a home it is a folder that can't be made, and all is done without a cache.

    Raises:
        UserError: ``$CNNTRAIN_CACHE`` names the home of a user who is not there.
    """
    own = os.environ.get("CNNTRAIN_CACHE")
    if own:
        try:
            return Path(own).expanduser()
        except RuntimeError as error:
            raise UserError(
                f"CNNTRAIN_CACHE={printable(own)} is not possible: "
                f"{printable(own.partition('/')[0])} is nobody's home folder; name another folder"
            ) from error
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cnntrain"
    except RuntimeError:
        return NOWHERE


def shown(path: Path) -> str:
    """Return a path as people write it: ``~/.cache/cnntrain/data``."""
    try:
        home = Path.home()
    except RuntimeError:  # this user has none
        return printable(path)
    return printable(f"~/{path.relative_to(home)}" if path.is_relative_to(home) else path)


def obstacle(path: Path, size: int, bound_gb: float) -> str:
    """Return why a new file of some bytes can't be kept in a folder of the cache; empty if it can.

    Args:
        path: the folder.
        size: the size of the file.
        bound_gb: gigabytes that all files there may have together, ``data.cache_gb``.
    """
    if path.is_relative_to(NOWHERE):
        return "this user has no home folder; CNNTRAIN_CACHE=DIR names another folder"
    if size > 1e9 * bound_gb:
        return f"data.cache_gb={bound_gb:g}"
    try:
        there = nearest_existing(path)
        is_writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    except OSError:  # a folder on the way may not be looked into
        is_writable = False
    if not is_writable:
        return f"{shown(path)} can't be written; CNNTRAIN_CACHE=DIR names another folder"
    free = room(path, int(1e9 * bound_gb))
    return "" if size <= free else f"{format_bytes(free)} free in {shown(path)}"


def nearest_existing(path: Path) -> Path:
    """Return a folder, or the one above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def write(path: Path, save: Callable[[IO[bytes]], object], replace: bool = True) -> OSError | None:
    """Let ``save`` write a file of the cache, which gets its name once it is complete.

    A cache that can't be written, on a full disk or in a read-only home, is done without.

    Args:
        path: a file in the cache folder.
        save: is given the open file.
        replace: take the place of a file that is there already, rather than leave it.

    Returns:
        Why it could not be written; None if it was.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=".", suffix=UNFINISHED, delete=False
        ) as file:
            temporary = Path(file.name)
            save(file)
        if replace:
            temporary.replace(path)
        else:  # a rename would replace what another process has put there since; a link does not
            os.link(temporary, path)
    except OSError as error:
        return error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    return None


def room(folder: Path, bound: int) -> int:
    """Return how many bytes a new file in a folder may have, if all others there make room for it.

    Args:
        folder: the folder in the cache.
        bound: bytes that all files there may have together.
    """
    try:
        on_disk = shutil.disk_usage(nearest_existing(folder)).free + sum(
            size for _, size, _ in files_in(folder)
        )
    except OSError:
        return 0
    return min(bound, on_disk)


def make_room(folder: Path, size: int, bound: int) -> tuple[int, int]:
    """Remove what was used longest ago until a file of some bytes fits, on the disk and within the bound.

    Returns:
        How many files were removed, and how many bytes they had.
    """
    files = files_in(folder)
    total, removed = sum(size for _, size, _ in files), [0, 0]
    for _, bytes_of_file, path in sorted(files):
        if total + size <= bound and shutil.disk_usage(folder).free >= size:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= bytes_of_file
            removed = [removed[0] + 1, removed[1] + bytes_of_file]
    return removed[0], removed[1]


def files_in(folder: Path) -> list[tuple[float, int, Path]]:
    """Return when each file of a folder was last used, its bytes, and its path.

    What a killed process has left unfinished is removed on the way.
    """
    found = []
    for path in folder.glob("*") if folder.is_dir() else ():
        with contextlib.suppress(OSError):  # another process may remove it meanwhile
            status = path.stat()
            if not path.name.endswith(UNFINISHED):
                found.append((status.st_mtime, status.st_size, path))
            elif status.st_mtime < time.time() - A_DAY:
                path.unlink()
    return found
