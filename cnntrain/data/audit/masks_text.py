"""What ``cnntrain data DIR`` says about a folder of masks: classes, faults, the command to train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from cnntrain.data.audit.findings_text import show_findings
from cnntrain.runtime.console import Console

if TYPE_CHECKING:
    from cnntrain.data.audit.masks_result import MaskAudit


def show(console: Console, result: MaskAudit) -> None:
    """Print what was found."""
    parts = [part for part, number in result.images.items() if number]
    if result.counts:
        console.table(table_of(result, parts))
        console.line()
    show_findings(console, result, vars(result), facts_of(result))


def table_of(result: MaskAudit, parts: list[str]) -> Table:
    """Return the table of classes: the images that show each, and its share of the pixels."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("images with")
    for name in (*parts, "pixels"):
        table.add_column(name, justify="right")
    for name, of_class in result.counts.items():
        share = f"{result.pixels[name]:.2%}"
        table.add_row(escape(name), *(f"{of_class[part]:,}" for part in parts), share)
    table.add_row("[bold]all[/]", *(f"{result.images[part]:,}" for part in parts), "")
    return table


def facts_of(result: MaskAudit) -> dict[str, str]:
    """Return, in words, the facts about all images together."""
    found = dict(result.format)
    found["sizes"] = ", ".join(f"{size} ({number:,})" for size, number in result.sizes.items())
    if result.values:
        found["values"] = f"{result.values} of all pixels"
    if result.counts:
        found["ignored"] = f"{result.ignored:.2%} of all pixels have no class"
    if result.facts:
        facts = result.facts
        found["mean, std"] = f"{facts['mean']}, {facts['std']} of pixels from 0 to 1"
        found["auto"] = f"data.channels={facts['channels']} data.image_size={facts['image_size']}"
        found["resize"] = (
            f"data.resize=crop: the center crop discards {result.left_out:.0%} of the median image"
        )
    found["split"] = result.split
    return found
