"""From an image file of any kind that Pillow reads to upright 8-bit pixels, grey or colour."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image, ImageOps

GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "F")
ORIENTATION, SWAPPING = 0x0112, (5, 6, 7, 8)  # the tag of EXIF, and its values that swap width and height
# Of large images and odd metadata. Not around each file, since filters are not a thread's own.
warnings.filterwarnings("ignore", module="PIL")


class Unreadable(Exception):
    """A file that is no image, or a damaged one; the text says what is wrong with it."""


@functools.cache
def suffixes() -> frozenset[str]:
    """Return the endings, in small letters, of all files that Pillow can open."""
    Image.init()
    readable = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return frozenset(readable - {".pdf", ".mpg", ".mpeg", ".h5", ".hdf"})


class Upright(NamedTuple):
    """An image as a person sees it.

    Args:
        image: of mode L or RGB.
        mode: of the file.
        size: width and height of the file's image, as they are seen, in pixels.
        is_turned: whether EXIF had it turned or mirrored.
    """

    image: Image.Image
    mode: str
    size: tuple[int, int]
    is_turned: bool


def read_pixels(path: Path, mode: str, at_least: int | None = None) -> np.ndarray:
    """Read the pixels of an image as a person sees it: uint8 (H, W, C).

    Args:
        path: of the file.
        mode: ``L`` or ``RGB``.
        at_least: shorter side that is needed, see :func:`open_upright`.

    Raises:
        Unreadable: it is no image, or a damaged one.
    """
    pixels = plain_jpeg(path, mode, at_least)
    if pixels is None:
        image = open_upright(path, at_least).image
        array = np.array(image if image.mode == mode else image.convert(mode))
        pixels = array.reshape(*array.shape[:2], -1)
    return pixels


def plain_jpeg(path: Path, mode: str, at_least: int | None) -> np.ndarray | None:
    """Return the pixels of a JPEG that needs no more than to be decoded in full; None of all other files.

    They are those that Pillow gives, in two thirds of the time: libjpeg-turbo writes them where they stay.
    """
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            size = image.size
            if image.format != "JPEG" or image.mode != mode or image.getexif().get(ORIENTATION, 1) != 1:
                return None
            if at_least is not None and image.draft(None, (at_least, at_least)) and image.size != size:
                return None
        return simplejpeg.decode_jpeg(path.read_bytes(), "GRAY" if mode == "L" else "RGB")
    except Exception:  # Pillow tells what is wrong, or makes do with what there is
        return None


def open_upright(path: Path, at_least: int | None = None) -> Upright:
    """Read an image as a person sees it.

    EXIF's rotation is applied, palettes and CMYK become RGB, 16 bits become 8, and what is transparent
    lies on white.

    Args:
        path: of the file.
        at_least: shorter side that is needed, in pixels. A JPEG is then decoded at the half, quarter or
            eighth that is just large enough, which takes a fraction of the time.

    Raises:
        Unreadable: it is no image, or a damaged one.
    """
    try:
        with Image.open(path) as image:
            mode, size = image.mode, image.size
            if at_least is not None:
                image.draft(None, (at_least, at_least))  # both sides stay at least as long
            image.load()
            orientation = image.getexif().get(ORIENTATION, 1)
            upright = image if orientation == 1 else ImageOps.exif_transpose(image)
            flat = eight_bits(upright)
    except Exception as error:  # Pillow's plugins raise nearly anything for a damaged file
        text = str(error) or type(error).__name__
        raise Unreadable("not an image" if "cannot identify" in text else text) from error
    seen = (size[1], size[0]) if orientation in SWAPPING else size
    return Upright(flat, mode, seen, is_turned=upright is not image)


def eight_bits(image: Image.Image) -> Image.Image:
    """Return an image of any mode as L or RGB."""
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        # Files of 16 bits use all of them, or hold 8 bits in a larger type.
        high = 65535 if values.max(initial=0) > 255 else 255
        return Image.fromarray((values / high * 255).round().clip(0, 255).astype(np.uint8))
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        colour = image.convert("RGBA")
        white = Image.new("RGBA", colour.size, "white")
        flat = Image.alpha_composite(white, colour)
        return flat.convert("L" if image.mode in GREY else "RGB")
    return image.convert("L" if image.mode in GREY else "RGB")
