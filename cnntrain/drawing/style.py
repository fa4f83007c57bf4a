"""The style of figures, which are written as PNG, or as SVG that takes the colours of its page."""

from __future__ import annotations

import io
import re
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Each colour is a variable of the page too, which gives it another value in the dark.
COLOURS = {"dim": "#5c6370", "line": "#d8dce2", "curve": "#4878a8", "mark": "#d9480f"}
STYLE: Any = {
    "svg.fonttype": "none",  # text stays text, in the page's font
    "svg.hashsalt": "cnntrain",  # the same figure is the same file
    "font.size": 9,
    "axes.facecolor": "none",
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["dim"],
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "text.color": COLOURS["dim"],
    "xtick.color": COLOURS["dim"],
    "ytick.color": COLOURS["dim"],
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
styled = mpl.rc_context(STYLE)


def canvas(xlabel: str = "", ylabel: str = "", size: tuple[float, float] = (4.6, 2.9)) -> tuple[Figure, Axes]:
    """Return an empty figure of some inches, and its axes."""
    figure = Figure(figsize=size)
    axes = figure.add_subplot()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure, axes


def borderless(ratio: float) -> tuple[Figure, Axes]:
    """Return a figure that is all image, with the ratio of height to width, and its axes."""
    figure = Figure(figsize=(5.2, 5.2 * ratio))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def percent(axes: Axes) -> None:
    """Write the vertical axis in per cent."""
    axes.yaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))


# The canvases are called themselves, since Figure.savefig draws everything twice.


@styled
def png(figure: Figure, background: str = "white") -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.set_facecolor(background)
    figure.set_dpi(144)
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


@styled
def svg(figure: Figure, alternative: str) -> str:
    """Return a figure as an ``<svg>`` for a page, its colours being those of the page.

    Args:
        figure: the figure to draw.
        alternative: a description of it, for those who can't see it.
    """
    buffer = io.StringIO()
    figure.set_facecolor("none")
    FigureCanvasSVG(figure).print_svg(buffer, metadata=NO_METADATA)
    figure.set_layout_engine("none")  # everything has its place now
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'<g id="[^"]*">', "<g>", text)  # ids that every figure would have
    text = re.sub(r"<style.*?</style>", "", text, count=1, flags=re.DOTALL)  # which would count everywhere
    for name, value in COLOURS.items():
        text = text.replace(value, f"var(--{name})")
    label = escape(alternative)
    return re.sub(
        '<svg [^>]*viewBox="([^"]*)"[^>]*>',
        lambda found: f'<svg viewBox="{found[1]}" role="img" aria-label="{label}">',
        text.strip(),
        count=1,
    )
