"""``sweep.html``: a sweep in one file that needs no network and no server."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cnntrain.compare.columns import repeats_of, significance
from cnntrain.compare.diff import REPEATS
from cnntrain.compare.ranking import Point, Run, best_of, ranks_of, tests_of, value_of
from cnntrain.compare.results import figures_of
from cnntrain.compare.statistics import summarize
from cnntrain.runs.run_files import read_csv
from cnntrain.runs.web_page import web_page
from cnntrain.tasks.scores import TEST, Figure, Score, Scores

TEMPLATE = Path(__file__).with_name("sweep.html")  # with sweep.css and sweep.js beside it
MOST_VALUES = 12  # of a key that are shown one by one
BINS = 5  # into which more numbers than that are put
WIDE = 10  # a key whose values are so many times apart may be meant on a log scale
REPORT = "report.html"


@dataclass(frozen=True)
class PageFacts:
    """The facts that the page shows about all its runs.

    Args:
        title: its heading.
        folder: where the page will be, absolute; its links start there.
        name: the name of the sweep's folder; empty if the runs are from several.
        command: the command that was typed; empty if that is not known.
        data: the data set in words; empty if that is not known.
        log_keys: the keys that a search drew on a log scale.
    """

    title: str
    folder: Path
    name: str = ""
    command: str = ""
    data: str = ""
    log_keys: frozenset[str] = frozenset()


def page(
    about: PageFacts,
    runs: Sequence[Run],
    points: Sequence[Point],
    keys: Sequence[str],
    monitor: Figure,
    scores: Scores,
) -> str:
    """Return the page of some runs.

    Args:
        about: what is said about all of them.
        runs: the runs in the order of the ranking.
        points: the ranking.
        keys: the keys in which the runs differ.
        monitor: the figure that they are ranked by.
        scores: the scores of their task.
    """
    return web_page(TEMPLATE, "cnntrain sweep", data_of(about, runs, points, keys, monitor, scores))


def data_of(
    about: PageFacts,
    runs: Sequence[Run],
    points: Sequence[Point],
    keys: Sequence[str],
    monitor: Figure,
    scores: Scores,
) -> dict[str, Any]:
    """Return what the page knows."""
    ranks = ranks_of(points)
    group_of = {id(run): number for number, point in enumerate(points) for run in point.runs}
    jobs = [
        {"rank": ranks.get(id(run)), "group": group_of.get(id(run)), **job_of(run, keys, about, scores)}
        for run in runs
    ]
    varied = [key for key in keys if key not in REPEATS] or list(keys)
    scattered = [key for key in varied if is_scattered(key, jobs)]
    effects = {key: effect_of(key, jobs, monitor) for key in varied if key not in scattered}
    tested = Figure(TEST, scores.main)
    repeated = any(point.planned > 1 for point in points)
    return {
        "title": about.title,
        "name": about.name,
        "command": about.command,
        "data": about.data,
        "monitor": monitor.name,
        "keys": list(keys),
        "varied": varied,
        "figures": list(figures_of(scores)),
        "tested": tested.name,
        "scores": {figure.name: about_score(figure.score) for figure in (*scores.ranked, tested)},
        "log": [key for key in varied if key in about.log_keys or is_logarithmic(key, jobs)],
        "scattered": scattered,
        "winners": [winner_of(point, tested) for point in best_of(points)],
        "jobs": jobs,
        "points": [point_of(point, runs, scores) for point in points] if repeated else [],
        "effects": [{"key": key, "groups": groups} for key, groups in effects.items() if groups],
    }


def job_of(run: Run, keys: Sequence[str], about: PageFacts, scores: Scores) -> dict[str, Any]:
    """Return what the page shows of a run."""
    report = run.folder / REPORT
    link = quote(os.path.relpath(report.absolute(), about.folder)) if report.exists() else ""
    return {
        "name": run.name,
        "values": {key: value for key in keys if (value := value_of(run, key))},
        "data": run.data,
        "state": run.state,
        "reason": run.reason,
        "figures": run.figures,
        "curves": curves_of(run.folder, scores),
        "report": link,
    }


def point_of(point: Point, runs: Sequence[Run], scores: Scores) -> dict[str, Any]:
    """Return what the page shows of runs that repeat one experiment."""
    index_of = {id(run): index for index, run in enumerate(runs)}
    return {
        "rank": point.rank,
        "data": point.data,
        "values": point.values,
        "figures": {figure: point.mean(figure) for figure in figures_of(scores)},
        "std": point.summary and point.summary.std,
        "interval": point.summary and point.summary.interval,
        "repeats": repeats_of(point),
        "verdict": significance(point),
        "jobs": [index_of[id(run)] for run in point.runs],
    }


def about_score(score: Score) -> dict[str, bool]:
    """Return what the page needs to know of a score."""
    return {"is_fraction": score.is_fraction, "higher_is_better": score.higher_is_better}


def winner_of(point: Point, tested: Figure) -> dict[str, Any]:
    """Return the test score of a best point, the mean over its repeats."""
    tests = tests_of(point, tested.score.name)
    mean = sum(tests) / len(tests) if tests else None
    return {"data": point.data, tested.name: mean, "n": len(tests)}


def curves_of(folder: Path, scores: Scores) -> dict[str, list[float | None]]:
    """Return each validation figure after each epoch of a run; nothing if it has no readable metrics.csv."""
    try:
        rows = read_csv(folder / "metrics.csv")
        curves = {name: [float(row[name] or "nan") for row in rows] for name in scores.monitors}
    except (OSError, ValueError, KeyError):
        return {name: [] for name in scores.monitors}
    return {name: [v if math.isfinite(v) else None for v in values] for name, values in curves.items()}


def is_logarithmic(key: str, jobs: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the values of a key lie more evenly on a log scale than on a linear one."""
    values = sorted({float_of(job["values"].get(key, "")) for job in jobs})
    if len(values) < 3 or not (values[0] > 0 and values[-1] < math.inf and values[-1] / values[0] >= WIDE):
        return False
    middle = values[len(values) // 2]
    return (middle - values[0]) / (values[-1] - values[0]) < 0.35


def is_scattered(key: str, jobs: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether nearly each job has a number of its own for a key, as those of a search have."""
    values = [float_of(job["values"].get(key, "")) for job in jobs]
    numbers = [value for value in values if math.isfinite(value)]
    return len(numbers) >= 5 and len(numbers) == len(values) and len(set(numbers)) > 0.8 * len(numbers)


def effect_of(key: str, jobs: Sequence[Mapping[str, Any]], monitor: Figure) -> list[dict[str, Any]]:
    """Return the mean result and its 95 % interval for each value of a key, in their order.

    Nothing if there are too many words; many numbers are put into bins of as many jobs each.
    """
    found = [(job["values"].get(key, "–"), job["figures"].get(monitor.name)) for job in jobs]
    results = [(text, result) for text, result in found if result is not None]
    texts = {text for text, _ in results}
    if len(texts) <= MOST_VALUES:
        groups = [(text, [r for t, r in results if t == text]) for text in sorted(texts, key=in_order)]
    elif all(math.isfinite(float_of(text)) for text in texts):
        groups = binned(sorted((float(text), result) for text, result in results))
    else:
        return []
    return [{"text": text, "n": len(r), **mean_of(r, monitor)} for text, r in groups]


def float_of(text: str) -> float:
    """Return a value as a number; infinity if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.inf


def in_order(text: str) -> tuple[float, str]:
    """Return the sort key of a value: numbers first, by their size, then words."""
    number = float_of(text)
    return number, "" if math.isfinite(number) else text


def binned(pairs: Sequence[tuple[float, float]]) -> list[tuple[str, list[float]]]:
    """Put results into bins by the number that belongs to each, named ``low … high``."""
    edges = [round(len(pairs) * number / BINS) for number in range(BINS + 1)]
    bins = [pairs[start:end] for start, end in itertools.pairwise(edges)]
    return [(f"{part[0][0]:.4g} … {part[-1][0]:.4g}", [result for _, result in part]) for part in bins]


def mean_of(results: Sequence[float], monitor: Figure) -> dict[str, Any]:
    """Return the mean and its 95 % interval."""
    summary = summarize(results, *monitor.score.bounds)
    return {"mean": summary.mean, "interval": summary.interval}
