"""The table of epochs on the screen: as many columns as the terminal is wide for, one line an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnntrain.config.inputs import CALLED, IMAGES, Called
from cnntrain.runs.records import EpochRow
from cnntrain.runtime.console import Console
from cnntrain.tasks.scores import Figure, Scores

GAP = 2  # columns of the terminal between two of the table
LEFT_OUT = ("step", "images_per_second", "lr", "seconds")  # of a narrow terminal, in this order
BEST = "best"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        name: its name in metrics.csv.
        heading: its name on the screen.
        width: the columns of the terminal that its widest cell takes.
        text: returns a value as the screen shows it, never wider than that.
    """

    name: str
    heading: str
    width: int
    text: Callable[[float], str]


class EpochScreen:
    """The table of a run's epochs on the screen and, with all its columns, in the log.

    Args:
        console: the run's console.
        scores: the scores of its task.
        epochs: the number of its epochs.
        called: what its examples are called.
    """

    def __init__(
        self, console: Console, scores: Scores, epochs: int, called: Called = CALLED[IMAGES]
    ) -> None:
        self.console, self.scores, self.epochs, self.called = console, scores, epochs, called
        console.line()
        console.wide_line(lambda width: self.table(width).headings(), "[bold]{}[/]")

    def row(self, row: EpochRow, is_best: bool) -> None:
        """Print what an epoch came to."""
        best = f"  [green]{BEST}[/]" if is_best else ""
        self.console.wide_line(lambda width: self.table(width).row(row), f"{{}}{best}")

    def table(self, width: int) -> EpochTable:
        """Return the table for a terminal of that many columns."""
        return EpochTable(self.scores, self.epochs, width, self.called)


class EpochTable:
    """The table of a run's epochs.

    Args:
        scores: the scores of its task.
        epochs: the number of its epochs.
        width: columns of the terminal.
        called: what its examples are called.
    """

    def __init__(self, scores: Scores, epochs: int, width: int, called: Called = CALLED[IMAGES]) -> None:
        self.epochs = epochs
        self.width_of_epoch = max(len("epoch"), 2 * len(str(epochs)) + 1)
        self.columns = columns_of(scores, called)
        for name in LEFT_OUT:
            if self.width <= width:
                break
            self.columns = [column for column in self.columns if column.name != name]

    @property
    def width(self) -> int:
        """The columns of a terminal that it needs."""
        return self.width_of_epoch + sum(GAP + column.width for column in self.columns) + GAP + len(BEST)

    def headings(self) -> str:
        """Return the first line."""
        return self.line("epoch", [column.heading for column in self.columns])

    def row(self, row: Mapping[str, Any]) -> str:
        """Return the line of an epoch, from its row of metrics.csv."""
        values = [(column, row[column.name]) for column in self.columns]
        cells = ["–" if value is None else column.text(value) for column, value in values]
        return self.line(f"{row['epoch']}/{self.epochs}", cells)

    def line(self, epoch: str, cells: Sequence[str]) -> str:
        """Return a line: all cells to the right."""
        rest = (f"{text:>{GAP + column.width}}" for text, column in zip(cells, self.columns, strict=True))
        return f"{epoch:>{self.width_of_epoch}}{''.join(rest)}"


def columns_of(scores: Scores, called: Called) -> list[Column]:
    """Return all columns but that of the epoch."""
    return [
        Column("step", "step", 7, lambda n: f"{n:,}" if n < 1e6 else f"{n / 1e6:.2f}M"),
        Column("lr", "lr", 8, lambda lr: f"{lr:.3g}"),
        *map(column_of, scores.epoch),
        Column("seconds", "s", 5, lambda seconds: f"{seconds:.1f}" if seconds < 999.95 else f"{seconds:.0f}"),
        Column("images_per_second", called.speed, 6, speed),
    ]


def column_of(figure: Figure) -> Column:
    """Return the column of a figure."""
    width = max(len(figure.heading), figure.score.width)
    return Column(figure.name, figure.heading, width, figure.score.text)


def speed(images: float) -> str:
    """Return a number of images per second in at most six characters."""
    if images < 9.95:
        return f"{images:.1f}"
    return f"{images:,.0f}" if images < 99_999.5 else f"{images / 1e3:.0f}k"
