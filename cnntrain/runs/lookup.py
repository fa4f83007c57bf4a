"""How a run is found again: by its folder, a checkpoint or ``last``; and which of its checkpoints counts."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from cnntrain.errors import CheckpointError, nearest
from cnntrain.runs import checkpoint
from cnntrain.runs.checkpoint import BEST, LAST, PREVIOUS
from cnntrain.runs.records import CheckpointState
from cnntrain.runs.run_files import read_bytes, read_line
from cnntrain.runs.run_folder import CHECKPOINTS, CONFIG, OUTPUTS, POINTER, SWEEP, has_checkpoint, typed_path
from cnntrain.runtime.ranks import Reporter
from cnntrain.text import argument, printable, shown_path


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
