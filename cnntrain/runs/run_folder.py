"""Run folders: where they are, which process owns them, and how to find one again."""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cnntrain.errors import CnntrainError, RunFailed, UserError
from cnntrain.runs.atomic import write_atomically
from cnntrain.runs.checkpoint import BEST, LAST, PREVIOUS
from cnntrain.runs.records import CheckpointState
from cnntrain.runs.run_files import read_bytes, read_json
from cnntrain.runtime.regular_files import append_regular
from cnntrain.text import argument, expanded, printable

try:
    import fcntl
except ImportError:  # Windows, where nothing keeps a second process out
    fcntl = None  # type: ignore[assignment]

OUTPUTS = Path("outputs")
POINTER = OUTPUTS / ".last"  # names the newest run, wherever it is
CHECKPOINTS = "checkpoints"
CONFIG = "config.yaml"
ELSEWHERE = ": choose another with out=FOLDER"
SWEEP = "sweep.yaml"  # which makes a folder a sweep


def claim(parent: Path, label: str) -> Path:
    """Make a new folder ``<date>_<time>[_<label>]`` that no other process has, and return it."""
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    stem = f"{now}_{label}" if label else now
    make_folder(parent)
    for number in range(1, 10_000):
        folder = parent / (stem if number == 1 else f"{stem}_{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise unwritable(folder, error) from error
        return folder
    raise UserError(f"{parent} is full of runs named {stem}")


def make_folder(folder: Path, advice: str = ELSEWHERE) -> None:
    """Make a folder, its parents too, and see that it can be written to.

    Args:
        folder: the folder.
        advice: ends the message if that is not possible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error, advice) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"the folder {printable(folder)} is not writable{advice}")


def unwritable(folder: Path, error: OSError, advice: str = ELSEWHERE) -> UserError:
    """Return the error for a folder that can't be made."""
    return UserError(f"the folder {printable(folder)} can't be made ({error.strerror}){advice}")


def typed_path(name: str) -> Path:
    """Return the path that a person typed, ``~`` being home."""
    path = expanded(name)
    try:
        path.exists()
    except OSError as error:
        raise UserError(f"{name[:40]}... is not a file or folder: {error.strerror}") from error
    return path


def holds_run(folder: Path) -> bool:
    """Return whether a run has begun to write into a folder."""
    return (folder / "config.yaml").exists() or (folder / CHECKPOINTS).exists()


def new_run_folder(out: str | None, label: str) -> Path:
    """Return the folder for a new run: ``out``, which must not hold one, or a fresh one under outputs/."""
    if out is None:
        return claim(OUTPUTS / "train", label)
    folder = typed_path(out)
    if holds_run(folder):
        raise UserError(
            f"out={out} holds a run already: choose another folder, or go on with it: "
            f"cnntrain resume {argument(out)}"
        )
    make_folder(folder)
    names = (path.name for path in folder.iterdir() if not path.name.startswith("."))
    found = next((name for name in names if name != "train.log"), None)  # which a killed run has left
    if found is not None:
        raise UserError(f"out={out} is not empty, it holds {found}: choose a folder that is new or empty")
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process out of a run folder. The lock ends with the process, even by SIGKILL."""
    if fcntl is None:
        yield
        return
    while True:
        try:
            lock = append_regular(folder / ".lock")
        except OSError as error:
            raise RunFailed(
                f"{printable(folder / '.lock')} can't be written: {error.strerror or error}"
            ) from error
        with lock as file:
            can_lock = True
            try:
                # Not flock, which the workers of a killed process would go on holding for seconds.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError) as error:
                raise UserError(
                    f"{folder} is in use by another process: wait for it, or choose another folder"
                ) from error
            except OSError:  # a file system without locks
                can_lock = False
            if not can_lock or is_same_file(file.fileno(), folder / ".lock"):
                yield
                return
            # Else the process that had it has removed the file meanwhile: another one may lock a new one.


def is_same_file(opened: int, path: Path) -> bool:
    """Return whether an open file still has its name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(opened), path.stat())
    return False


def check_still_new(folder: Path) -> None:
    """Raise a UserError if another process has trained in a folder since it was found empty."""
    if has_checkpoint(folder):
        raise UserError(f"{printable(folder)} holds a run by now, of another process: choose another folder")


def wait_until_free(folder: Path, seconds: float) -> bool:
    """Return whether no other process has a run folder, or none will have within that many seconds."""
    end = time.monotonic() + seconds
    while True:
        try:
            with locked(folder):
                return True
        except UserError:
            if time.monotonic() > end:
                return False
        time.sleep(0.05)


def remember(folder: Path) -> None:
    """Make a folder the one that ``last`` means."""
    try:
        write_atomically(POINTER, os.fsencode(f"{folder.absolute()}\n"))
    except OSError:  # a folder that can't be written to: the run itself is elsewhere
        return


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def is_finished(folder: Path, state: CheckpointState, epochs: int, early_stopping: int | None) -> bool:
    """Return whether a run has trained and tested all it was asked to."""
    progress, summary = state["progress"], folder / "summary.json"
    try:
        tested = read_json(summary)["epochs"]
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not whole: it is written again
        return False
    if tested != progress["epoch"]:
        return False
    stopped_early = early_stopping is not None and progress["stale"] >= early_stopping
    return bool(stopped_early or progress["epoch"] >= epochs)


def discard_if_unused(folder: Path) -> None:
    """Remove the folder of a run that ended before it began, so that failed attempts leave nothing.

    Not if another process has it, whose run has perhaps not begun yet.
    """
    if holds_run(folder) or not folder.is_dir():
        return
    try:
        with locked(folder):
            if holds_run(folder):
                return
            for name in ("train.log", ".lock"):
                (folder / name).unlink(missing_ok=True)
    except CnntrainError:
        return
    with suppress(OSError):  # not empty: it holds something of the user's
        for empty in (folder, *(parent for parent in folder.parents if OUTPUTS in (parent, *parent.parents))):
            empty.rmdir()


def has_checkpoint(folder: Path) -> bool:
    """Return whether a run has written a checkpoint.

    best.pt is written before last.pt, and the row of its epoch after both. Alone, without a row, it is what a
    kill between the two has left.
    """
    checkpoints = folder / CHECKPOINTS
    if any((checkpoints / name).exists() for name in (LAST, PREVIOUS)):
        return True
    return (checkpoints / BEST).exists() and has_rows(folder / "metrics.csv")


def has_rows(table: Path) -> bool:
    """Return whether a table has a row below its heading."""
    try:
        return len(read_bytes(table).splitlines()) > 1
    except (OSError, ValueError):
        return False
