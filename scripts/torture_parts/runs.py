"""Tiny runs, and whether two of them are the same to the bit."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

from torture_parts.child import Child
from torture_parts.harness import Case, Place

# As fixed as can be: what is measured to choose a number format depends on the machine and its load.
STEADY = ("precision=fp32", "channels_last=false", "threads=1")
FAST = (*STEADY, "report=false")
TINY = (*FAST, "model=mlp", "model.hidden=[4]", "limit=64", "batch_size=16", "epochs=2")


class ReferenceFailed(Exception):
    """A run that cases are to be compared with has failed; the text says how."""


def reference(place: Place, name: str, *arguments: str) -> Path:
    """Return the folder of a run that nothing was done to, which is made by the first call."""
    folder = place.shared / name
    if not (folder / "summary.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        ended = Child(
            ("train", *arguments, f"out={name}"),
            place.shared,
            place.env(place.shared),
            writable=[place.cache],
        ).wait(120)
        if ended.code:
            raise ReferenceFailed(f"train {' '.join(arguments)}: {ended.err.decode(errors='replace')[-500:]}")
    return folder


def copied(case: Case, source: Path, name: str = "run") -> Path:
    """Return a copy of a run in the folder of a case."""
    return Path(shutil.copytree(source, case.folder / name))


def differences(one: Path, other: Path) -> list[str]:
    """Return in what two runs differ: weights of last.pt and best.pt, and metrics but for times."""
    found = []
    for name in ("last.pt", "best.pt"):
        try:
            first, second = weights(one / "checkpoints" / name), weights(other / "checkpoints" / name)
        except Exception as error:  # a file that is missing or damaged
            found.append(f"{name} can't be compared: {type(error).__name__}")
            continue
        if first != second:
            found.append(f"{name} differs")
    try:
        if metrics(one) != metrics(other):
            found.append("metrics.csv differs")
    except OSError as error:
        found.append(f"metrics.csv can't be compared: {error}")
    return found


def weights(path: Path) -> dict[str, Any]:
    """Return the bytes of each of a checkpoint's weights."""
    import torch

    state = torch.load(path, weights_only=True)
    return {
        name: (str(tensor.dtype), tuple(tensor.shape), tensor.numpy().tobytes())
        for name, tensor in state["model"].items()
    }


def metrics(folder: Path) -> list[dict[str, str]]:
    """Return the rows of metrics.csv without what differs from time to time."""
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]


def finish(case: Case, folder: str, arguments: tuple[str, ...]) -> None:
    """Bring a run that something stopped to its end: resumed if it has begun, else started again."""
    path = case.folder / folder
    if (path / "config.yaml").exists() or (path / "checkpoints").exists():
        case.succeeds(case.command("resume", folder, timeout=120))
    else:
        case.succeeds(case.command("train", *arguments, f"out={folder}", timeout=120))


def same(case: Case, one: Path, folder: str) -> None:
    """Note in what a run of a case differs from one that nothing was done to."""
    for difference in differences(one, case.folder / folder):
        case.must(False, f"{folder}: {difference}, compared with {one}")
