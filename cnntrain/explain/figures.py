"""Figures as PNG files in a folder of their own, drawn by matplotlib without a window."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnntrain.drawing.style import COLOURS, canvas, png, styled
from cnntrain.language.translation import tr
from cnntrain.runs.named_output import save_bytes

LINES = (COLOURS["curve"], COLOURS["mark"], "#2f9e44", "#7048e8")


@styled
def lines(named: Mapping[str, Sequence[float]], x: Sequence[float], **labels: str) -> tuple[Figure, Axes]:
    """Return a figure with one line for each name, and its axes.

    Args:
        named: the values of each line.
        x: where they stand.
        labels: ``xlabel`` and ``ylabel``.
    """
    drawn, axes = canvas(size=(7, 4), **labels)
    is_dense = len(x) > 50  # where dashes would only add to the noise
    styles = itertools.cycle(["-"] if is_dense else ["-", "--", "-.", ":"])
    for (name, values), colour, style in zip(named.items(), itertools.cycle(LINES), styles, strict=False):
        axes.plot(x, values, style, color=colour, label=name, linewidth=1.0 if is_dense else 1.8)
    axes.legend()
    return drawn, axes


@styled
def logarithmic(
    panels: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str, same_scale: bool = False
) -> Figure:
    """Return a figure with a panel for each quantity, one above the other, on logarithmic axes.

    What is not finite is left out; a dotted line stands where it begins.

    Args:
        panels: for each quantity, the values of each line, one for each step.
        xlabel: what a step is called.
        same_scale: whether the panels have one vertical axis.
    """
    drawn = Figure(figsize=(7, 2.6 * len(panels)))
    grid = drawn.subplots(len(panels), 1, sharex=True, sharey=same_scale)
    for axes, (what, named) in zip(grid, panels.items(), strict=True):
        for (name, values), colour in zip(named.items(), itertools.cycle(LINES), strict=False):
            known = [value if math.isfinite(value) else math.nan for value in values]
            axes.plot(range(1, len(values) + 1), known, color=colour, label=name, linewidth=1.0)
            lost = next((step for step, value in enumerate(values, 1) if not math.isfinite(value)), None)
            if lost is not None:
                axes.axvline(
                    lost, color=colour, linestyle=":", label=tr("{name}: not finite from here", name=name)
                )
        axes.set(ylabel=what, yscale="log")
        axes.legend()
    axes.set_xlabel(xlabel)
    return drawn


def save(drawn: Figure, path: Path, background: str = "white") -> None:
    """Write a figure as PNG.

    Raises:
        RunFailed: it can't be written, because the disk is full, say.
    """
    save_bytes(path, png(drawn, background))
