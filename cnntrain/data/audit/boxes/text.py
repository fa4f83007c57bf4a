"""What ``cnntrain data DIR`` says about a folder with boxes: classes, faults, the command to train."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from cnntrain.data.audit.boxes.result import BoxAudit
from cnntrain.data.audit.findings_text import show_findings
from cnntrain.runtime.console import Console


def show(console: Console, result: BoxAudit) -> None:
    """Print what was found."""
    if result.classes:
        console.table(table_of(result))
        console.line()
    show_findings(console, result, result.findings, facts_of(result))


def table_of(result: BoxAudit) -> Table:
    """Return the table of classes: the boxes in each part, the images with one, and how large they are."""
    parts = [part for part, number in result.images.items() if number]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("boxes of")
    for name in (*parts, "images", "median size", "shortest"):
        table.add_column(name, justify="right")
    for name, of in result.classes.items():
        numbers = (f"{of.boxes[part]:,}" for part in parts)
        size = f"{of.width:g}x{of.height:g}" if of.images else ""
        table.add_row(escape(name), *numbers, f"{of.images:,}", size, f"{of.shortest:g}" if of.images else "")
    totals = (f"{sum(of.boxes[part] for of in result.classes.values()):,}" for part in parts)
    table.add_row("[bold]all[/]", *totals, f"{sum(result.images.values()):,}", "", "")
    return table


def facts_of(result: BoxAudit) -> dict[str, str]:
    """Return, in words, the facts about all images together."""
    found = dict(result.format)
    median, most = result.per_image
    found["per image"] = f"{median:g} in the median, {most:,} at most"
    found["sizes"] = ", ".join(f"{size} ({number:,})" for size, number in result.sizes.items())
    if result.facts:
        facts = result.facts
        found["objects"] = f"sizes are those in images padded to {result.side}x{result.side}, in pixels"
        found["mean, std"] = f"{facts['mean']}, {facts['std']} of pixels from 0 to 1"
        found["auto"] = f"data.channels={facts['channels']} data.image_size={facts['image_size']}"
    found["split"] = result.split
    return found
