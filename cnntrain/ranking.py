"""Which runs are best, by validation alone, and which of them are better by more than chance.

Runs that differ only in their seed are one point. The test set has no say: only the winner's accuracy on it
is told, once the winner is known.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnntrain import run_folder
from cnntrain.jobs import headline
from cnntrain.statistics import Summary, holm, paired_p, summarize

FIGURES = ("val_accuracy", "val_loss", "epochs_done", "seconds")  # none has the name of a key
LEVEL = 0.05  # of the tests
LOWER_IS_BETTER = ("val_loss",)


@dataclass
class Run:
    """A run, as far as it is compared.

    Args:
        name: by which it is shown.
        folder: of the run.
        values: the keys in which the runs differ, seed aside, and their values as typed.
        seed: of the run.
        state: finished, failed, pruned, running or waiting.
        figures: by which it is ranked; empty unless it is finished.
        reason: why it failed.
    """

    name: str
    folder: Path
    values: dict[str, str]
    seed: int | None = None
    state: str = "waiting"
    figures: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass
class Point:
    """Runs that differ only in their seed.

    Args:
        values: what they have in common.
        runs: those that are finished.
        summary: of the monitored figure over its seeds.
        planned: how many seeds it was to have, of which some may have failed.
        p: that it is as good as the best point, corrected for how many were compared; None if unknown.
    """

    values: dict[str, str]
    runs: list[Run]
    summary: Summary | None
    planned: int
    p: float | None = None

    def by_seed(self, figure: str) -> dict[int | None, float]:
        """Return a figure for each seed that has it.

        Runs of the same seed count as one, by their mean: they repeat each other, and would make an
        interval narrower than it is.
        """
        found: dict[int | None, list[float]] = {}
        for run in self.runs:
            if run.figures.get(figure) is not None:
                found.setdefault(run.seed, []).append(run.figures[figure])
        return {seed: statistics.fmean(values) for seed, values in found.items()}

    def best_run(self, monitor: str) -> Run:
        """Return the run whose figure is the best; with equal ones, the first."""
        sign = 1 if monitor in LOWER_IS_BETTER else -1
        return min(self.runs, key=lambda run: sign * (run.figures.get(monitor) or 0.0))

    def mean(self, figure: str) -> float | None:
        """Return the mean of a figure over the seeds."""
        values = self.by_seed(figure).values()
        return statistics.fmean(values) if values else None

    @property
    def seeds(self) -> int:
        """How many seeds are finished."""
        return len({run.seed for run in self.runs})


def ranked(runs: Sequence[Run], monitor: str) -> list[Point]:
    """Return the points of all finished runs, the best first; those that were not validated last."""
    groups: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(sorted(run.values.items())), []).append(run)
    points = [point_of(members, monitor) for members in groups.values()]
    points = [point for point in points if point.runs]
    sign = 1 if monitor in LOWER_IS_BETTER else -1

    def place(point: Point) -> tuple[bool, float, float]:
        if point.summary is None:
            return True, 0.0, 0.0
        # The loss decides between equal accuracies, as it does between the epochs of a run.
        return False, sign * point.summary.mean, point.mean("val_loss") or 0.0

    points.sort(key=place)
    compare_with_best(points, monitor)
    return points


def point_of(members: Sequence[Run], monitor: str) -> Point:
    """Return the point of runs that differ only in their seed."""
    finished = [run for run in members if run.state == "finished"]
    planned = len({run.seed for run in members} - {None})
    point = Point(members[0].values, finished, None, max(planned, 1))
    values = point.by_seed(monitor)
    if values and len(values) == point.seeds:
        point.summary = summarize(list(values.values()))
    return point


def compare_with_best(points: Sequence[Point], monitor: str) -> None:
    """Test each point against the best one, over the seeds that both have."""
    p_values = {}
    for index, point in enumerate(points[1:], 1):
        pairs = paired_figures(points[0], point, monitor)
        if len(pairs) >= 2:
            p_values[str(index)] = paired_p(*zip(*pairs, strict=True))
    for name, p in holm(p_values).items():
        points[int(name)].p = p


def paired_figures(one: Point, other: Point, monitor: str) -> list[tuple[float, float]]:
    """Return a figure of two points for each seed that both have."""
    first, second = one.by_seed(monitor), other.by_seed(monitor)
    return [(first[seed], second[seed]) for seed in first if seed in second and seed is not None]


def tests_of(point: Point) -> list[float]:
    """Return the accuracy on the test set for each seed of a point, whose runs have each tested once."""
    found = {}
    for run in point.runs:
        summary = run.folder / "summary.json"
        if summary.exists():
            found[run.seed] = float(run_folder.read_json(summary)["test"]["accuracy"])
    return list(found.values())


def ranks_of(points: Sequence[Point]) -> dict[int, int]:
    """Return the rank of each run, by its identity."""
    return {id(run): rank for rank, point in enumerate(points, 1) for run in point.runs if point.summary}


def in_order(runs: Sequence[Run], points: Sequence[Point]) -> list[Run]:
    """Return the runs of the best point first, unfinished ones last."""
    ranks = ranks_of(points)
    return sorted(runs, key=lambda run: ranks.get(id(run), len(runs) + 1))


def as_csv(runs: Sequence[Run], points: Sequence[Point], keys: Sequence[str]) -> str:
    """Return one row for each run, in the given order."""
    ranks = ranks_of(points)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", "job", *keys, "state", *FIGURES, "reason"])
    for run in runs:
        own = [run.seed if key == "seed" else run.values.get(key, "") for key in keys]
        figures = [run.figures.get(figure) for figure in FIGURES]
        writer.writerow([ranks.get(id(run), ""), run.name, *own, run.state, *figures, run.reason])
    return text.getvalue()


def finished_run(name: str, folder: Path, values: dict[str, str], summary: Mapping[str, Any]) -> Run:
    """Return a run that has a summary."""
    figures = headline(summary)
    return Run(name, folder, values, figures.pop("seed"), "finished", figures)
