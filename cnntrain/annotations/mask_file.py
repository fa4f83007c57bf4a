"""A mask from its file: the values of its pixels as they are stored, and the labels that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cnntrain.annotations.table import Color
from cnntrain.image_folder.decode import ORIENTATION, TURNS
from cnntrain.image_folder.opening import (
    Decoding,
    ImageTooLarge,
    UnreadableImage,
    check_size,
    open_image,
    reason,
)

HIGHEST = 2**24  # ids from here on are one value that has no class
LARGEST = 1000.0  # megapixels of an image whose metadata alone are read
NO_CLASS = -1  # of a value


@dataclass(frozen=True)
class Pixels:
    """The contents of a mask file.

    Args:
        values: the pixel values, (H, W): ids, uint8 or int32; or colours as ``packed`` numbers, int32.
        are_colors: whether the values are colours.
        palette: the colour of each id that occurs in a file with a palette, packed.
        mode: Pillow's, of the file.
        is_lossy: whether the file is a JPEG, whose compression changes values.
        is_turned: whether its own EXIF data had it turned.
    """

    values: np.ndarray
    are_colors: bool
    palette: Mapping[int, int]
    mode: str
    is_lossy: bool
    is_turned: bool


def packed(color: Color) -> int:
    """Return a colour as one number: red in the highest of three bytes."""
    return color[0] << 16 | color[1] << 8 | color[2]


def unpacked(value: int) -> Color:
    """Return the colour that a number stands for."""
    return value >> 16, value >> 8 & 255, value & 255


def read_pixels(path: Path, decoding: Decoding) -> Pixels:
    """Read the values of a mask's pixels. A palette's indices are ids; they never become luminance.

    Args:
        path: the path of a one-channel, palette or colour image of 1 to 32 bits.
        decoding: the bounds of decoding.

    Raises:
        UnreadableImage: it is not an image, or is damaged or refused.
    """
    try:
        with open_image(path, decoding) as image:
            check_size(image.size, decoding)
            image.load()
            check_size(image.size, decoding)  # some formats know it only now
            return pixels_of(image)
    except UnreadableImage:
        raise
    except Image.DecompressionBombError as error:
        raise ImageTooLarge(f"more than data.max_megapixels={decoding.most / 1e6:g}") from error
    except Exception as error:  # Pillow's plugins raise nearly anything for a damaged file
        raise UnreadableImage(reason(error)) from error


def pixels_of(image: Image.Image) -> Pixels:
    """Return the values of an image that is loaded, turned as its own EXIF data say.

    Raises:
        UnreadableImage: its values are not class numbers.
    """
    mode, is_lossy = image.mode, image.format in ("JPEG", "MPO")
    palette = palette_of(image) if mode in ("P", "PA") else {}
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    flat = image if turn is None else image.transpose(turn)
    if mode == "F":
        raise UnreadableImage("its values are floats, and class numbers are whole: save it with 8 or 16 bits")
    if mode in ("PA", "LA"):
        flat = flat.getchannel(0)
    elif mode not in ("1", "L", "P") and not mode.startswith("I"):
        colors = np.asarray(flat.convert("RGB"), dtype=np.int32)
        values = colors[..., 0] << 16 | colors[..., 1] << 8 | colors[..., 2]
        return Pixels(values, True, {}, mode, is_lossy, turn is not None)
    ids = np.asarray(flat)
    if ids.dtype == bool:
        ids = ids.astype(np.uint8)
    if ids.dtype != np.uint8:
        wide = ids.astype(np.int64)
        ids = np.where((wide < 0) | (wide > HIGHEST), HIGHEST, wide).astype(np.int32)
    return Pixels(ids, False, palette, mode, is_lossy, turn is not None)


def palette_of(image: Image.Image) -> dict[int, int]:
    """Return the packed colour of each index of a palette."""
    flat = image.getpalette("RGB") or []
    return {index // 3: packed((*flat[index : index + 3],)) for index in range(0, len(flat) - 2, 3)}  # type: ignore[arg-type]


def orientation_of(path: Path) -> int:
    """Return how EXIF says that an image is to be turned, 1 to 8; 1 if it says nothing or can't be read."""
    try:
        with open_image(path, Decoding(LARGEST)) as image:
            orientation = image.getexif().get(ORIENTATION, 1)
            return orientation if orientation in TURNS else 1
    except Exception:  # whoever reads the pixels says what is wrong
        return 1
