"""Boxes over images: a colour for each class, grey for those that are ignored, and names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from cnntrain.drawing.masks import GREY, LONGEST, font_of, palette
from cnntrain.text import printable

LENGTHS, THINNEST = 400, 2  # how many times an edge is thinner than the image is long; its least pixels
LETTERS = 7  # times as high as an edge is wide
PAD = 2  # pixels around a text


def color_of(label: int) -> tuple[int, int, int]:
    """Return the colour of the boxes of a class; those of neighbours differ."""
    red, green, blue = palette()[1 + label % (len(palette()) - 2)].tolist()
    return red, green, blue


def over(image: Image.Image, edges: np.ndarray, labels: Sequence[int | None], width: int = 1) -> Image.Image:
    """Return an image in colour with boxes on it.

    Args:
        image: the image of any mode.
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


def named(image: np.ndarray, edges: np.ndarray, labels: Sequence[int], texts: Sequence[str]) -> Image.Image:
    """Return an image, uint8 (H, W, 3), with boxes and a text for each; the first ones lie above the others.

    A text stands above its box, or in it where there is no room.

    Args:
        image: the image in colour.
        edges: left, top, right and bottom of each box in its pixels, float (M, 4).
        labels: the class of each box.
        texts: what stands at each box.
    """
    line = max(THINNEST, round(max(image.shape[:2]) / LENGTHS))
    places = edges.round().astype(int).reshape(-1, 4)[::-1]
    picture = over(Image.fromarray(image), places, labels[::-1], line)
    pen, font = ImageDraw.Draw(picture), font_of(LETTERS * line)
    high = round(1.2 * LETTERS * line) + PAD
    for (left, top, _, _), label, text in zip(places.tolist(), labels[::-1], texts[::-1], strict=True):
        color, name = color_of(label), printable(text, LONGEST)
        wide = round(font.getlength(name)) + 2 * PAD
        x = max(0, min(left, picture.width - wide))
        y = top - high if top >= high else min(top, max(0, picture.height - high))
        pen.rectangle((x, y, x + wide - 1, y + high - 1), fill=color)
        pen.text((x + PAD, y + PAD // 2), name, fill=on(color), font=font)
    return picture


def on(color: tuple[int, int, int]) -> str:
    """Return the colour of letters that can be read on a colour: black or white."""
    red, green, blue = color
    return "black" if 299 * red + 587 * green + 114 * blue > 128_000 else "white"  # ITU-R BT.601
