"""What the explanations draw in a terminal: words, tables that fit, images and curves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from rich.color import Color
from rich.markup import escape
from rich.style import Style
from rich.table import Table
from rich.text import Text
from torch import Tensor

from cnntrain.language.translation import tr
from cnntrain.runtime.console import Console
from cnntrain.text import JOIN, columns, folded, without_controls

MOST = 100  # columns of a line that is good to read
SIDE = 14  # pixels of a small image; two of them, one above the other, make a character
SHADES = " ░▒▓█"
MARKS = ("•", "×", "+", "o")
COLOURS = ("cyan", "magenta", "yellow", "green")
GAP = 2  # columns between those of a table
CURVE_ROWS, AXIS = 12, 9  # lines of a chart, and columns before its left edge


def words(console: Console, markup: str, indent: int = 0) -> None:
    """Print a paragraph, broken between words."""
    width = max(1, min(MOST, console.screen.width) - indent)
    for line in Text.from_markup(without_controls(markup)).split("\n", allow_blank=True):
        for begin, end in folded(line.plain, width, hang=0):
            for piece in line[begin:end].wrap(console.screen, width):  # several only of an overlong word
                console.table(Text(" " * indent) + piece)


def heading(console: Console, number: str, code: str, meaning: str) -> None:
    """Print the heading of a step: its number, its line of code and what that does."""
    words(console, f"\n[bold cyan]{number}[/]  [bold]{escape(code)}[/]  [dim]{escape(meaning)}[/]")


def rows(console: Console, headings: Sequence[str], lines: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print a table; where it is wider than the terminal, in two parts, or its rows one below the other.

    Args:
        console: the console to print to.
        headings: the headings of the columns.
        lines: the cells, as many as there are headings.
        left: columns that are text, and that both parts have; the others are set to the right.
    """
    widths = [GAP + max(map(columns, column)) for column in zip(headings, *lines, strict=True)]
    parts = in_parts(widths, left, console.screen.width + GAP)
    for number, part in enumerate(parts):
        if number:
            console.line()
        table = Table(box=None, header_style="bold", pad_edge=False)
        for index in part:
            table.add_column(headings[index], justify="left" if index < left else "right", no_wrap=True)
        for line in lines:
            table.add_row(*(escape(line[index]) for index in part))
        console.table(table)
    if not parts:
        as_list(console, headings, lines, left)


def as_list(console: Console, headings: Sequence[str], lines: Sequence[Sequence[str]], left: int) -> None:
    """Print the rows of a table one below the other, each cell after the heading of its column."""
    for line in lines:
        words(console, f"[bold]{escape(line[0])}[/]  {escape('  '.join(line[1:left]))}")
        named = zip(headings[left:], line[left:], strict=True)
        facts = tr("; ").join(f"[dim]{name}[/] {escape(value)}" for name, value in named if value)
        words(console, facts, indent=2)


def in_parts(widths: Sequence[int], left: int, most: int) -> list[list[int]]:
    """Return the columns of a table, in two parts of like width if they need that; none if two are too few.

    Args:
        widths: the widths of the columns, each with the gap after it.
        left: the columns at the beginning that each part has.
        most: the width of the terminal, with a gap after it.
    """
    first, others = sum(widths[:left]), widths[left:]
    if first + sum(others) <= most:
        return [list(range(len(widths)))]
    fitting = {
        place: max(sum(others[:place]), sum(others[place:])) for place in range(1, len(others))
    }  # where the second part begins, and the width of the wider one
    place = min(fitting, key=fitting.__getitem__, default=0)
    if not fitting or first + fitting[place] > most:
        return []
    keys = list(range(left))
    return [[*keys, *range(left, left + place)], [*keys, *range(left + place, len(widths))]]


def images(console: Console, images: Tensor, titles: Sequence[str]) -> None:
    """Print images side by side, as many as fit: in colours on a terminal, in shades elsewhere.

    Args:
        console: the console to print to.
        images: float (N, C, H, W), from 0 to 1.
        titles: the titles of each.
    """
    fitting = max(1, min(MOST, console.screen.width) // (SIDE + 2))
    # Scaled by area, so that thin lines don't vanish.
    small = F.adaptive_avg_pool2d(images[:fitting].float().cpu(), SIDE)
    colours = small.expand(-1, 3, -1, -1) if small.shape[1] == 1 else small[:, :3]
    has_colours = console.screen.color_system is not None
    for row in range(0, SIDE, 2):
        line = Text()
        for image in colours:
            for column in range(SIDE):
                pair = image[:, row : row + 2, column]
                line.append_text(half_blocks(pair) if has_colours else shade(pair))
            line.append("  ")
        console.table(line)
    console.table(Text("".join(f"{title[:SIDE]:<{SIDE + 2}}" for title in titles[:fitting])))


def half_blocks(pair: Tensor) -> Text:
    """Return two pixels, (3, 2) from 0 to 1, as the upper and the lower half of a character."""
    upper, lower = (Color.from_rgb(*(255 * pair[:, index]).tolist()) for index in (0, 1))
    return Text("▀", Style(color=upper, bgcolor=lower))


def shade(pair: Tensor) -> Text:
    """Return two pixels, (3, 2) from 0 to 1, as a character of their mean brightness."""
    return Text(SHADES[min(len(SHADES) - 1, int(float(pair.mean()) * len(SHADES)))])


def curves(console: Console, named: Mapping[str, Sequence[float]], what: str, unit: str) -> None:
    """Print curves over one logarithmic axis; what is not finite is drawn at the chart's upper edge.

    Args:
        console: the console to print to.
        named: the values of each curve, above 0.
        what: they are, such as ``loss``.
        unit: the unit of the axis below, such as ``step``.
    """
    width = max(10, min(MOST, console.screen.width) - AXIS - 2)
    levels = {name: means(values, width) for name, values in named.items()}
    shown = [math.log10(v) for values in levels.values() for v in values if math.isfinite(v) and v > 0]
    low, high = min(shown, default=0.0), max(shown, default=1.0)
    high = max(high, low + 0.1)
    grid = [[(" ", "")] * width for _ in range(CURVE_ROWS)]
    for values, mark, colour in zip(levels.values(), MARKS, COLOURS, strict=False):
        for column, value in enumerate(values):
            share = (math.log10(max(value, 10**low)) - low) / (high - low) if math.isfinite(value) else 1.0
            grid[round((1 - share) * (CURVE_ROWS - 1))][column] = (mark, colour)
    for index, cells in enumerate(grid):
        label = " " * (AXIS - 1) + "│"
        if index % 3 == 0 or index == CURVE_ROWS - 1:
            level = 10 ** (high - (high - low) * index / (CURVE_ROWS - 1))
            label = f"{tick(level):>{AXIS - 2}} ┤"
        console.table(Text.assemble((label, "dim"), *cells))
    count = len(next(iter(named.values())))
    below = f"{unit} 1{f'{count:,}':>{width - len(unit) - 2}}"
    console.table(Text(" " * AXIS + below, "dim"))
    parts = zip(named, MARKS, COLOURS, strict=False)
    legend = "   ".join(f"[{c}]{m}[/]{JOIN}{escape(n)}" for n, m, c in parts)
    words(console, tr("{what}: {legend}", what=what, legend=legend), indent=AXIS)


def tick(level: float) -> str:
    """Return a level of a chart in at most seven characters."""
    if 0.001 <= level < 1000:
        return f"{level:.3g}"
    return f"{level:,.0f}" if level < 1e5 and level >= 1 else f"{level:.0e}"


def means(values: Sequence[float], count: int) -> list[float]:
    """Return ``count`` means of neighbouring values, or the values stretched to so many."""
    parts = torch.tensor(values, dtype=torch.float64)
    edges = torch.linspace(0, len(parts), count + 1).long().tolist()
    return [float(parts[a : max(b, a + 1)].mean()) for a, b in itertools.pairwise(edges)]
