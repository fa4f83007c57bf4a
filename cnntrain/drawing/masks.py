"""Masks as pictures: a colour for each class, the mask over its image, and a legend."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cnntrain.text import printable

LABELS = 256  # values of a pixel of a mask
OPACITY = 0.5  # of a mask over its image
GOLDEN = 0.618034  # turns of the colour circle between two classes, so that neighbours differ
GREY = (128, 128, 128)  # of what is ignored
FONT_SIZE, LINE, MARGIN = 14, 20, 6  # of the legend, in pixels
LONGEST = 40  # characters of a name in the legend


def class_colors(classes: int) -> np.ndarray:
    """Return a colour for each label, uint8 (256, 3): black for class 0, grey for what is no class."""
    palette = np.full((LABELS, 3), GREY, np.uint8)
    for label in range(1, classes):
        color = colorsys.hsv_to_rgb(label * GOLDEN % 1, 0.75, 0.95)
        palette[label] = [round(255 * part) for part in color]
    palette[0] = 0
    return palette


def overlaid(pixels: np.ndarray, labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Return an image with its mask over it, uint8 (H, W, 3). Class 0 is left as it is.

    Args:
        pixels: uint8 (H, W, 3).
        labels: the class of each pixel, uint8 (H, W).
        palette: from :func:`class_colors`.
    """
    opacity = np.where(labels == 0, 0, OPACITY)[..., None].astype(np.float32)
    mixed = pixels * (1 - opacity) + palette[labels] * opacity
    return np.asarray(mixed.round().astype(np.uint8))


def with_legend(picture: Image.Image, entries: Sequence[tuple[tuple[int, ...], str]]) -> Image.Image:
    """Return an image with a legend below it, in as many rows as it takes.

    Args:
        picture: of mode RGB.
        entries: the colour and the text of each class; black is drawn as an empty box.
    """
    import matplotlib as mpl  # whose font knows more letters than Pillow's

    font = ImageFont.truetype(str(Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans.ttf")), FONT_SIZE)
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
