"""Writing into a run folder: nowhere else, nothing left unfinished, a line if it can't be done. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cnntrain.errors import CheckpointError, RunFailed
from cnntrain.names import argument
from cnntrain.run_folder import CHECKPOINTS
from cnntrain.text import printable


def check_links(folder: Path) -> None:
    """Check that no link in a run folder leads out of it: what is written there is to stay there.

    Raises:
        CheckpointError: one does. A link to the whole folder is all right.
    """
    inside = folder.resolve()
    for path in (*folder.glob("*"), *folder.glob(".*"), *(folder / CHECKPOINTS).glob("*")):
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            raise CheckpointError(
                f"{printable(path)} is a link that leads out of the run folder: put there what it leads to"
            )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Tell in a line if a file of a run can't be written.

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
