"""Images of more than 8 bits a value: 16-bit, 32-bit and signed integers, and floats, brought to 8 bits.

Sensors of 10 or 12 bits are stored in 16, and floats have no scale of their own. So a file alone does not say
which value is white. One range, for all images of a data set, does: from black to white. It is found by
looking at the training images, and kept in the configuration as ``data.value_range``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from cnntrain.errors import UserError

SIXTEEN_BITS = (0.0, 65535.0)
AT_ONCE = 2**20  # pixels that are converted at a time, which bounds the memory that it takes


class NoRange(ValueError):
    """Values that have no range that is known, or are not finite."""


def is_deep(image: Image.Image) -> bool:
    """Return whether an image has more than 8 bits a value."""
    return image.mode.startswith("I") or image.mode == "F"


def strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """Yield an image in strips, each with the row where it begins."""
    width, height = image.size
    rows = max(1, AT_ONCE // max(1, width))
    for top in range(0, height, rows):
        yield top, image.crop((0, top, width, min(height, top + rows)))


def extremes(image: Image.Image) -> tuple[float, float]:
    """Return the lowest and the highest value of an image of more than 8 bits.

    Raises:
        NoRange: a value is NaN or infinite.
    """
    low, high = np.inf, -np.inf
    for _, strip in strips(image):
        values = np.asarray(strip)
        if not np.isfinite(values).all():
            raise NoRange("it holds values that are NaN or infinite")
        low, high = min(low, float(values.min())), max(high, float(values.max()))
    return low, high


def common_range(lows: Sequence[float], highs: Sequence[float], are_floats: Sequence[bool]) -> list[float]:
    """Return the range, from black to white, of images of more than 8 bits.

    Integers from 0 on take as many bits as the highest needs: 0 to 4095 for a sensor of 12. Floats between 0
    and 1 or 0 and 255 take that; all else goes from the lowest value to the highest.

    Args:
        lows: lowest value of each image.
        highs: highest value of each image.
        are_floats: whether the values of each image are floats, also of those whose values do not count.

    Raises:
        NoRange: some are floats and some are integers, which have no scale in common.
    """
    low, high = float(min(lows)), float(max(highs))
    if len(set(are_floats)) > 1:
        number = sum(are_floats)
        raise NoRange(
            f"{number:,} of the images hold floats and {len(are_floats) - number:,} hold integers of more "
            f"than 8 bits ({low:g} to {high:g} in all), which have no scale in common"
        )
    if low >= 0 and are_floats[0]:
        white = next((white for white in (1.0, 255.0) if high <= white), None)
        if white is not None:
            return [0.0, white]
    elif low >= 0:
        return [0.0, float(2 ** max(8, int(high).bit_length()) - 1)]
    return [low, high if high > low else low + 1]


def to_eight_bits(image: Image.Image, value_range: Sequence[float] | None) -> Image.Image:
    """Return an image of more than 8 bits as one of 8, of mode L; what is transparent becomes white.

    Args:
        image: an image of mode I;16, I or F.
        value_range: the values that become black and white; None knows those of 16-bit files alone.

    Raises:
        NoRange: the range is not known, or a value is NaN or infinite.
    """
    if value_range is None:
        # Of PGM files Pillow makes 16 bits, whatever their own maximum is.
        if not (image.mode.startswith("I;16") or image.format == "PPM"):
            low, high = extremes(image)
            kind = "floats" if image.mode == "F" else "integers of 32 bits"
            raise NoRange(
                f"{kind} from {low:g} to {high:g}, and which of them are black and white is not known: "
                "save it with 8 or 16 bits, or train with data.value_range=[BLACK,WHITE]"
            )
        value_range = SIXTEEN_BITS
    black, white = value_range
    result = Image.new("L", image.size)
    hidden = image.info.get("transparency")
    for top, strip in strips(image):
        values: np.ndarray = np.asarray(strip, dtype=np.float64)
        if not np.isfinite(values).all():
            raise NoRange("it holds values that are NaN or infinite")
        grey = ((values - black) / (white - black) * 255).round().clip(0, 255).astype(np.uint8)
        if isinstance(hidden, int):
            grey[values == hidden] = 255
        result.paste(Image.fromarray(grey), (0, top))
    return result


LUMA = np.array([0.299, 0.587, 0.114])  # of ITU-R 601


def infer_value_range(train: np.ndarray, seen: np.ndarray) -> list[float] | None:
    """Return the values that become black and white in images of more than 8 bits; None if there are none.

    Args:
        train: the records of the training part, where the values are found.
        seen: records of all images, which count where the training part has none of more than 8 bits.

    Raises:
        UserError: they have no scale in common.
    """
    all_deep, deep = seen[seen["is_deep"]], train[train["is_deep"]]
    if not len(all_deep):
        return None
    deep = deep if len(deep) else all_deep
    try:
        return common_range(deep["low"], deep["high"], (all_deep["mode"] == "F").tolist())
    except NoRange as error:
        raise UserError(f"{error}: say what is black and white, data.value_range=[BLACK,WHITE]") from error


def scaled_statistics(
    records: np.ndarray, value_range: Sequence[float] | str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each channel and that of the squares, float64 (3,), of pixels from 0 to 1.

    Images of more than 8 bits were measured between their own lowest and highest values.
    """
    mean, square = records["mean"].copy(), records["square"].copy()
    deep = np.flatnonzero(records["is_deep"])
    if len(deep):
        black, white = SIXTEEN_BITS if value_range is None else map(float, value_range)
        low, high = records["low"][deep, None], records["high"][deep, None]
        scale, shift = np.maximum(high - low, 1e-12) / (white - black), (low - black) / (white - black)
        square[deep] = scale**2 * square[deep] + 2 * scale * shift * mean[deep] + shift**2
        mean[deep] = scale * mean[deep] + shift
    return mean.mean(0), square.mean(0)
