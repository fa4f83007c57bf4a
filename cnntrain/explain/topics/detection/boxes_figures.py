"""The figures of ``cnntrain explain boxes``: boxes over one image, and the cells that learn its objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from cnntrain.drawing.boxes import color_of
from cnntrain.drawing.style import borderless, styled
from cnntrain.explain.topics.images.skips_figures import in_grey

DIM = 0.55  # of the image's brightness, so that boxes are seen
LARGEST = 160  # area of the dot of a cell that learns in full, in square points


@styled
def overlaps(image: Tensor, objects: Tensor, found: Tensor, names: Sequence[str]) -> Figure:
    """Return an image with its objects, dashed, and the boxes that are found, filled.

    Args:
        image: uint8 (C, H, W).
        objects: float32 (M, 6).
        found: boxes, float32 (K, 6).
        names: the names of the classes.
    """
    drawn, axes = over(image)
    for row in found.flip(0):  # the most confident one above the others
        add(axes, row, int(row[5]), fill=0.35)
        note(axes, row, f"{names[int(row[5])]} {row[4]:.0%}", int(row[5]))
    for row in objects:
        add(axes, row, int(row[4]), linestyle=(0, (4, 3)))
    return drawn


@styled
def assignment(
    image: Tensor, objects: Tensor, centres: Tensor, wanted: Tensor, names: Sequence[str]
) -> Figure:
    """Return an image with its objects and the centres of all cells: the more one learns, the larger its dot.

    Args:
        image: uint8 (C, H, W).
        objects: float32 (M, 6).
        centres: float32 (A, 2).
        wanted: the score that each cell should give to each object, float32 (M, A).
        names: the names of the classes.
    """
    drawn, axes = over(image)
    x, y = centres.T.numpy()
    axes.scatter(x, y, s=4, color="#8a8f98", linewidths=0)
    for row, scores in zip(objects, wanted, strict=True):
        label = int(row[4])
        add(axes, row, label, linestyle=(0, (4, 3)))
        note(axes, row, names[label], label)
        learns = (scores > 0).numpy()
        sizes = 8 + LARGEST * scores.numpy()[learns]
        axes.scatter(x[learns], y[learns], s=sizes, color=shade(label), edgecolors="black", linewidths=0.6)
    return drawn


@styled
def suppression(image: Tensor, found: Tensor, kept: Sequence[int], names: Sequence[str]) -> Figure:
    """Return an image with all boxes, those that go thin, and those that stay with their scores.

    Args:
        image: uint8 (C, H, W).
        found: boxes, float32 (K, 6).
        kept: the places of those that stay.
        names: the names of the classes.
    """
    drawn, axes = over(image)
    for place, row in enumerate(found):
        if place not in kept:
            add(axes, row, int(row[5]), linewidth=0.7)
    for place in reversed(kept):
        row, label = found[place], int(found[place, 5])
        add(axes, row, label, linewidth=2.6)
        note(axes, row, f"{names[label]} {row[4]:.0%}", label)
    return drawn


def over(image: Tensor) -> tuple[Figure, Axes]:
    """Return a figure that is a darkened image, and its axes, in pixels of the image."""
    height, width = image.shape[1:]
    drawn, axes = borderless(height / width)
    dim(axes, image)
    return drawn, axes


def dim(axes: Axes, image: Tensor) -> None:
    """Draw an image darkened, in pixels of the image."""
    height, width = image.shape[1:]
    pixels = (DIM * in_grey(image)).astype(np.uint8)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0), interpolation="nearest")
    axes.set(xlim=(0, width), ylim=(height, 0))


def add(axes: Axes, row: Tensor, label: int, fill: float = 0.0, **line: Any) -> None:
    """Draw a box in the colour of its class, filled if it has an opacity; ``line`` styles its edge."""
    left, top, right, bottom = row[:4].tolist()
    corner, width, height = (left, top), right - left, bottom - top
    if fill:
        axes.add_patch(Rectangle(corner, width, height, color=shade(label), alpha=fill, linewidth=0))
    style = {"fill": False, "edgecolor": shade(label), "linewidth": 2.0, **line}
    axes.add_patch(Rectangle(corner, width, height, **style))


def note(axes: Axes, row: Tensor, text: str, label: int) -> None:
    """Write a text at the left upper corner of a box, within the image."""
    left, top = (max(0.0, side) for side in row[:2].tolist())
    style = {"facecolor": shade(label), "edgecolor": "none", "pad": 1.5}
    axes.text(left, top, text, color="black", fontsize=8, va="top", bbox=style, clip_on=True)


def shade(label: int) -> tuple[float, float, float]:
    """Return the colour of a class as matplotlib takes it."""
    red, green, blue = color_of(label)
    return red / 255, green / 255, blue / 255
