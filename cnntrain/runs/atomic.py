"""Files that are written whole or not at all, whatever ends the process."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write_atomically(path: Path, data: bytes | memoryview, keep: Path | None = None) -> None:
    """Write a file by way of a temporary one, synced to the disk before it takes the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # of a process that was killed; and to write through no link
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            keep_also(path, keep)
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    with suppress(OSError):  # not every system can sync a folder, and the file is in its place
        sync_folder(path.parent)


def keep_also(path: Path, keep: Path) -> None:
    """Give a file a second name. Where it can, it keeps the first one meanwhile: others may read it."""
    link = keep.with_name(f".{keep.name}.tmp")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # no hard links on FAT and on some network file systems
        path.replace(keep)
        return
    try:
        link.replace(keep)
    finally:
        link.unlink(missing_ok=True)  # rename(2) does nothing where both names are of one file


def sync_folder(path: Path) -> None:
    """Make the renamings in a folder survive a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
