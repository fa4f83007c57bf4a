"""Which runs are best, by validation alone, and which of them are better by more than chance.

Runs that differ only in their seed are one point. The test set has no say: only the winner's accuracy on it
is told, once the winner is known.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from cnntrain import run_folder
from cnntrain.checkpoint import write_atomically
from cnntrain.console import Console, count
from cnntrain.jobs import headline, record_of
from cnntrain.statistics import Summary, holm, paired_p, summarize

FIGURES = ("val_accuracy", "val_loss", "epochs", "seconds")
LEVEL = 0.05  # of the tests
LOWER_IS_BETTER = ("val_loss",)
STATES = {
    "failed": "failed",
    "pruned": "stopped early, without hope",
    "running": "not finished",
    "waiting": "not begun",
}


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
        summary: of the monitored figure over its runs.
        p: that it is as good as the best point, corrected for how many were compared; None if unknown.
    """

    values: dict[str, str]
    runs: list[Run]
    summary: Summary | None
    p: float | None = None

    def mean(self, figure: str) -> float | None:
        """Return the mean of a figure over the runs."""
        values = [run.figures[figure] for run in self.runs if run.figures.get(figure) is not None]
        return statistics.fmean(values) if values else None


def ranked(runs: Sequence[Run], monitor: str) -> list[Point]:
    """Return the points of all finished runs, the best first; in the given order without validation."""
    groups: dict[tuple[tuple[str, str], ...], list[Run]] = {}
    for run in runs:
        if run.state == "finished":
            groups.setdefault(tuple(sorted(run.values.items())), []).append(run)
    points = []
    for members in groups.values():
        values = [run.figures[monitor] for run in members if run.figures.get(monitor) is not None]
        summary = summarize(values) if len(values) == len(members) else None
        points.append(Point(members[0].values, members, summary))
    sign = 1 if monitor in LOWER_IS_BETTER else -1
    points.sort(key=lambda point: sign * point.summary.mean if point.summary else 0.0)
    compare_with_best(points, monitor)
    return points


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
    """Return a figure of two points for each seed that both have, once."""
    first, second = ({run.seed: run.figures[monitor] for run in point.runs} for point in (one, other))
    common = [seed for seed in first if seed in second and seed is not None]
    return [(first[seed], second[seed]) for seed in common if None not in (first[seed], second[seed])]


def show(console: Console, runs: Sequence[Run], keys: Sequence[str], monitor: str) -> list[Point]:
    """Print the ranking and what it means; return it."""
    points = ranked(runs, monitor)
    repeated = any(len(point.runs) > 1 for point in points)
    keys = [key for key in keys if not (repeated and key == "seed")]
    table = Table(title=f"Ranking by {monitor}", title_justify="left", box=None, pad_edge=False)
    for column in ("rank", *(() if repeated else ("job",)), *keys):
        table.add_column(column, overflow="fold")
    spread = ("95% interval", "deviation", "runs", "against the best") if repeated else ()
    for column in (monitor, *spread, *(figure for figure in FIGURES if figure != monitor)):
        table.add_column(column, justify="right")
    for rank, point in enumerate(points, 1):
        first = [str(rank) if point.summary else "–", *(() if repeated else (escape(point.runs[0].name),))]
        table.add_row(
            *first,
            *(
                escape(point.values.get(key, "") if key != "seed" else str(point.runs[0].seed))
                for key in keys
            ),
            *figures_of(point, monitor, repeated, is_best=rank == 1),
            style="bold green" if rank == 1 and point.summary else None,
        )
    console.line()
    if points:
        console.table(table)
        console.line()
    explain(console, runs, points, repeated)
    return points


def figures_of(point: Point, monitor: str, repeated: bool, is_best: bool) -> list[str]:
    """Return the figures of a point as the table shows them."""
    summary = point.summary
    cells = [shown(monitor, summary.mean if summary else None)]
    if repeated:
        half, deviation = (summary.half_width, summary.deviation) if summary else (None, None)
        verdict = "best" if is_best else "–"
        if point.p is not None:
            verdict = f"p = {point.p:.2g}" + (", maybe as good" if point.p >= LEVEL else "")
        cells += ["" if half is None else f"± {shown(monitor, half)}", shown(monitor, deviation)]
        cells += [str(len(point.runs)), verdict]
    return [*cells, *(shown(figure, point.mean(figure)) for figure in FIGURES if figure != monitor)]


def explain(console: Console, runs: Sequence[Run], points: Sequence[Point], repeated: bool) -> None:
    """Say what the figures mean, what failed, and how good the winner is on the test set."""
    if repeated:
        console.line(
            "[dim]mean over seeds, 95% interval by Student's t; p of a paired t-test against the best, "
            "corrected by Holm's method[/]"
        )
    for state, verb in STATES.items():
        number = sum(run.state == state for run in runs)
        if number:
            console.warn(f"{count(number, 'job')} of {len(runs)} {verb}")
    if points and points[0].summary is None:
        console.line("nothing was kept for validation (data.val_fraction=0), so nothing is ranked")
    elif points:
        winner(console, points[0])


def winner(console: Console, best: Point) -> None:
    """Tell the test accuracy of the best point, whose runs have each tested once."""
    tests = [
        run_folder.read_json(run.folder / "summary.json")["test"]["accuracy"]
        for run in best.runs
        if (run.folder / "summary.json").exists()
    ]
    if tests:
        summary = summarize(tests)
        half = "" if summary.half_width is None else f" ± {summary.half_width:.2%}, {len(tests)} seeds"
        console.line(f"test accuracy of the best: [bold]{summary.mean:.2%}[/]{half}")
    console.line(f"best: [bold]cnntrain eval {best.runs[0].folder}[/]")


def report(folder: Path, console: Console) -> None:
    """Rank the jobs of a sweep, print the ranking, and write it as ``sweep.csv`` and ``sweep.html``."""
    from cnntrain.plan import Plan
    from cnntrain.report.sweep_page import write_page

    plan = Plan.read(folder)
    runs = runs_of(plan, folder)
    points = show(console, runs, plan.varied, plan.monitor)
    order = in_order(runs, points)
    write_atomically(folder / "sweep.csv", as_csv(order, points, plan.varied).encode())
    write_page(folder / "sweep.html", folder.absolute().name, order, plan.varied, plan.monitor)
    console.line(f"the ranking is in {folder / 'sweep.csv'}, to be looked at in {folder / 'sweep.html'}")


def runs_of(plan: Any, folder: Path) -> list[Run]:
    """Return the jobs of a sweep as runs."""
    runs = []
    for name in plan.jobs:
        pairs = (word.partition("=") for word in plan.varied_of(name))
        values = {key: value for key, _, value in pairs}
        seed = values.pop("seed", None)
        record = record_of(folder / name) or {"state": "waiting"}
        run = Run(name, folder / name, values, None if seed is None else int(seed), record["state"])
        run.figures = {figure: record.get(figure) for figure in FIGURES} if run.state == "finished" else {}
        run.seed = record.get("seed", run.seed)
        run.reason = record.get("reason", "")
        runs.append(run)
    return runs


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


def shown(figure: str, value: float | None) -> str:
    """Return a figure as the table shows it."""
    if value is None:
        return "–"
    loss = "{:.4f}" if value < 1e4 else "{:.2e}"
    styles = {"val_accuracy": "{:.2%}", "val_loss": loss, "seconds": "{:.1f}", "epochs": "{:g}"}
    return styles[figure].format(value)


def finished_run(name: str, folder: Path, values: dict[str, str], summary: dict[str, Any]) -> Run:
    """Return a run that has a summary."""
    figures = headline(summary)
    return Run(name, folder, values, figures.pop("seed"), "finished", figures)
