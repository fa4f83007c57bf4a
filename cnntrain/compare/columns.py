"""The columns of a ranking in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from cnntrain.compare.ranking import LEVEL, Point
from cnntrain.compare.results import COSTS, figures_of
from cnntrain.tasks.scores import Figure, Scores

GAP = 2  # blanks between two columns


@dataclass(frozen=True)
class Column:
    """A column of the ranking: its heading and a cell for each point."""

    title: str
    cells: list[str]
    right: bool = True

    @property
    def width(self) -> int:
        """Its width on the screen, with the gap after it."""
        return max(map(cell_len, (self.title, *self.cells))) + GAP


def columns_that_fit(
    first: Sequence[Column], figures: Sequence[Column], spare: Sequence[str], width: int
) -> list[Column] | None:
    """Return the columns that fit a width: ``first``, and as many figures as there is room for.

    None if ``first`` and the figures that can't be spared do not fit. Those in ``spare`` are left out in its
    order, but never the first figure.
    """
    spare = [title for title in spare if any(column.title == title for column in figures[1:])]
    for number in range(len(spare) + 1):
        kept = [c for c in figures if c is figures[0] or c.title not in spare[:number]]
        columns = [*first, *kept]
        if sum(column.width for column in columns) - GAP <= width:
            return columns
    return None


def result_columns(
    points: Sequence[Point], monitor: Figure, repeated: bool, scores: Scores, epochs: str
) -> list[Column]:
    """Return the columns of the results, the monitored one first, that of the epochs called ``epochs``."""

    def column(title: str, cell: Callable[[Point], str]) -> Column:
        return Column(title, [cell(point) for point in points])

    columns = [
        column(monitor.name, lambda p: shown(p.summary.mean if p.summary else None, monitor.score.text))
    ]
    if repeated:
        columns += [
            column("95% interval", lambda p: interval_of(p, monitor)),
            column("std", lambda p: shown(p.summary.std if p.summary else None, monitor.score.text)),
            column("n", repeats_of),
            column("p vs. best", significance),
        ]
    text_of = {figure.name: figure.score.text for figure in scores.ranked} | COSTS
    for name in figures_of(scores):
        if name != monitor.name:
            title = epochs if name == "epochs_done" else name
            columns.append(Column(title, [shown(point.mean(name), text_of[name]) for point in points]))
    return columns


def interval_of(point: Point, monitor: Figure) -> str:
    """Return the 95 % interval of a point's mean."""
    interval = point.summary.interval if point.summary else None
    return "–" if interval is None else " to ".join(map(monitor.score.text, interval))


def repeats_of(point: Point) -> str:
    """Return how many repeats of a point are finished, and how many were planned."""
    return str(point.repeats) if point.repeats == point.planned else f"{point.repeats} of {point.planned}"


def significance(point: Point) -> str:
    """Return what the test says about a point."""
    if point.rank == 1:
        return "best"
    if point.p is None:
        return "–"
    # On its side of the level, however it is rounded.
    return f"{point.p:.2g}" if (float(f"{point.p:.2g}") >= LEVEL) == (point.p >= LEVEL) else f"{point.p:.4f}"


def shown(value: float | None, text: Callable[[float], str]) -> str:
    """Return a result as the table shows it."""
    return "–" if value is None else text(value)
