"""Writing into a run folder: nowhere else, nothing left unfinished, a line if it can't be done. No torch."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cnntrain.errors import CheckpointError, RunFailed
from cnntrain.runs.run_folder import CHECKPOINTS, SWEEP
from cnntrain.runtime.regular_files import kind_of
from cnntrain.text import argument, printable


class OutsideFolder(CheckpointError):
    """What would be written into a run folder would go elsewhere."""


def check_links(folder: Path, sweep: Path | None = None) -> None:
    """Check that what is written into the folder of a run or a sweep stays there, and that nothing hangs.

    Args:
        folder: the folder of the run or the sweep. It may be a link to the whole folder if a person typed it.
        sweep: the sweep that the run belongs to: then the folder must lie there.

    Raises:
        OutsideFolder: a link leads out of the folder, or a FIFO, a socket or a device is in it.
    """
    if sweep is not None:
        check_link(folder, sweep.resolve())
    inside = folder.resolve()
    for path in (*folder.glob("*"), *folder.glob(".*"), *(folder / CHECKPOINTS).glob("*")):
        check_link(path, inside)


def check_link(path: Path, inside: Path) -> None:
    """Raise LeadsOut if a path is a link that leads out of a folder, or a FIFO, a socket or a device."""
    if path.is_symlink() and not path.resolve().is_relative_to(inside):
        kind = "sweep" if (inside / SWEEP).exists() else "run"
        raise OutsideFolder(
            f"{printable(path)} is a link that leads outside the {kind} folder: replace the link by the "
            f"{'folder' if path.is_dir() else 'file'}"
        )
    with suppress(FileNotFoundError):  # a link to nowhere, or a temporary file of another process
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise OutsideFolder(f"{printable(path)} is not a regular file, but {kind_of(mode)}: remove it")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failure to write a file of a run into an error of one line.

    Raises:
        RunFailed: a disk is full, a folder read-only, or a folder stands where a file is to be.
    """
    try:
        yield
    except OSError as error:
        name = error.filename2 or error.filename
        if not isinstance(name, str) or folder.absolute() not in Path(name).absolute().parents:
            raise
        raise RunFailed(
            f"{printable(name)} can't be written: {error.strerror or error}\n"
            f"when that is fixed: cnntrain resume {argument(folder)}"
        ) from error


def remove_temporaries(folder: Path) -> None:
    """Remove what a process that was killed has left unfinished. The caller has locked the folder."""
    for path in (*folder.glob(".*.tmp"), *(folder / CHECKPOINTS).glob(".*.tmp")):
        with suppress(OSError):
            path.unlink()
