"""The run-length encodings of COCO: lengths of runs of 0 and 1 in turn, column by column.

A mask is encoded as a list of numbers (uncompressed), or as text that packs them (compressed): six bits a
character, the lowest first, five of them of the number and one that says whether more follow. From the third
number on, the text holds differences to the number before the last. Source: cocoapi, ``maskApi.c``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

FIRST = 48  # code of the character that stands for 0
MORE, SIGN, BITS = 0x20, 0x10, 5


class InvalidRLE(ValueError):
    """Runs that make no mask; the text says what is wrong."""


def runs_of(text: str) -> list[int]:
    """Return the lengths of the runs that a compressed encoding holds.

    Raises:
        InvalidRLE: it holds another character, or ends within a number.
    """
    runs: list[int] = []
    value = shift = 0
    for char in text:
        code = ord(char) - FIRST
        if not 0 <= code < 2 * MORE or shift > 60:
            raise InvalidRLE("its run-length encoding is damaged")
        value |= (code & (MORE - 1)) << shift
        shift += BITS
        if code & MORE:
            continue
        if code & SIGN:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise InvalidRLE("its run-length encoding is truncated")
    return runs


def checked_runs(node: Mapping[str, Any], size: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the runs of a segmentation of COCO, int64 (M,), and the width and height of its mask.

    Args:
        node: ``{"size": [HEIGHT, WIDTH], "counts": LIST or TEXT}``.
        size: width and height of the image; None if they are not known.

    Raises:
        InvalidRLE: they do not make a mask of the image's size.
    """
    try:
        height, width = map(int, node["size"])
        counts = node["counts"]
        runs = np.array(runs_of(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if isinstance(error, InvalidRLE):
            raise
        raise InvalidRLE("its run-length encoding is damaged") from error
    if size is not None and (width, height) != size:
        raise InvalidRLE(f"its run-length encoding is {width}x{height}, and the image {size[0]}x{size[1]}")
    if runs.ndim != 1 or (runs < 0).any() or runs.sum() != width * height:
        raise InvalidRLE(f"its runs do not fill {width}x{height} pixels")
    return runs, (width, height)
