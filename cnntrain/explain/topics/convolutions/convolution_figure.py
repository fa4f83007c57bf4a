"""The figure of ``cnntrain explain convolution``: an image, kernels, and the maps that they make of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from cnntrain.drawing.style import COLOURS, styled
from cnntrain.explain.figures import LINES
from cnntrain.language.translation import tr

Filtered = tuple[str, Tensor, Tensor]  # name, kernel (k, k), map (H, W)


@styled
def drawn(
    image: Tensor, places: Sequence[tuple[int, int]], by_hand: Sequence[Filtered], learnt: Sequence[Filtered]
) -> Figure:
    """Return the image with some windows, and below each kernel its map, hand-made and learnt.

    Args:
        image: float (H, W), from 0 to 1.
        places: row and column of the windows that are framed.
        by_hand: hand-made kernels.
        learnt: kernels of a network.
    """
    columns = max(len(by_hand), len(learnt))
    figure = Figure(figsize=(3.4 + 1.9 * columns, 6.4))
    grid = figure.add_gridspec(4, columns + 1, width_ratios=[2.2, *[1] * columns], height_ratios=[1, 1.6] * 2)
    axes = figure.add_subplot(grid[:, 0])
    axes.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1)
    for (top, left), colour in zip(places, (LINES[1], LINES[0], LINES[2]), strict=True):
        square = Rectangle((left - 0.5, top - 0.5), 3, 3, fill=False, edgecolor=colour, linewidth=2)
        axes.add_patch(square)
    axes.set_title(
        tr("the image, and three windows:\nlargest sum (orange), smallest (blue), no such edge (green)"),
        fontsize=9,
    )
    bare(axes)
    for row, filtered in ((0, by_hand), (2, learnt)):
        for column, (name, kernel, found) in enumerate(filtered, 1):
            above, below = (figure.add_subplot(grid[row + line, column]) for line in (0, 1))
            signed(above, kernel)
            above.set_title(name, fontsize=9)
            if row == 0:
                with_numbers(above, kernel)
            signed(below, found)
    return figure


def signed(axes: Any, values: Tensor, bound: float = 0.0) -> None:
    """Draw numbers, (H, W): red above 0, blue below, white for 0.

    Args:
        axes: where to.
        values: the numbers.
        bound: the number of the strongest colour; 0 for the largest of these.
    """
    bound = bound or float(values.abs().max()) or 1.0
    axes.imshow(values.numpy(), cmap="RdBu_r", vmin=-bound, vmax=bound)
    bare(axes)


def with_numbers(axes: Any, kernel: Tensor) -> None:
    """Write the numbers of a kernel into it."""
    strongest = float(kernel.abs().max())
    for row, line in enumerate(kernel.tolist()):
        for column, number in enumerate(line):
            colour = "white" if abs(number) > 0.7 * strongest else COLOURS["dim"]
            axes.text(column, row, f"{number:.0f}", ha="center", va="center", fontsize=8, color=colour)


def bare(axes: Any) -> None:
    """Omit ticks and grid."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
