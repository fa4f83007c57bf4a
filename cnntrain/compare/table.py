"""The ranking in the terminal, one line for each point, and what it means in words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from cnntrain.compare.columns import GAP, Column, columns_that_fit, result_columns
from cnntrain.compare.diff import REPEATS
from cnntrain.compare.ranking import (
    LEVEL,
    Point,
    Run,
    best_of,
    by_data,
    ranked,
    tests_of,
    value_of,
)
from cnntrain.compare.statistics import summarize
from cnntrain.runtime.console import Console, count
from cnntrain.tasks.scores import TEST, Figure, Scores
from cnntrain.text import argument, printable

STATES = {"failed": "failed", "pruned": "pruned", "running": "not finished", "waiting": "not started"}
NAMED = ("failed", "running")  # states whose runs are named
MOST_NAMED = 5
# Columns that a narrow screen leaves out, the first one first, before all scores. sweep.csv has them all.
SPARE = ("epochs", "epochs done", "seconds", "std")
LONGEST_VALUE = 40  # characters of a value in the list of differences


def show(
    console: Console, runs: Sequence[Run], keys: Sequence[str], monitor: Figure, scores: Scores
) -> list[Point]:
    """Print the ranking of each data set and what it means; return all points."""
    points = ranked(runs, monitor)
    groups = by_data(points)
    if len(groups) > 1:
        console.line()
        console.line("Results on different data sets can't be compared: each data set has a ranking.")
    for data, same in groups.items():
        title = f"Ranking by {monitor.name}" + (f" on {printable(data)}" if data else "")
        console.line()
        show_ranking(console, title, same, keys, monitor, scores)
    console.line()
    explain(console, runs, points)
    for best in best_of(points):
        show_winner(console, best, monitor, scores)
    return points


def show_ranking(
    console: Console,
    title: str,
    points: Sequence[Point],
    keys: Sequence[str],
    monitor: Figure,
    scores: Scores,
) -> None:
    """Print one ranking so that it fits the screen: keys as columns if there is room, else as a list."""
    repeated = is_repeated(points)
    keys = [key for key in keys if len({key_of(point, key) for point in points}) > 1]
    keys = [key for key in keys if not (repeated and key in REPEATS)]
    width = console.screen.width
    rank = Column("rank", [str(point.rank or "–") for point in points])
    epochs = "epochs done" if "epochs" in keys else "epochs"
    figures = result_columns(points, monitor, repeated, scores, epochs)
    spare = (*SPARE, *reversed(scores.monitors))
    values = [Column(key, [key_of(point, key) for point in points], right=False) for key in keys]
    folder, names = short_names([point.runs[0].name for point in points])
    runs = [] if repeated else [Column("run", names, right=False)]
    if folder and not repeated:
        title += f", runs in {printable(folder)}"

    columns = columns_that_fit([rank, *runs, *values], figures, spare, width)
    # The name of a sweep's job is made of its values.
    if columns is None and values and all(os.sep not in name for name in names):
        columns = columns_that_fit([rank, *values], figures, spare, width)
    listed = columns is None
    if columns is None:
        room = width - rank.width - sum(column.width for column in figures if column.title not in spare)
        runs = [Column("run", [middle(name, room - GAP) for name in names], right=False) for _ in runs]
        columns = columns_that_fit([rank, *runs], figures, spare, width) or [rank, *figures]
    console.line(f"[bold]{escape(title)}[/]")
    console.table(table_of(columns, points))
    if listed:
        show_differences(console, points, keys)
    if repeated and any(os.sep in point.runs[0].name for point in points):
        console.line()
        console.line("Runs by rank:")
        console.facts(
            {str(n): some([run.name for run in point.runs], 2) for n, point in enumerate(points, 1)}
        )


def is_repeated(points: Sequence[Point]) -> bool:
    """Return whether a point was to have several repeats."""
    return any(point.planned > 1 for point in points)


def table_of(columns: Sequence[Column], points: Sequence[Point]) -> Table:
    """Return the table of rich."""
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for column in columns:
        table.add_column(escape(column.title), justify="right" if column.right else "left", no_wrap=True)
    for index, point in enumerate(points):
        cells = (escape(column.cells[index]) for column in columns)
        table.add_row(*cells, style="bold green" if point.rank == 1 else None)
    return table


def show_differences(console: Console, points: Sequence[Point], keys: Sequence[str]) -> None:
    """List the keys in which points differ, each value with the ranks of the points that have it."""
    lines = {}
    for key in keys:
        ranks: dict[str, list[int]] = {}
        for number, point in enumerate(points, 1):
            ranks.setdefault(key_of(point, key), []).append(number)
        lines[key] = "; ".join(f"{value or '–'} ({numbers(found)})" for value, found in ranks.items())
    if lines:
        console.line()
        console.line("They differ in these keys, with the ranks in brackets:")
        console.facts(lines)


def numbers(found: Sequence[int]) -> str:
    """Return whole numbers in words: ``1–3, 7``."""
    parts: list[list[int]] = []
    for number in found:
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("–".join(map(str, part)) for part in parts)


def key_of(point: Point, key: str) -> str:
    """Return the value of a key that all runs of a point have, cut to what a line can hold."""
    return printable(value_of(point.runs[0], key), LONGEST_VALUE)


def short_names(names: Sequence[str]) -> tuple[str, list[str]]:
    """Return the folder that names of run folders have in common, and the names without it."""
    folders = {str(Path(name).parent) for name in names}
    if len(folders) > 1 or folders == {"."}:
        return "", [printable(name) for name in names]
    return folders.pop(), [printable(Path(name).name) for name in names]


def middle(text: str, longest: int) -> str:
    """Return text without its middle if it is too long for a column."""
    if len(text) <= longest:
        return text
    tail = max(1, longest // 2)
    return f"{text[: max(1, longest - tail - 1)]}…{text[-tail:]}"


def explain(console: Console, runs: Sequence[Run], points: Sequence[Point]) -> None:
    """Print what the figures mean, and which runs are missing."""
    if is_repeated(points):
        explain_repeats(console, points)
    for state, verb in STATES.items():
        names = [run.name for run in runs if run.state == state]
        if names:
            text = f": {some(names)}" if state in NAMED else ""
            console.warn(f"{count(len(names), 'job')} of {len(runs)} {verb}{text}")
    if points and not best_of(points):
        console.line("nothing is ranked: no images were held out for validation (data.val_fraction=0)")


def explain_repeats(console: Console, points: Sequence[Point]) -> None:
    """Print what the statistics over repeats are, and what would make them more certain."""
    tested = [point for point in points if point.p is not None]
    console.line(
        "[dim]n repeats with other seeds; mean, its 95% interval (Student's t) and standard deviation"
        + ("; p: paired t-test, Holm's correction[/]" if tested else "[/]")
    )
    close = [point for point in tested if point.p is not None and point.p >= LEVEL]
    if close:
        console.line(
            f"p ≥ {LEVEL}: not significantly different from the best; more repeats (seeds=N) show smaller "
            f"differences"
        )
    if any(point.repeats < point.planned for point in points):
        console.line(
            "[dim]2 of 3: one of three repeats did not finish; the mean is that of the others, so a point "
            "that sometimes fails looks better than it is[/]"
        )
    if any(len(point.runs) > point.repeats for point in points):
        console.line("[dim]runs of the same configuration and seed count once, by their mean[/]")


def some(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Name a few, and count the others."""
    more = len(names) - most
    shown_names = ", ".join(printable(name) for name in names[:most])
    return shown_names + (f" and {more:,} more" if more > 0 else "")


def show_winner(console: Console, best: Point, monitor: Figure, scores: Scores) -> None:
    """Print the test score of the best point of a data set, and the command that shows more."""
    where = f" on {printable(best.data)}" if best.data else ""
    tested = Figure(TEST, scores.main)
    tests = tests_of(best, tested.score.name)
    if tests:
        summary = summarize(tests, *tested.score.bounds)
        spread = ""
        if summary.interval is not None:
            low, high = map(tested.score.text, summary.interval)
            spread = f" (95% interval {low} to {high}, n = {summary.n})"
        mean = tested.score.text(summary.mean)
        console.line(f"{tested.words} of the best{escape(where)}: [bold]{mean}[/]{spread}")
    console.command("best", f"cnntrain eval {argument(best.best_run(monitor).folder)}")
