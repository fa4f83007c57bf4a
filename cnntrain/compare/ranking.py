"""The ranking of runs by validation alone, with tests of whether a difference is more than chance.

Runs that differ only in their seed, or in the seed of their validation split, repeat one experiment: they are
one point. Runs on different data sets are never compared: each data set has a ranking of its own. Test data
are not used for ranking: only the winner's test score is shown, once the winner is known.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnntrain.compare.diff import REPEATS
from cnntrain.compare.results import figures_of
from cnntrain.compare.statistics import Summary, holm, paired_p, summarize
from cnntrain.runs import run_files
from cnntrain.runs.safe_csv import csv_of
from cnntrain.tasks.scores import TEST, VAL_LOSS, Figure, Scores

LEVEL = 0.05  # significance level of the tests


@dataclass
class Run:
    """A run, as far as it is compared.

    Args:
        name: the name that is shown.
        folder: the run folder.
        values: the keys in which the runs differ, without ``REPEATS``, and their values as typed.
        seed: its seed.
        state: finished, failed, pruned, running or waiting.
        figures: the results that it is ranked by; empty unless it is finished.
        reason: why it failed.
        split_seed: the seed of its validation split, as typed; None where all runs have the same split.
        data: the data set, in words; empty where all runs have the same data set.
    """

    name: str
    folder: Path
    values: dict[str, str]
    seed: int | None = None
    state: str = "waiting"
    figures: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    split_seed: str | None = None
    data: str = ""

    @property
    def repeat(self) -> tuple[int | None, str | None]:
        """The seeds that distinguish this run from the others of its point: its own and that of its split."""
        return self.seed, self.split_seed


@dataclass
class Point:
    """Runs that repeat one experiment.

    Args:
        values: what they have in common.
        runs: those that are finished.
        summary: the monitored figure, summarized over the repeats.
        planned: the number of repeats that were planned; some may have failed.
        data: the data set, as :class:`Run` has it.
        rank: its rank within its data set, from 1; None if it was not validated.
        p: the p-value that it is as good as the best point of its data set, corrected for the number of
            comparisons; None if unknown.
    """

    values: dict[str, str]
    runs: list[Run]
    summary: Summary | None
    planned: int
    data: str = ""
    rank: int | None = None
    p: float | None = None

    def by_repeat(self, figure: str) -> dict[tuple[int | None, str | None], float]:
        """Return a figure for each repeat that has it.

        Runs of the same seed count as one, by their mean: they are copies of each other, and would make an
        interval narrower than it is.
        """
        found: dict[tuple[int | None, str | None], list[float]] = {}
        for run in self.runs:
            if run.figures.get(figure) is not None:
                found.setdefault(run.repeat, []).append(run.figures[figure])
        return {repeat: statistics.fmean(values) for repeat, values in found.items()}

    def best_run(self, monitor: Figure) -> Run:
        """Return the run whose figure is the best; with equal ones, the first.

        Of runs with different validation splits, return the first: an easy split makes no better model.
        """
        if len({run.split_seed for run in self.runs}) > 1:
            return self.runs[0]
        sign = -1 if monitor.score.higher_is_better else 1
        return min(self.runs, key=lambda run: sign * (run.figures.get(monitor.name) or 0.0))

    def mean(self, figure: str) -> float | None:
        """Return the mean of a figure over the repeats."""
        values = self.by_repeat(figure).values()
        return statistics.fmean(values) if values else None

    @property
    def repeats(self) -> int:
        """The number of finished repeats."""
        return len({run.repeat for run in self.runs})


def ranked(runs: Sequence[Run], monitor: Figure) -> list[Point]:
    """Return the points of all finished runs, each data set's together, the best first, unvalidated last.

    Where no experiment is repeated with another seed, each run is a point, even two of one configuration.
    """
    groups: dict[tuple[str, tuple[tuple[str, str], ...]], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.data, tuple(sorted(run.values.items()))), []).append(run)
    points = [point_of(members, monitor) for members in groups.values()]
    if all(point.planned == 1 for point in points):
        points = [point_of([run], monitor) for run in runs]
    sign = -1 if monitor.score.higher_is_better else 1

    def place(point: Point) -> tuple[bool, float, float]:
        if point.summary is None:
            return True, 0.0, 0.0
        # The loss decides between equal ones, as it does between the epochs of a run.
        return False, sign * point.summary.mean, point.mean(VAL_LOSS.name) or 0.0

    found = []
    for same in by_data([point for point in points if point.runs]).values():
        same.sort(key=place)
        compare_with_best(same, monitor)
        for rank, point in enumerate(same, 1):
            point.rank = rank if point.summary is not None else None
        found += same
    return found


def by_data(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Return the points of each data set, in the given order."""
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(point.data, []).append(point)
    return groups


def best_of(points: Sequence[Point]) -> list[Point]:
    """Return the best point of each data set that has a ranking."""
    return [point for point in points if point.rank == 1]


def point_of(members: Sequence[Run], monitor: Figure) -> Point:
    """Return the point of runs that repeat one experiment."""
    finished = [run for run in members if run.state == "finished"]
    planned = len({run.repeat for run in members} - {(None, None)})
    point = Point(members[0].values, finished, None, max(planned, 1), members[0].data)
    values = point.by_repeat(monitor.name)
    if values and len(values) == point.repeats:
        point.summary = summarize(list(values.values()), *monitor.score.bounds)
    return point


def compare_with_best(points: Sequence[Point], monitor: Figure) -> None:
    """Test each point against the best one, over the repeats that both have."""
    p_values = {}
    for index, point in enumerate(points[1:], 1):
        pairs = paired_figures(points[0], point, monitor.name)
        if len(pairs) >= 2:
            p_values[str(index)] = paired_p(*zip(*pairs, strict=True))
    for name, p in holm(p_values).items():
        points[int(name)].p = p


def paired_figures(one: Point, other: Point, figure: str) -> list[tuple[float, float]]:
    """Return a figure of two points for each repeat that both have."""
    first, second = one.by_repeat(figure), other.by_repeat(figure)
    return [(first[repeat], second[repeat]) for repeat in first if repeat in second and repeat[0] is not None]


def tests_of(point: Point, score: str) -> list[float]:
    """Return a score on the test set for each repeat of a point; each of its runs has tested once."""
    found = {}
    for run in point.runs:
        summary = run.folder / "summary.json"
        if summary.exists():
            found[run.repeat] = float(run_files.read_json(summary)[TEST][score])
    return list(found.values())


def ranks_of(points: Sequence[Point]) -> dict[int, int]:
    """Return the rank of each run, by its identity."""
    return {id(run): point.rank for point in points for run in point.runs if point.rank is not None}


def in_order(runs: Sequence[Run], points: Sequence[Point]) -> list[Run]:
    """Return the runs in the order of the points, unfinished ones last."""
    places = {id(run): place for place, point in enumerate(points) for run in point.runs if point.rank}
    return sorted(runs, key=lambda run: places.get(id(run), len(points)))


def as_csv(runs: Sequence[Run], points: Sequence[Point], keys: Sequence[str], scores: Scores) -> str:
    """Return one row for each run, in the given order."""
    names = figures_of(scores)
    ranks = ranks_of(points)
    rows: list[list[Any]] = [["rank", "job", *keys, "state", *names, "reason"]]
    for run in runs:
        own = [value_of(run, key) for key in keys]
        figures = [run.figures.get(figure) for figure in names]
        rows.append([ranks.get(id(run), ""), run.name, *own, run.state, *figures, run.reason])
    return csv_of(rows)


def value_of(run: Run, key: str) -> str:
    """Return the value of a key in which runs differ; an empty string where a run does not have it."""
    repeats = dict(zip(REPEATS, run.repeat, strict=True))
    value = repeats.get(key, run.values.get(key))
    return "" if value is None else str(value)
