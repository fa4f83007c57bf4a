"""Masks in colours: a colour for each class, masks over images, and a legend."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cnntrain.text import printable

LABELS = 256  # that a mask can have; the last one is that of pixels that count nowhere
GOLDEN = 0.618034  # turns of the colour circle between two classes, so that neighbours differ
TONES = ((0.75, 0.95), (0.45, 0.8), (0.9, 0.6))  # saturation and value; hues repeat after some classes
HUES = 13  # that are distinguished
GREY = (128, 128, 128)  # of what counts nowhere
STRIPE = 4  # pixels; width of the stripes there
OPACITY = 0.5  # of a mask over its image
FONT_SIZE, LINE, MARGIN = 14, 20, 6  # of the legend, in pixels
LONGEST = 40  # characters of a name in the legend


@lru_cache
def palette() -> np.ndarray:
    """Return a colour for each label, uint8 (256, 3): class 0 is black, the last label grey."""
    colors = np.zeros((LABELS, 3), np.uint8)
    for label in range(1, LABELS - 1):
        saturation, value = TONES[(label - 1) // HUES % len(TONES)]
        color = colorsys.hsv_to_rgb(label * GOLDEN % 1, saturation, value)
        colors[label] = [round(255 * part) for part in color]
    colors[-1] = GREY
    colors.flags.writeable = False
    return colors


def css(color: np.ndarray | tuple[int, ...]) -> str:
    """Return a colour as CSS has it."""
    return f"rgb({','.join(str(int(part)) for part in color)})"


def in_colors(labels: np.ndarray, colors: np.ndarray | None = None) -> np.ndarray:
    """Return masks, uint8 (..., H, W), in their colours, uint8 (..., H, W, 3).

    Args:
        labels: uint8, or any whole numbers below 256.
        colors: the colors of the labels, uint8 (256, 3); None for those of :func:`palette`.
    """
    table: np.ndarray = palette() if colors is None else colors
    return np.asarray(table[labels])


def over(images: np.ndarray, labels: np.ndarray, colors: np.ndarray | None = None) -> np.ndarray:
    """Return images with their masks over them, uint8 (..., H, W, 3); class 0 covers nothing.

    Args:
        images: uint8 or float (..., H, W, 1 or 3), from 0 to 255.
        labels: uint8 (..., H, W).
        colors: the colors of the labels, uint8 (256, 3); None for those of :func:`palette`.
    """
    opacity = np.where(labels == 0, 0, OPACITY)[..., None]
    mixed = images.astype(np.float32) * (1 - opacity) + in_colors(labels, colors) * opacity
    pixels: np.ndarray = mixed.round().astype(np.uint8)
    return pixels


def striped(images: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return images, uint8 (..., H, W, 3), with grey stripes where nothing counts, bool (..., H, W)."""
    height, width = where.shape[-2:]
    diagonal = np.add.outer(np.arange(height), np.arange(width)) // STRIPE % 2
    stripes = np.where(diagonal, 96, 160).astype(np.uint8)[..., None]
    return np.asarray(np.where(where[..., None], stripes, images))


def font_of(size: int) -> ImageFont.FreeTypeFont:
    """Return matplotlib's font, which knows more letters than Pillow's, at a size in pixels."""
    import matplotlib as mpl

    return ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans.ttf")), size)


def with_legend(picture: Image.Image, entries: Sequence[tuple[tuple[int, ...], str]]) -> Image.Image:
    """Return an image with a legend below it, in as many rows as it takes.

    Args:
        picture: an image of mode RGB.
        entries: the colour and the text of each class; black is drawn as an empty box.
    """
    font = font_of(FONT_SIZE)
    texts = [printable(text, LONGEST) for _, text in entries]
    wide = [MARGIN + FONT_SIZE + MARGIN + round(font.getlength(text)) + MARGIN for text in texts]
    width = max(picture.width, *wide) if wide else picture.width
    places, left, row = [], 0, 0
    for one in wide:
        if left and left + one > width:
            left, row = 0, row + 1
        places.append((left, row))
        left += one
    result = Image.new("RGB", (width, picture.height + (row + 1) * LINE + 2 * MARGIN), "white")
    result.paste(picture, (0, 0))
    draw = ImageDraw.Draw(result)
    for (color, _), text, (left, row) in zip(entries, texts, places, strict=True):
        x, y = left + MARGIN, picture.height + MARGIN + row * LINE + (LINE - FONT_SIZE) // 2
        box = (x, y, x + FONT_SIZE - 1, y + FONT_SIZE - 1)
        draw.rectangle(box, fill=color if any(color) else "white", outline="black")
        draw.text((x + FONT_SIZE + MARGIN, y - 1), text, fill="black", font=font)
    return result
