"""The figure of a confusion matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure

from cnntrain.drawing.style import COLOURS, canvas, styled

NAMED, COUNTED = 30, 12  # classes, up to which the map has names, and numbers


@styled
def confusion_map(
    shares: np.ndarray,
    names: Sequence[str],
    number: Callable[[int, int], str],
    axes_labels: tuple[str, str] = ("predicted class", "true class"),
    share_of: str = "true class",
) -> Figure:
    """Return a confusion matrix as a map.

    Args:
        shares: the shares of each row, float (classes, classes).
        names: the names of the rows and columns.
        number: what is written at a row and a column; an empty text for nothing.
        axes_labels: what the columns and the rows are.
        share_of: what the shares are shares of.
    """
    figure, axes = canvas(xlabel=axes_labels[0], ylabel=axes_labels[1], size=(5.2, 4.6))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="none")
    axes.grid(visible=False)
    if len(names) <= NAMED:
        axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
        axes.set_yticks(range(len(names)), names, parse_math=False)
    if len(names) <= COUNTED:
        for row, column in np.ndindex(*shares.shape):
            colour = "white" if shares[row, column] > 0.5 else COLOURS["dim"]
            if text := number(row, column):
                axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, label=f"share of the {share_of}")
    return figure


def counted(counts: np.ndarray) -> Callable[[int, int], str]:
    """Return what writes the counts that are not zero."""
    return lambda row, column: f"{counts[row, column]:,}" if counts[row, column] else ""
