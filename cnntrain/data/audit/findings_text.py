"""What ``cnntrain data DIR`` says about a folder, in the order in which it matters: faults first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rich.markup import escape
from rich.table import Table

from cnntrain.image_folder.findings import FINDINGS, heading
from cnntrain.runtime.console import Console
from cnntrain.text import printable

if TYPE_CHECKING:
    from cnntrain.data.audit.result import Audit

SHOWN = 10  # of each kind of finding on the screen; all are in the JSON file
SHOWN_OF_SUMMED = 3  # of the kinds whose items say little one by one
EVEN = 1.05  # times the images of the smallest class, up to which classes count as balanced
NAME, LINE = 200, 600  # characters of a name, and of a line of names, that are shown


class Advice(Protocol):
    """What an audit of any kind comes to: a command that trains, or why there is none."""

    command: str
    refusal: str


def show(console: Console, result: Audit) -> None:
    """Print what was found."""
    parts = [part for part in ("train", "val", "test") if any(of[part] for of in result.counts.values())]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("class")
    for part in parts:
        table.add_column(part, justify="right")
    for name, of_class in result.counts.items():
        table.add_row(escape(name), *(f"{of_class[part]:,}" for part in parts))
    totals = (f"{sum(of[part] for of in result.counts.values()):,}" for part in parts)
    table.add_row("[bold]all[/]", *totals)
    console.table(table)
    console.line()
    show_findings(console, result, vars(result), facts_of(result))


def show_findings(
    console: Console,
    result: Advice,
    found: Mapping[str, Sequence[Any]],
    facts: dict[str, str],
) -> None:
    """Print the facts, then each kind of finding, and the command that trains, or why there is none.

    Args:
        console: where they are printed.
        result: the audit, of folders of any kind.
        found: the findings, by their kinds.
        facts: the facts about all images together.
    """
    console.facts(facts)
    for kind in FINDINGS:
        listed(console, kind, found.get(kind, ()))
    if result.command:
        console.line()
        console.command("to train", printable(result.command, 4000))
    else:
        console.line("\n[bold yellow]train refuses this folder[/]: {}", printable(result.refusal, 2000))


def facts_of(result: Audit) -> dict[str, str]:
    """Return, in words, the facts about all images together."""
    totals = [sum(of_class.values()) for of_class in result.counts.values()]
    ratio = max(totals) / max(1, min(totals))
    balance = f"the largest class has {ratio:.1f} times the images of the smallest"
    facts = result.facts
    values = {}
    if facts["value_range"] is not None:
        black, white = facts["value_range"]
        values["values"] = (
            f"of more than 8 bits: {black:g} is black, {white:g} is white; "
            f"data.value_range=[{black:g},{white:g}]"
        )
    return {
        "sizes": ", ".join(f"{size} ({number:,})" for size, number in result.sizes.items()),
        "modes": ", ".join(f"{mode} ({number:,})" for mode, number in result.modes.items()),
        **values,
        "balance": balance if ratio > EVEN else "classes are balanced",
        "mean, std": f"{facts['mean']}, {facts['std']} of pixels from 0 to 1",
        "auto": f"data.channels={facts['channels']} data.image_size={facts['image_size']}",
        "resize": f"data.resize=crop: the center crop discards {result.left_out:.0%} of the median image",
        "split": result.split,
    }


def line_of(item: str | Sequence[str]) -> str:
    """Return a finding as a line that is safe to print."""
    if isinstance(item, str):
        return printable(item, NAME)
    return printable("  =  ".join(printable(name, NAME) for name in item), LINE)


def listed(console: Console, kind: str, items: Sequence[Any]) -> None:
    """Print findings of one kind, the first few by name."""
    if not items:
        return
    number, _, rest = heading(kind, items).partition(f" {FINDINGS[kind][1]}")
    console.line(f"\n[bold yellow]{number}[/] {{}}", FINDINGS[kind][1] + rest)
    shown = SHOWN_OF_SUMMED if kind in ("others", "converted") else SHOWN
    for item in items[:shown]:
        console.line("  {}", line_of(item))
    if len(items) > shown:
        console.line(f"  and {len(items) - shown:,} more: --json FILE lists them all")
