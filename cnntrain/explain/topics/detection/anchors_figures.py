"""The figures of ``cnntrain explain anchors``: anchors and proposals over one image."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from cnntrain.drawing.style import styled
from cnntrain.explain.topics.detection.boxes_figures import add, dim, note, over
from cnntrain.language.translation import tr

FOUND, OBJECT = 1, 0  # colours of proposals and of objects, as if they were classes


@styled
def by_level(image: Tensor, anchors: Sequence[Tensor], strides: Sequence[int]) -> Figure:
    """Return an image with the anchors around the middle place of each map, each map in a colour of its own.

    Args:
        image: uint8 (C, H, W).
        anchors: the anchors of each map, float32 (anchors of a place, 4).
        strides: the strides of the maps.
    """
    drawn, axes = over(image)
    for level, own in reversed(list(enumerate(anchors))):
        for row in own:
            add(axes, row, level, linewidth=1.4)
        largest = own[(own[:, 2:] - own[:, :2]).prod(dim=1).argmax()]
        note(axes, largest, tr("stride {stride}", stride=strides[level]), level)
    return drawn


@styled
def positive(image: Tensor, objects: Tensor, anchors: Sequence[Tensor], names: Sequence[str]) -> Figure:
    """Return an image with its objects, dashed, and the anchors that learn to find each, in its colour.

    Args:
        image: uint8 (C, H, W).
        objects: float32 (M, 6).
        anchors: the anchors of each object, float32 (K, 4).
        names: the names of the classes.
    """
    drawn, axes = over(image)
    for row, own in zip(objects, anchors, strict=True):
        label = int(row[4])
        for anchor in own:
            add(axes, anchor, label, linewidth=1.0)
        add(axes, row, label, linestyle=(0, (4, 3)))
        note(axes, row, f"{names[label]}: {len(own)}", label)
    return drawn


@styled
def proposals(image: Tensor, objects: Tensor, before: Tensor, after: Tensor) -> Figure:
    """Return an image twice: with all boxes that are compared, and with those that suppression leaves.

    The more confident a box, the thicker its line.

    Args:
        image: uint8 (C, H, W).
        objects: float32 (M, 6), dashed.
        before: boxes with their objectness, float32 (P, 5).
        after: proposals, likewise, float32 (Q, 5).
    """
    height, width = image.shape[1:]
    drawn = Figure(figsize=(9, 4.5 * height / width + 0.4))
    titles = (
        tr("before suppression: {number}", number=len(before)),
        tr("after: {number}", number=len(after)),
    )
    for axes, title, boxes in zip(drawn.subplots(1, 2), titles, (before, after), strict=True):
        dim(axes, image)
        axes.set_axis_off()
        axes.set_title(title, fontsize=10)
        for row in boxes:
            add(axes, row, FOUND, linewidth=0.2 + 2 * float(row[4]) ** 2)
        for row in objects:
            add(axes, row, OBJECT, linestyle=(0, (4, 3)))
    return drawn
