"""Files and folders of the cases, whatever permissions a case has left them with."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path


def remove(folder: Path) -> None:
    """Remove a folder, also one without permissions."""
    if not folder.exists():
        return
    for path, _, _ in os.walk(folder):
        with contextlib.suppress(OSError):
            Path(path).chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


def open_to_all(folder: Path) -> None:
    """Let every user read and write what is below a folder, and go through it."""
    folder.chmod(0o777)
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):
                (Path(path) / name).chmod(0o777)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
