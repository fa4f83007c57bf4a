"""How an evaluation is shown on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from cnntrain.runtime.console import Console, count
from cnntrain.tasks.detection.metrics import DetectionResult
from cnntrain.text import JOIN, format_loss, printable


def show_result(console: Console, name: str, result: DetectionResult) -> None:
    """Print the figures of an evaluation."""
    console.line(
        f"[bold]{name} AP {result.ap:.2%}[/]  ({count(result.examples, 'image')})  "
        f"loss{JOIN}{format_loss(result.loss)}"
    )
    console.line(
        f"AP50 {result.ap50:.2%}, AP75 {result.number('ap75'):.2%}, recall with 100 boxes an image "
        f"{result.number('ar100'):.2%}"
    )
    numbers = result.at_threshold
    console.line(
        f"boxes with a score of at least {result.threshold:.2f}: precision {numbers['precision']:.2%}, "
        f"recall {numbers['recall']:.2%}, F1 {numbers['f1']:.2%}"
    )


def show_classes(console: Console, rows: Sequence[Mapping[str, Any]], level: int = 1) -> None:
    """Print the AP of each class, and its objects."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("class")
    for heading in ("AP", "objects"):
        table.add_column(heading, justify="right")
    for row in rows:
        ap = "–" if row["ap"] is None else f"{row['ap']:.2%}"
        table.add_row(escape(printable(row["class"])), ap, f"{row['objects']:,}")
    console.table(table, level)
