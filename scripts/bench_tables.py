"""What bench_peers.py compares, and the arithmetic and the tables of what it measured. Imports no torch."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

BATCH_SIZES = {"mlp": 32, "cnn": 64, "lstm": 64}
GOAL = 0.99
EXAMPLE = "MNIST example"

Round = Mapping[tuple[str, str], float]  # images per second, by model and tool
Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class Tool:
    """A contender.

    Args:
        label: its name in the table.
        module: what has to be installed.
        overrides: what ``cnntrain train`` is told besides, if this is cnntrain.
    """

    label: str
    module: str = "torchvision"
    overrides: tuple[str, ...] = ()


TOOLS = {
    "floor": Tool("floor: tensors in memory"),
    "textbook": Tool("textbook loop"),
    "textbook-2": Tool("textbook loop, 2 workers"),
    "lightning": Tool("Lightning", "lightning"),
    "keras": Tool("Keras on torch", "keras"),
    "skorch": Tool("skorch", "skorch"),
    "cnntrain": Tool("cnntrain, precision=auto", "cnntrain", ("precision=auto",)),
    "cnntrain-fp32": Tool("cnntrain, precision=fp32", "cnntrain", ("precision=fp32",)),
}


def summarise(rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Return each model's and tool's speeds, their median, and the median of the ratios to the floor.

    A ratio compares two speeds of the same round, which were measured within minutes of each other; a
    round that has no floor gives none.
    """
    results = []
    for model in BATCH_SIZES:
        for name in TOOLS:
            having = [speeds for speeds in rounds if (model, name) in speeds]
            if not having:
                continue
            speeds = [r[model, name] for r in having]
            ratios = [r[model, name] / r[model, "floor"] for r in having if (model, "floor") in r]
            results.append(
                {
                    "model": model,
                    "tool": name,
                    "images_per_second": speeds,
                    "median": statistics.median(speeds),
                    "of_floor": statistics.median(ratios) if ratios else None,
                }
            )
    return results


def compare(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many runs of cnntrain reached the goal, and how many times as long the example takes.

    An example that was stopped before the goal would have taken longer: ``is_least`` says so.
    """
    ours = [result for result in results if result["run"] != EXAMPLE]
    examples = [result for result in results if result["run"] == EXAMPLE]
    median = statistics.median(result["seconds"] for result in ours) if ours else None
    return {
        "runs": len(ours),
        "reached": sum(result["accuracy"] >= GOAL for result in ours),
        "median_seconds": median,
        "ratio": examples[0]["seconds"] / median if examples and median else None,
        "is_least": any(result["accuracy"] < GOAL for result in examples),
    }


def throughput_rows(results: Sequence[Mapping[str, Any]]) -> Rows:
    """Return the headings and a row for each model and tool."""
    rows: Rows = [("model", "tool", "images/s", "min–max", "of floor")]
    for result in results:
        low, high = min(result["images_per_second"]), max(result["images_per_second"])
        rows.append(
            (
                f"{result['model'].upper()}, batch {BATCH_SIZES[result['model']]}",
                TOOLS[result["tool"]].label,
                f"{result['median']:,.0f}",
                f"{low:,.0f}–{high:,.0f}",
                "–" if result["of_floor"] is None else f"{result['of_floor']:.2f}",
            )
        )
    return rows


def goal_rows(results: Sequence[Mapping[str, Any]]) -> Rows:
    """Return the headings and a row for each run."""
    rows: Rows = [("run", "epochs", "test accuracy", "seconds")]
    for result in results:
        note = "" if result["accuracy"] >= GOAL else f", below {GOAL:.0%}"
        accuracy, seconds = f"{result['accuracy']:.2%}{note}", f"{result['seconds']:.1f}"
        rows.append((result["run"], str(result["epochs"]), accuracy, seconds))
    return rows


def goal_line(comparison: Mapping[str, Any]) -> str:
    """Return the comparison in words."""
    parts = []
    if comparison["runs"]:
        parts.append(
            f"cnntrain: {comparison['reached']} of {comparison['runs']} runs at {GOAL:.1%} or more, "
            f"median {comparison['median_seconds']:.1f} s"
        )
    if comparison["ratio"] is not None:
        least = "at least " if comparison["is_least"] else ""
        parts.append(f"the example takes {least}{comparison['ratio']:.1f} times as long")
    return "; ".join(parts)


def show(rows: Rows, closing: Sequence[str], as_markdown: bool) -> None:
    """Print headings and rows as a table of rich or as Markdown, and lines below it."""
    headings, *body = rows
    is_number = [heading not in ("model", "tool", "run") for heading in headings]
    if as_markdown:
        rule = tuple("---:" if number else "---" for number in is_number)
        lines = [f"| {' | '.join(row)} |" for row in (headings, rule, *body)]
        print("\n".join([*lines, "", *closing]))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading, number in zip(headings, is_number, strict=True):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in body:
        table.add_row(*row)
    console = Console(highlight=False)
    console.print(table)
    for line in closing:
        console.print(line, style="dim", soft_wrap=True)
