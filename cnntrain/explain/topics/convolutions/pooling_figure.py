"""The figure of ``cnntrain explain pooling``: an image that moves, before and after pooling; what is seen."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from cnntrain.drawing.style import percent, styled
from cnntrain.explain.arithmetic import TracedLayer, format_shape
from cnntrain.explain.figures import LINES
from cnntrain.explain.topics.convolutions.convolution_figure import bare, signed
from cnntrain.language.translation import later, tr
from cnntrain.models.summary import WINDOWS

COLUMNS = (later("image"), later("map"), later("2×2 pooled"))


@styled
def drawn(
    beside: Sequence[tuple[Tensor, Tensor, Tensor]],
    found: Mapping[int, Sequence[float]],
    traced: Sequence[TracedLayer],
) -> Figure:
    """Return an image, its map and its pooled map, before and after a shift; receptive fields; the changes.

    Args:
        beside: image, map and pooled map, each float (H, W), and the same of the moved image.
        found: for each side of a pooling window, what a shift by one pixel and by more changes.
        traced: the layers of the network.
    """
    figure = Figure(figsize=(11.5, 6.6))
    grid = figure.add_gridspec(6, 4, width_ratios=[1, 1, 1, 1.5])
    first, second = beside
    difference = [after - before for before, after in zip(first, second, strict=True)]
    lines = ((tr("as it is"), first), (tr("moved by 1 pixel"), second), (tr("difference"), difference))
    for row, (name, parts) in enumerate(lines):
        for column, values in enumerate(parts):
            axes = figure.add_subplot(grid[2 * row : 2 * row + 2, column])
            signed(axes, values, bound=float(first[column].abs().max()))
            if row == 0:
                axes.set_title(
                    tr("{what}: {size}", what=tr(COLUMNS[column]), size=format_shape(values.shape)),
                    fontsize=9,
                )
            if column == 0:
                axes.set_ylabel(name)
    seen = figure.add_subplot(grid[:3, 3])
    fields(seen, first[0], traced)
    changes = figure.add_subplot(grid[3:, 3])
    shares = list(zip(*found.values(), strict=True))
    for pixels, colour in zip(range(len(shares)), LINES, strict=False):
        label = tr("moved by {pixels}", pixels=pixels + 1)
        changes.plot(range(len(found)), shares[pixels], "o-", color=colour, label=label)
    changes.set_xticks(range(len(found)), [tr("none") if side == 1 else f"{side}×{side}" for side in found])
    changes.set(xlabel=tr("max pooling"), ylabel=tr("change of the numbers"), ylim=(0, None))
    percent(changes)
    changes.legend()
    return figure


def fields(axes: Any, image: Tensor, traced: Sequence[TracedLayer]) -> None:
    """Draw the square that the middle number of each layer with a window depends on."""
    axes.imshow(image.cpu().numpy(), cmap="gray")
    windows = [row for row in traced if isinstance(row.module, WINDOWS) and row.place is not None]
    for row, colour in zip(windows, itertools.cycle(LINES)):
        place, (_, high, wide) = row.place, row.layer.output_shape
        if place is None or place.field >= 2 * max(image.shape):
            continue
        left, top = (place.start + place.jump * (side // 2) - 0.5 for side in (wide, high))
        name = f"{row.layer.name} {row.layer.kind}"
        name = tr("{what}: {size}", what=name, size=f"{place.field}×{place.field}")
        square = Rectangle(
            (left, top), place.field, place.field, fill=False, edgecolor=colour, linewidth=1.6, label=name
        )
        axes.add_patch(square)
    axes.set_title(tr("what the middle number of a layer depends on"), fontsize=9)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=7.5)
    bare(axes)
