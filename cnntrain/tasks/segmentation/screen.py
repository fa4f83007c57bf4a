"""An evaluation on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from cnntrain.runtime.console import Console, count
from cnntrain.tasks.segmentation.metrics import SegmentationResult
from cnntrain.text import JOIN, format_loss, printable, some


def show_result(console: Console, name: str, result: SegmentationResult, class_names: Sequence[str]) -> None:
    """Print the figures of an evaluation, with the interval in which the true mean IoU lies."""
    low, high = result.miou_interval
    console.line(
        f"[bold]{name} mIoU {result.miou:.2%}[/]  ({count(result.examples, 'image')}; 95% interval "
        f"{low:.2%} to {high:.2%})  loss{JOIN}{format_loss(result.loss)}"
    )
    console.line(
        f"Dice {result.dice:.2%}, pixel accuracy {result.pixel_accuracy:.2%}, boundary F1 "
        f"{result.boundary_f1:.2%}"
    )
    if absent := result.absent(class_names):
        console.line("classes without a pixel, which the means leave out: {}", some(absent))


def show_classes(console: Console, rows: Sequence[Mapping[str, Any]], level: int = 1) -> None:
    """Print IoU, Dice and boundary F1 of each class that is there, and its pixels."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("class")
    for heading in ("IoU", "Dice", "boundary F1", "pixels"):
        table.add_column(heading, justify="right")
    for row in rows:
        scores = ("–" if row[name] is None else f"{row[name]:.2%}" for name in ("iou", "dice", "boundary_f1"))
        table.add_row(escape(printable(row["class"])), *scores, f"{row['pixels']:,}")
    console.table(table, level)
