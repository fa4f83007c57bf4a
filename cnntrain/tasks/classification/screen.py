"""How an evaluation is shown on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from cnntrain.runtime.console import Console
from cnntrain.tasks.classification.metrics import ClassificationResult, wilson_interval
from cnntrain.text import JOIN, format_loss, printable


def show_result(console: Console, name: str, result: ClassificationResult) -> None:
    """Print the figures of an evaluation, with the interval in which the true accuracy lies."""
    low, high = wilson_interval(result.accuracy, result.examples)
    correct = round(result.accuracy * result.examples)
    top5 = "" if result.top5 is None else f"  top-5{JOIN}{result.top5:.2%}"
    console.line(
        f"[bold]{name} accuracy {result.accuracy:.2%}[/]  ({correct:,} of {result.examples:,}; "
        f"95% interval {low:.2%} to {high:.2%})  loss{JOIN}{format_loss(result.loss)}{top5}"
    )
    if result.is_imbalanced:
        console.line(
            f"balanced accuracy {result.balanced_accuracy:.2%}, macro F1 {result.macro_f1:.2%} "
            "(each class counts the same)"
        )


def show_classes(console: Console, rows: Sequence[Mapping[str, Any]], level: int = 1) -> None:
    """Print precision, recall and F1 of each class."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("class")
    for heading in ("precision", "recall", "F1", "examples"):
        table.add_column(heading, justify="right")
    for row in rows:
        scores = (f"{row[name]:.2%}" for name in ("precision", "recall", "f1"))
        table.add_row(escape(printable(row["class"])), *scores, f"{row['support']:,}")
    console.table(table, level)
