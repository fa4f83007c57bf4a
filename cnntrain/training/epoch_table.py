"""The table of epochs on the screen: as many columns as the terminal is wide for, one line an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnntrain.runtime.console import Console
from cnntrain.text import loss_in_words

GAP = 2  # columns of the terminal between two of the table
# Name in metrics.csv, heading, width.
COLUMNS = (
    ("step", "step", 7),
    ("lr", "lr", 8),
    ("train_loss", "train loss", 10),
    ("train_accuracy", "train acc", 9),
    ("val_loss", "val loss", 8),
    ("val_accuracy", "val acc", 7),
    ("seconds", "s", 5),
    ("images_per_second", "img/s", 6),
)
LEFT_OUT = ("step", "images_per_second", "lr", "seconds")  # of a narrow terminal, in this order
BEST = "best"


class EpochScreen:
    """The table of a run's epochs on the screen and, with all its columns, in the log.

    Args:
        console: of the run.
        epochs: of the run.
    """

    def __init__(self, console: Console, epochs: int) -> None:
        self.console, self.epochs = console, epochs
        console.line()
        console.wide_line(lambda width: EpochTable(epochs, width).headings(), "[bold]{}[/]")

    def row(self, row: Mapping[str, Any], is_best: bool) -> None:
        """Print what an epoch came to."""
        best = f"  [green]{BEST}[/]" if is_best else ""
        self.console.wide_line(lambda width: EpochTable(self.epochs, width).row(row), f"{{}}{best}")


class EpochTable:
    """The table of a run's epochs.

    Args:
        epochs: of the run.
        width: columns of the terminal.
    """

    def __init__(self, epochs: int, width: int) -> None:
        self.epochs = epochs
        self.width_of_epoch = max(len("epoch"), 2 * len(str(epochs)) + 1)
        self.columns = list(COLUMNS)
        for name in LEFT_OUT:
            if self.width <= width:
                break
            self.columns = [column for column in self.columns if column[0] != name]

    @property
    def width(self) -> int:
        """The columns of a terminal that it needs."""
        return self.width_of_epoch + sum(GAP + width for _, _, width in self.columns) + GAP + len(BEST)

    def headings(self) -> str:
        """Return the first line."""
        return self.line("epoch", [heading for _, heading, _ in self.columns])

    def row(self, row: Mapping[str, Any]) -> str:
        """Return the line of an epoch, from its row of metrics.csv."""
        return self.line(
            f"{row['epoch']}/{self.epochs}", [cell(name, row[name]) for name, _, _ in self.columns]
        )

    def line(self, epoch: str, cells: Sequence[str]) -> str:
        """Return a line: all cells to the right."""
        rest = (f"{text:>{GAP + width}}" for text, (_, _, width) in zip(cells, self.columns, strict=True))
        return f"{epoch:>{self.width_of_epoch}}{''.join(rest)}"


def cell(name: str, value: Any) -> str:
    """Return a figure of metrics.csv, never wider than its column."""
    if value is None:
        return "–"
    if name.endswith("accuracy"):
        return f"{value:.2%}"
    if name.endswith("loss"):
        return loss_in_words(value)
    if name == "lr":
        return f"{value:.3g}"
    if name == "step":
        return f"{value:,}" if value < 1e6 else f"{value / 1e6:.2f}M"
    if name == "seconds":
        return f"{value:.1f}" if value < 999.95 else f"{value:.0f}"
    if value < 9.95:
        return f"{value:.1f}"
    return f"{value:,.0f}" if value < 99_999.5 else f"{value / 1e3:.0f}k"
