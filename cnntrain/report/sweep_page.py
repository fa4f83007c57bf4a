"""``sweep.html``: a sweep in one file that needs no network and no server."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnntrain.checkpoint import write_atomically
from cnntrain.ranking import FIGURES, Run
from cnntrain.statistics import summarize

TEMPLATE = Path(__file__).with_name("sweep.html")
PLACE = "/*DATA*/"


def write_page(path: Path, title: str, runs: Sequence[Run], keys: Sequence[str], monitor: str) -> None:
    """Write the page of some runs.

    Args:
        path: of the file.
        title: its heading.
        runs: in the order of the ranking.
        keys: in which they differ.
        monitor: the figure by which they are ranked.
    """
    jobs = [job_of(run, keys, monitor) for run in runs]
    data = {
        "title": title,
        "monitor": monitor,
        "keys": list(keys),
        "figures": list(FIGURES),
        "jobs": jobs,
        "effects": {key: effect_of(key, jobs, monitor) for key in keys},
    }
    # So that nothing in the data can end the <script> that holds them.
    text = json.dumps(data, allow_nan=False).replace("<", "\\u003c")
    write_atomically(path, TEMPLATE.read_text().replace(PLACE, text).encode())


def job_of(run: Run, keys: Sequence[str], monitor: str) -> dict[str, Any]:
    """Return what the page shows of a run."""
    values = {**run.values, **({} if run.seed is None else {"seed": str(run.seed)})}
    return {
        "name": run.name,
        "values": {key: values[key] for key in keys if key in values},
        "state": run.state,
        "reason": run.reason,
        "figures": run.figures,
        "curve": curve_of(run.folder, monitor),
    }


def curve_of(folder: Path, monitor: str) -> list[float | None]:
    """Return the monitored figure after each epoch of a run."""
    try:
        with (folder / "metrics.csv").open() as file:
            return [float(row[monitor]) if row[monitor] else None for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError):
        return []


def effect_of(key: str, jobs: Sequence[dict[str, Any]], monitor: str) -> dict[str, dict[str, float | None]]:
    """Return the mean result and half its 95 % interval for each value of a key."""
    groups: dict[str, list[float]] = {}
    for job in jobs:
        result = job["figures"].get(monitor)
        if result is not None:
            groups.setdefault(job["values"].get(key, "–"), []).append(result)
    found = {value: summarize(results) for value, results in groups.items()}
    return {value: {"mean": s.mean, "half": s.half_width} for value, s in found.items()}
