"""The regions that COCO's annotations outline, as polygons or as runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cnntrain.annotations.readers.rle import InvalidRLE, checked_runs
from cnntrain.annotations.regions import Region
from cnntrain.text import printable

OUTSIDE = 1.0  # pixels that a corner may lie outside its image: it is rounding, and is cut off


class UnknownCategory(InvalidRLE):
    """An annotation of a category that does not exist."""


def label_of(row: Mapping[str, Any], labels: Mapping[Any, int]) -> int:
    """Return the label of an annotation.

    Raises:
        UnknownCategory: there is no such category.
    """
    if row.get("category_id") not in labels:
        raise UnknownCategory(f"there is no category {printable(row.get('category_id'), 30)}")
    return labels[row["category_id"]]


def region_of(row: Mapping[str, Any], labels: Mapping[Any, int], size: tuple[int, int] | None) -> Region:
    """Return the region of an annotation.

    Args:
        row: a row of the list of annotations.
        labels: the labels of the category ids.
        size: width and height of its image; None if they are not known.

    Raises:
        BadRuns: it outlines none; the text says why.
    """
    label, is_crowd = label_of(row, labels), bool(row.get("iscrowd"))
    node = row.get("segmentation")
    if isinstance(node, dict):
        runs, own_size = checked_runs(node, size)
        return Region(label, runs=runs, size=own_size, is_ignored=is_crowd)
    if not isinstance(node, list) or not node:
        raise InvalidRLE("a box without an outline" if row.get("bbox") else "no outline")
    polygons = tuple(polygon_of(numbers, size) for numbers in node)
    return Region(label, polygons, is_ignored=is_crowd)


def polygon_of(numbers: Sequence[float], size: tuple[int, int] | None) -> np.ndarray:
    """Return the corners of a polygon, float64 (points, 2), from ``[x, y, x, y, ...]``.

    Raises:
        BadRuns: it is not a polygon, or lies outside its image.
    """
    try:
        corners = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidRLE("its polygon is not a list of numbers") from None
    if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2 or not np.isfinite(corners).all():
        raise InvalidRLE(f"{corners.size} coordinates are not a polygon, which has at least three points")
    corners = corners.reshape(-1, 2)
    if size is not None:
        low, high = corners.min(0), corners.max(0)
        if (low < -OUTSIDE).any() or (high > np.array(size) + OUTSIDE).any():
            reach = f"x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}"
            raise InvalidRLE(f"its polygon lies outside the image of {size[0]}x{size[1]}: {reach}")
        corners = corners.clip(0, size)
    return corners
