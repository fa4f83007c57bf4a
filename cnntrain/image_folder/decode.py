"""Decodes an image file of any kind that Pillow reads safely to upright 8-bit pixels, grey or colour."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import simplejpeg
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from cnntrain.image_folder.depth import extremes, is_deep, strips, to_eight_bits
from cnntrain.image_folder.opening import (
    JPEG,
    ONE_AT_A_TIME,
    Decoding,
    UnreadableImage,
    check_size,
    max_file_bytes,
    open_image,
    prepare_decoding,
    reason,
    too_large,
)
from cnntrain.runtime import memory
from cnntrain.runtime.regular_files import open_regular

T = TypeVar("T")
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "F")
ORIENTATION, SWAPPING = 0x0112, (5, 6, 7, 8)  # the tag of EXIF, and its values that swap width and height
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class DecodedImage(NamedTuple):
    """An image as a viewer shows it.

    Args:
        image: an image of mode L or RGB.
        mode: the mode of the file.
        size: width and height of the file's image, as they are seen, in pixels.
        is_turned: whether EXIF had it turned or mirrored.
        is_transparent: whether the file has an alpha channel or a transparent colour.
        values: lowest and highest value, of an image of more than 8 bits that was scaled by its own range.
    """

    image: Image.Image
    mode: str
    size: tuple[int, int]
    is_turned: bool
    is_transparent: bool
    values: tuple[float, float] | None = None


def read_pixels(path: Path, mode: str, decoding: Decoding, at_least: int | None = None) -> np.ndarray:
    """Read the pixels of an image as a viewer shows it: uint8 (H, W, C).

    Args:
        path: the path of the file.
        mode: ``L`` or ``RGB``.
        decoding: the bounds.
        at_least: shorter side that is needed, see :func:`decode`.

    Raises:
        UnreadableImage: it is not an image, or is damaged or refused.
    """

    def as_array(upright: DecodedImage) -> np.ndarray:
        image = upright.image
        array = np.array(image if image.mode == mode else image.convert(mode))
        return array.reshape(*array.shape[:2], -1)

    pixels = plain_jpeg(path, mode, decoding, at_least)
    return with_decoded(path, as_array, decoding, at_least) if pixels is None else pixels


def plain_jpeg(path: Path, mode: str, decoding: Decoding, at_least: int | None) -> np.ndarray | None:
    """Return the pixels of a JPEG that needs no more than to be decoded in full; None of all other files.

    They are those that Pillow gives, in two thirds of the time: libjpeg-turbo writes them where they stay.
    """
    try:
        with open_regular(path) as file:
            if file.read(len(JPEG)) != JPEG:
                return None
            file.seek(0)
            image = JpegImageFile(file)
            size, pixels = image.size, image.width * image.height
            if image.mode != mode or image.getexif().get(ORIENTATION, 1) != 1:
                return None
            if at_least is not None and image.draft(None, (at_least, at_least)) and image.size != size:
                return None
            if pixels > ONE_AT_A_TIME * decoding.most or os.fstat(file.fileno()).st_size > max_file_bytes(
                pixels
            ):
                return None
            file.seek(0)
            decoded: np.ndarray = simplejpeg.decode_jpeg(file.read(), "GRAY" if mode == "L" else "RGB")
            return decoded
    except Exception:  # Pillow tells what is wrong, or makes do with what there is
        return None


def decode(path: Path, decoding: Decoding, at_least: int | None = None) -> DecodedImage:
    """Read an image as a viewer shows it.

    EXIF's rotation is applied, palettes and CMYK become RGB, more than 8 bits become 8, and what is
    transparent is composited on white. If a file holds several images, it is the first.

    Args:
        path: the file.
        decoding: the bounds.
        at_least: shorter side that is needed, in pixels. A JPEG is then decoded at the half, quarter or
            eighth that is just large enough, which takes a fraction of the time.

    Raises:
        UnreadableImage: it is not an image, or is damaged or refused.
    """
    return with_decoded(path, lambda upright: upright, decoding, at_least)


def with_decoded(
    path: Path, use: Callable[[DecodedImage], T], decoding: Decoding, at_least: int | None = None
) -> T:
    """Return what a function makes of an image, of large ones one at a time; see :func:`decode`."""
    try:
        with open_image(path, decoding) as image:
            size = image.size  # which prepare may change
            large = prepare_decoding(image, at_least, decoding)
            with decoding.large if large else contextlib.nullcontext():
                result = use(upright_of(image, size, decoding))
        if large:  # else a process would keep the memory that its largest image took
            del image
            memory.give_back()
        return result
    except UnreadableImage:
        raise
    except Image.DecompressionBombError as error:
        pixels = re.search(r"(\d+) pixels", str(error))
        raise too_large(int(pixels[1]) if pixels else 0, decoding) from error
    except Exception as error:  # Pillow's plugins raise nearly anything for a damaged file
        raise UnreadableImage(reason(error)) from error


def upright_of(image: Image.Image, size: tuple[int, int], decoding: Decoding) -> DecodedImage:
    """Decode an open image, whose size in the file is given."""
    mode = image.mode
    image.load()
    transparent = is_transparent(image)
    check_size(image.size, decoding)  # some formats know it only now
    orientation = image.getexif().get(ORIENTATION, 1)
    flat, values = flattened(image, decoding.value_range)
    if flat is not image:
        image.close()  # whose pixels are not needed any more
    upright = apply_orientation(flat, orientation)
    seen = (size[1], size[0]) if orientation in SWAPPING else size
    return DecodedImage(upright, mode, seen, upright is not flat, transparent, values)


def is_transparent(image: Image.Image) -> bool:
    """Return whether an image has an alpha channel, or a colour that is transparent."""
    return "A" in image.mode or "a" in image.mode or "transparency" in image.info


def flattened(
    image: Image.Image, value_range: Sequence[float] | str | None
) -> tuple[Image.Image, tuple[float, float] | None]:
    """Return an image of any mode as L or RGB, and its lowest and highest value if it is scaled by those.

    It is done strip by strip, so that it takes little more memory than the image and its result.
    """
    if is_deep(image):
        if value_range != "own":
            return to_eight_bits(image, None if isinstance(value_range, str) else value_range), None
        low, high = extremes(image)
        return to_eight_bits(image, (low, high if high > low else low + 1)), (low, high)
    mode = "L" if image.mode in GREY else "RGB"
    if is_transparent(image):
        flat = Image.new(mode, image.size)
        for top, strip in strips(image):
            colour = strip.convert("RGBA")
            white = Image.new("RGBA", colour.size, "white")
            flat.paste(Image.alpha_composite(white, colour).convert(mode), (0, top))
        return flat, None
    return (image if image.mode == mode else image.convert(mode)), None


def apply_orientation(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image turned and mirrored as EXIF's orientation says; the same one if that says nothing."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image
