"""The ranking in the terminal, and what it means in words."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from cnntrain.console import Console, count
from cnntrain.ranking import FIGURES, LEVEL, Point, Run, ranked, tests_of
from cnntrain.statistics import summarize

STATES = {
    "failed": "failed",
    "pruned": "stopped early, without hope",
    "running": "not finished",
    "waiting": "not begun",
}
NAMED = ("failed", "running")  # the states in which a run is of interest by its name
MOST_NAMED = 5


def show(console: Console, runs: Sequence[Run], keys: Sequence[str], monitor: str) -> list[Point]:
    """Print the ranking and what it means; return it."""
    points = ranked(runs, monitor)
    repeated = any(point.planned > 1 for point in points)
    keys = [key for key in keys if not (repeated and key == "seed")]
    table = Table(title=f"Ranking by {monitor}", title_justify="left", box=None, pad_edge=False)
    for column in ("rank", *(() if repeated else ("job",)), *keys):
        table.add_column(column, overflow="fold")
    spread = ("95% interval", "deviation", "seeds", "against the best") if repeated else ()
    for column in (monitor, *spread, *(figure for figure in FIGURES if figure != monitor)):
        table.add_column(column, justify="right")
    for rank, point in enumerate(points, 1):
        names = some([run.name for run in point.runs])  # several if they are of the same seed, too
        table.add_row(
            str(rank) if point.summary else "–",
            *(() if repeated else (escape(names),)),
            *(escape(value_of(point, key)) for key in keys),
            *figures_of(point, monitor, repeated, is_best=rank == 1),
            style="bold green" if rank == 1 and point.summary else None,
        )
    console.line()
    if points:
        console.table(table)
        console.line()
    explain(console, runs, points, repeated)
    if points and points[0].summary is not None:
        winner(console, points[0], monitor)
    return points


def value_of(point: Point, key: str) -> str:
    """Return the value of a key that all runs of a point have."""
    return str(point.runs[0].seed) if key == "seed" else point.values.get(key, "")


def figures_of(point: Point, monitor: str, repeated: bool, is_best: bool) -> list[str]:
    """Return the figures of a point as the table shows them."""
    summary = point.summary
    cells = [shown(monitor, summary.mean if summary else None)]
    if repeated:
        half, deviation = (summary.half_width, summary.deviation) if summary else (None, None)
        cells += ["" if half is None else f"± {shown(monitor, half)}", shown(monitor, deviation)]
        cells += [seeds_of(point), verdict_on(point, is_best)]
    return [*cells, *(shown(figure, point.mean(figure)) for figure in FIGURES if figure != monitor)]


def seeds_of(point: Point) -> str:
    """Return how many seeds a point has, and had."""
    return str(point.seeds) if point.seeds == point.planned else f"{point.seeds} of {point.planned}"


def verdict_on(point: Point, is_best: bool) -> str:
    """Return what the test says of a point."""
    if is_best:
        return "best" if point.summary else "–"
    if point.p is None:
        return "–"
    return f"p = {point.p:.2g}" + (", not told apart" if point.p >= LEVEL else "")


def explain(console: Console, runs: Sequence[Run], points: Sequence[Point], repeated: bool) -> None:
    """Say what the figures mean, and what failed."""
    if repeated:
        tested = (
            "; p of a paired t-test against the best over the seeds that both have, corrected by Holm's "
            f"method; not told apart: p ≥ {LEVEL}"
        )
        several = len(points) > 1
        console.line(f"[dim]mean over seeds, 95% interval by Student's t{tested if several else ''}[/]")
    if any(point.seeds < point.planned for point in points):
        console.line("[dim]2 of 3 seeds: means are of what is finished, which flatters a point that fails[/]")
    for state, verb in STATES.items():
        names = [run.name for run in runs if run.state == state]
        if names:
            told = f": {some(names)}" if state in NAMED else ""
            console.warn(f"{count(len(names), 'job')} of {len(runs)} {verb}{told}")
    if points and points[0].summary is None:
        console.line("nothing was kept for validation (data.val_fraction=0), so nothing is ranked")


def some(names: Sequence[str]) -> str:
    """Name a few, and count the others."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def winner(console: Console, best: Point, monitor: str) -> None:
    """Tell the test accuracy of the best point."""
    tests = tests_of(best)
    if tests:
        summary = summarize(tests)
        half = "" if summary.half_width is None else f" ± {summary.half_width:.2%}, {len(tests)} seeds"
        console.line(f"test accuracy of the best: [bold]{summary.mean:.2%}[/]{half}")
    console.line(f"best: [bold]cnntrain eval {escape(str(best.best_run(monitor).folder))}[/]")


def shown(figure: str, value: float | None) -> str:
    """Return a figure as the table shows it."""
    if value is None:
        return "–"
    loss = "{:.4f}" if value < 1e4 else "{:.2e}"
    seconds = "{:.1f}" if value >= 10 else "{:.2f}"
    styles = {"val_accuracy": "{:.2%}", "val_loss": loss, "seconds": seconds, "epochs_done": "{:g}"}
    return styles[figure].format(value)
