"""``sweep.html``: a sweep in one file that needs no network and no server."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnntrain.ranking import FIGURES, Point, Run, ranks_of
from cnntrain.report.table import seeds_of, verdict_on
from cnntrain.statistics import summarize

PARTS = {"/*STYLE*/": "sweep.css", "/*SCRIPT*/": "sweep.js"}
DATA = "/*DATA*/"
MOST_VALUES = 12  # of a key that are shown one by one
BINS = 5  # into which more numbers than that are put


def page(title: str, runs: Sequence[Run], points: Sequence[Point], keys: Sequence[str], monitor: str) -> str:
    """Return the page of some runs.

    Args:
        title: its heading.
        runs: in the order of the ranking.
        points: the ranking.
        keys: in which the runs differ.
        monitor: the figure by which they are ranked.
    """
    folder = Path(__file__).parent
    text = (folder / "sweep.html").read_text(encoding="utf-8")
    for place, name in PARTS.items():
        text = text.replace(place, (folder / name).read_text(encoding="utf-8").rstrip())
    data = data_of(title, runs, points, keys, monitor)
    # So that nothing in the data can end the <script> that holds them.
    return text.replace(DATA, json.dumps(data, allow_nan=False).replace("<", "\\u003c"))


def data_of(
    title: str, runs: Sequence[Run], points: Sequence[Point], keys: Sequence[str], monitor: str
) -> dict[str, Any]:
    """Return what the page knows."""
    ranks = ranks_of(points)
    jobs = [{"rank": ranks.get(id(run)), **job_of(run, keys, monitor)} for run in runs]
    varied = [key for key in keys if key != "seed"] or list(keys)
    effects = {key: effect_of(key, jobs, monitor) for key in varied}
    repeated = any(point.planned > 1 for point in points)
    return {
        "title": title,
        "monitor": monitor,
        "keys": list(keys),
        "varied": varied,
        "figures": list(FIGURES),
        "jobs": jobs,
        "points": [point_of(point, rank, runs) for rank, point in enumerate(points, 1) if repeated],
        "effects": [{"key": key, "groups": groups} for key, groups in effects.items() if groups],
    }


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


def point_of(point: Point, rank: int, runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the page shows of runs that differ only in their seed."""
    index_of = {id(run): index for index, run in enumerate(runs)}
    return {
        "rank": rank if point.summary else None,
        "values": point.values,
        "figures": {figure: point.mean(figure) for figure in FIGURES},
        "deviation": point.summary and point.summary.deviation,
        "half": point.summary and point.summary.half_width,
        "seeds": seeds_of(point),
        "verdict": verdict_on(point, is_best=rank == 1),
        "jobs": [index_of[id(run)] for run in point.runs],
    }


def curve_of(folder: Path, monitor: str) -> list[float | None]:
    """Return the monitored figure after each epoch of a run."""
    try:
        with (folder / "metrics.csv").open() as file:
            values = [float(row[monitor] or "nan") for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError):
        return []
    return [value if math.isfinite(value) else None for value in values]


def effect_of(key: str, jobs: Sequence[Mapping[str, Any]], monitor: str) -> list[dict[str, Any]]:
    """Return the mean result and half its 95 % interval for each value of a key, in their order.

    Nothing if there are too many words; many numbers are put into bins of as many jobs each.
    """
    found = [(job["values"].get(key, "–"), job["figures"].get(monitor)) for job in jobs]
    results = [(text, result) for text, result in found if result is not None]
    texts = {text for text, _ in results}
    if len(texts) <= MOST_VALUES:
        groups = [(text, [r for t, r in results if t == text]) for text in sorted(texts, key=in_order)]
    elif all(math.isfinite(in_order(text)[0]) for text in texts):
        groups = binned(sorted((float(text), result) for text, result in results))
    else:
        return []
    return [{"text": text, "n": len(r), **mean_of(r)} for text, r in groups]


def in_order(text: str) -> tuple[float, str]:
    """Return by what values are sorted: numbers first, by their size."""
    try:
        return float(text), ""
    except ValueError:
        return math.inf, text


def binned(pairs: Sequence[tuple[float, float]]) -> list[tuple[str, list[float]]]:
    """Put results into bins by the number that belongs to each, named ``low … high``."""
    edges = [round(len(pairs) * number / BINS) for number in range(BINS + 1)]
    bins = [pairs[start:end] for start, end in itertools.pairwise(edges)]
    return [(f"{part[0][0]:.4g} … {part[-1][0]:.4g}", [result for _, result in part]) for part in bins]


def mean_of(results: Sequence[float]) -> dict[str, float | None]:
    """Return the mean and half its 95 % interval."""
    summary = summarize(results)
    return {"mean": summary.mean, "half": summary.half_width}
