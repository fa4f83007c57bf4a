"""Boxes as annotations state them, in pixels: checked, clipped, and turned as EXIF turns their image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnntrain.image_folder.decode import SWAPPING

ROUNDING = (
    1.01  # pixels that an edge may lie outside, for numbers of six digits: it is cut off without a word
)
SHORTEST = 0.01  # pixels; a side below that is none
# What can be wrong with a box, by the kind of finding. The last two keep a part of it.
INVERTED, ZERO, OUTSIDE, CUT, TWICE = (
    "inverted_boxes",
    "zero_boxes",
    "outside_boxes",
    "cut_boxes",
    "double_boxes",
)


def checked(
    boxes: np.ndarray, places: Sequence[str], size: tuple[int, int]
) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Return the boxes that can be used, clipped to their image, and what is wrong with others.

    Args:
        boxes: left, top, right, bottom, class, ignored, in pixels, float64 (M, 6).
        places: where each of them stands, in words.
        size: width and height of the image.

    Returns:
        Boxes, float32 (N, 6); and for each that is dropped or changed the kind of fault and a line of text.
    """
    low, high, most = boxes[:, :2], boxes[:, 2:4], np.array(size, dtype=np.float64)
    is_inverted = (high < low).any(1)
    is_zero = ~is_inverted & (high - low < SHORTEST).any(1)
    is_wrong = is_inverted | is_zero
    inside = np.concatenate([low.clip(0, most), high.clip(0, most)], axis=1)
    is_outside = ~is_wrong & (inside[:, 2:] - inside[:, :2] < SHORTEST).any(1)
    is_wrong |= is_outside
    is_cut = ~is_wrong & (np.abs(inside - boxes[:, :4]) > ROUNDING).any(1)
    is_twice = ~is_wrong & twice(np.where(is_wrong[:, None], np.nan, np.hstack([inside, boxes[:, 4:5]])))
    kept = ~(is_wrong | is_twice)
    result = np.hstack([inside, boxes[:, 4:]])[kept].astype(np.float32)
    if kept.all() and not is_cut.any():
        return result, []
    of = f"in an image of {size[0]}x{size[1]}"
    faults = [
        (kind, f"{places[index]}: {in_words(boxes[index])} {of}")
        for kind, which in (
            (INVERTED, is_inverted),
            (ZERO, is_zero),
            (OUTSIDE, is_outside),
            (CUT, is_cut),
            (TWICE, is_twice),
        )
        for index in np.flatnonzero(which).tolist()
    ]
    return result, faults


def twice(rows: np.ndarray) -> np.ndarray:
    """Return which rows are the same as one before them, bool (M,); a row of NaN is none."""
    seen: set[bytes] = set()
    found = np.zeros(len(rows), dtype=bool)
    for index, row in enumerate(rows.round(3)):
        if np.isnan(row).any():
            continue
        key = row.tobytes()
        found[index] = key in seen
        seen.add(key)
    return found


def in_words(box: np.ndarray) -> str:
    """Return the edges of a box in words."""
    left, top, right, bottom = box[:4].tolist()
    return f"left {left:g}, top {top:g}, right {right:g}, bottom {bottom:g}"


def turned(boxes: np.ndarray, orientation: int, size: tuple[int, int]) -> np.ndarray:
    """Return boxes in an image as it is seen, of those in the image as it is stored.

    Args:
        boxes: float (M, 6), whose first four columns are edges in pixels.
        orientation: EXIF's, 1 to 8.
        size: width and height of the image as it is stored.
    """
    width, height = size
    left, top, right, bottom = boxes[:, :4].T
    if orientation in (2, 3, 7, 8):  # the stored image's right side comes first
        left, right = width - right, width - left
    if orientation in (3, 4, 6, 7):  # so does its lower side
        top, bottom = height - bottom, height - top
    edges = [top, left, bottom, right] if orientation in SWAPPING else [left, top, right, bottom]
    return np.concatenate([np.stack(edges, axis=1), boxes[:, 4:]], axis=1)
