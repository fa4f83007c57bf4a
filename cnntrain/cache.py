"""The user's cache folder: what can be made again, kept so that the next run need not make it.

Nothing in it is needed, and nothing in it is trusted: whoever reads a file checks it and makes it anew.
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

UNFINISHED = ".tmp"
A_DAY = 24 * 3600  # seconds after which an unfinished file is no one's any more


def folder() -> Path:
    """Return ``$CNNTRAIN_CACHE``, or the folder ``cnntrain`` where the system keeps its users' caches."""
    own = os.environ.get("CNNTRAIN_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cnntrain"


def write(path: Path, save: Callable[[IO[bytes]], object], replace: bool = True) -> OSError | None:
    """Let ``save`` write a file of the cache, which takes its name once it is whole.

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
        folder: in the cache.
        bound: bytes that all files there may have together.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        on_disk = shutil.disk_usage(there).free + sum(size for _, size, _ in files_in(folder))
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
