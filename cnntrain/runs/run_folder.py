"""Run folders: where they are, whose they are, and how to find one again."""

from __future__ import annotations

import csv
import datetime
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cnntrain.errors import CheckpointError, CnntrainError, RunFailed, UserError, nearest
from cnntrain.runs import checkpoint
from cnntrain.runs.checkpoint import BEST, LAST, PREVIOUS, write_atomically
from cnntrain.runs.records import CheckpointState
from cnntrain.runs.run_files import read_bytes, read_json, read_line
from cnntrain.runtime.ranks import Reporter
from cnntrain.runtime.regular_files import append_regular
from cnntrain.text import argument, printable, shown_path

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
    try:
        path = Path(name).expanduser()
        path.exists()
    except RuntimeError:  # ~name where there is nobody of that name: a file may well be called so
        return Path(name)
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
        time.sleep(0.2)


def remember(folder: Path) -> None:
    """Make a folder the one that ``last`` means."""
    try:
        write_atomically(POINTER, os.fsencode(f"{folder.absolute()}\n"))
    except OSError:  # a folder that can't be written to: the run itself is elsewhere
        return


def find_checkpoint(run: str, prefer: str) -> Path:
    """Return the checkpoint that RUN means: a run folder, a checkpoint file, or ``last``.

    Args:
        run: the run, as typed.
        prefer: ``best.pt`` or ``last.pt``, if RUN is a folder.

    Raises:
        CheckpointError: there is no such run; the message names the nearest ones.
    """
    path = typed_path(run)
    if run == "last" and not path.exists():
        path = last_run()
    if path.is_file():
        return path
    if path.exists() and not path.is_dir():
        raise CheckpointError(f"{printable(run)} is neither a run folder nor a regular file")
    if not path.is_dir():
        raise CheckpointError(f"there is no run {printable(run)}; {hint(run)}")
    if path.name == CHECKPOINTS and not (path / CHECKPOINTS).is_dir():
        path = path.parent
    folder = path / CHECKPOINTS
    for name in (prefer, LAST, PREVIOUS, BEST):
        if (folder / name).exists():
            return folder / name
    if (path / SWEEP).exists():
        jobs = best_job(path) or sorted(job.parent for job in path.glob("*/job.json"))
        example = f", such as {shown_path(jobs[0])}" if jobs else ""
        raise CheckpointError(f"{shown_path(path)} is a sweep: name one of its jobs{example}")
    raise CheckpointError(f"{printable(path)} holds no checkpoint: {why_no_checkpoint(path)}")


def load_best(run: str) -> tuple[CheckpointState, Path]:
    """Load the checkpoint of a run's best epoch; where that file is gone, the last one, and say so.

    Args:
        run: a run folder, a checkpoint file, or ``last``.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    path = find_checkpoint(run, BEST)
    state = checkpoint.load(path)
    if path != typed_path(run):
        warn_of_no_best(path, state)
    return state, path


def warn_of_no_best(path: Path, state: CheckpointState) -> None:
    """Warn that a checkpoint is not of the best epoch, if it replaces one that is gone."""
    best, now = state["progress"]["best"], state["progress"]["epoch"]
    if path.name != BEST and best is not None and best["epoch"] != now:
        Reporter.remark(
            f"warning: {shown_path(path.with_name(BEST))} is gone. {path.name} is used in its place. It is "
            f"of epoch {now}; the best was epoch {best['epoch']}"
        )


def why_no_checkpoint(folder: Path) -> str:
    """Return why a folder holds no checkpoint, and what to do."""
    if (folder / CONFIG).exists():
        return f"the run ended before its first; cnntrain resume {argument(folder)} begins it again"
    return "it is not a run folder, or its run ended before it began"


def begun(run: str) -> Path | None:
    """Return the folder of a run that was stopped before its first checkpoint; None if it has one."""
    path = typed_path(run)
    if run == "last" and not path.exists():
        path = last_run()
    if not (path / CONFIG).is_file():
        return None
    return None if has_checkpoint(path) else path


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


def starting_point(run: str) -> Path:
    """Return the checkpoint from whose weights a run is to start, once it is known to be whole.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    try:
        path = find_checkpoint(run, BEST)
        checkpoint.verify(path)
    except CheckpointError as error:
        raise CheckpointError(f"init_from={run}: {error}") from error
    return path


def find_sweep(run: str) -> Path | None:
    """Return the folder of the sweep that is meant by its name, or by ``last``; None if it is none."""
    path = typed_path(run)
    if run == "last" and not path.exists() and POINTER.exists():
        path = last_run()
        path = path.parent if (path.parent / SWEEP).exists() else path
    return path if (path / SWEEP).exists() else None


def best_job(sweep: Path) -> list[Path]:
    """Return the folder of a sweep's best job, the first of its ranking; nothing without a ranking."""
    try:
        heading, first, *_ = read_bytes(sweep / "sweep.csv").decode().splitlines()
    except (OSError, ValueError):
        return []
    row = dict(zip(*csv.reader([heading, first]), strict=False))
    job = sweep / row.get("job", "")
    return [job] if row.get("rank") == "1" and job.parent == sweep and job.is_dir() else []


def last_run() -> Path:
    """Return the newest run's folder."""
    try:
        path = Path(read_line(POINTER))
        is_there = path.is_dir()
    except (OSError, ValueError) as error:  # a damaged one is as if there were none
        raise CheckpointError("there is no last run here: `cnntrain train` makes one") from error
    if not is_there:
        raise CheckpointError(f"the last run, {printable(path)}, is gone; {hint(path.name)}")
    return path


def hint(run: str) -> str:
    """Name the runs that may have been meant."""
    near = nearest_runs(run)
    return f"the nearest: {', '.join(near)}" if near else "there are no runs under outputs/ here"


def nearest_runs(run: str) -> list[str]:
    """Return up to three runs or sweeps whose names look like ``run``, or the newest under outputs/.

    They are looked for beside the place that was typed, and under outputs/.
    """
    outputs = ("train/*/config.yaml", "sweeps/*/*/config.yaml", f"sweeps/*/{SWEEP}")
    newest = by_age(path.parent for pattern in outputs for path in OUTPUTS.glob(pattern))
    beside = by_age(p.parent for name in ("config.yaml", SWEEP) for p in Path(run).parent.glob(f"*/{name}"))
    by_name = {folder.name: str(folder) for folder in reversed([*beside, *newest])}
    return [by_name[name] for name in nearest(Path(run).name, by_name, 3)] or [str(f) for f in newest[:3]]


def by_age(folders: Iterable[Path]) -> list[Path]:
    """Return folders, the newest first."""
    return sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def load_or_previous(path: Path) -> tuple[CheckpointState, Path]:
    """Load a run's checkpoint; if it is damaged, the one before it, and say so loudly.

    Raises:
        CheckpointError: neither can be read; the message is about the first.
    """
    previous = path.with_name(PREVIOUS)
    try:
        return checkpoint.load(path), path
    except CheckpointError as error:
        if path.name != LAST or not previous.exists():
            raise
        try:
            state = checkpoint.load(previous)
        except CheckpointError:
            raise error from None
        Reporter.remark(f"warning: {error}\nwarning: going on from the one before it, {shown_path(previous)}")
        return state, previous


def is_finished(folder: Path, state: CheckpointState, epochs: int, early_stopping: int | None) -> bool:
    """Return whether a run has trained and tested all it was asked to."""
    progress, summary = state["progress"], folder / "summary.json"
    try:
        tested = read_json(summary)["epochs"]
    except (OSError, ValueError, KeyError, TypeError):  # not there, or not whole: it is written anew
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
