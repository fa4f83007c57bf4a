"""Boxes over images: a colour for each class, grey for those that are ignored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from cnntrain.drawing.masks import GREY, palette


def color_of(label: int) -> tuple[int, int, int]:
    """Return the colour of the boxes of a class; those of neighbours differ."""
    red, green, blue = palette()[1 + label % (len(palette()) - 2)].tolist()
    return red, green, blue


def over(image: Image.Image, edges: np.ndarray, labels: Sequence[int | None], width: int = 1) -> Image.Image:
    """Return an image in colour with boxes on it.

    Args:
        image: of any mode.
        edges: left, top, right and bottom of each box in its pixels, float (M, 4).
        labels: the class of each box; None for one that is ignored.
        width: the width of the edges, in pixels.
    """
    result = image.convert("RGB")
    pen = ImageDraw.Draw(result)
    for (left, top, right, bottom), label in zip(edges.tolist(), labels, strict=True):
        color = GREY if label is None else color_of(label)
        pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=color, width=width)
    return result
