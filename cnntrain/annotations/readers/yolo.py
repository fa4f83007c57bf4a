"""Polygons in YOLO's manner: ``images/`` and ``labels/*.txt``, rows of ``CLASS X Y X Y ...``.

Coordinates are shares of the width and the height of the image as it is seen. Source: docs.ultralytics.com,
"Instance Segmentation Datasets Overview".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnntrain.annotations.regions import Region
from cnntrain.image_folder.opening import UnreadableImage, reason
from cnntrain.runtime.regular_files import open_regular
from cnntrain.text import printable

LARGEST = 2**26  # bytes of a file
BOX = 4  # numbers of a box
OUTSIDE = 0.01  # share of a side up to which a point may lie outside: it is rounding, and is cut off


def rows_of(path: Path, num_classes: int) -> tuple[list[tuple[int, np.ndarray]], list[str]]:
    """Return the polygons of a file, and what is wrong with its other rows.

    Args:
        path: the path of the file; one that is empty has no polygon.
        num_classes: the number of classes.

    Returns:
        The class and the corners of each polygon, float64 (points, 2), as shares of the sides.

    Raises:
        UnreadableImage: it can't be read, or is not text.
    """
    polygons, faults = [], []
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        try:
            polygons.append(polygon_of(line, num_classes))
        except ValueError as error:
            faults.append(f"row {number}: {error}")
    return polygons, faults


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file.

    Raises:
        UnreadableImage: it can't be read, or is not text.
    """
    try:
        with open_regular(path) as file:
            return file.read(LARGEST).decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise UnreadableImage(
            "not text" if isinstance(error, UnicodeDecodeError) else reason(error)
        ) from error


class UnknownClass(ValueError):
    """A row of a class that does not exist."""


def numbers_of(line: str, num_classes: int) -> tuple[int, np.ndarray]:
    """Return the class of a row, and its numbers, float64.

    Raises:
        UnknownClass: it is of a class that does not exist.
        ValueError: it holds something else; the text says what.
    """
    first, *rest = line.split()
    try:
        label, numbers = float(first), np.array(rest, dtype=np.float64)
    except ValueError:
        raise ValueError(f"{printable(line, 40)} is not a class and numbers") from None
    if not label.is_integer() or not 0 <= label < num_classes:
        raise UnknownClass(f"class {first} is outside the {num_classes} classes, 0 to {num_classes - 1}")
    return int(label), numbers


def polygon_of(line: str, num_classes: int) -> tuple[int, np.ndarray]:
    """Return the class and the corners of a row.

    Raises:
        ValueError: it is not a polygon; the text says why.
    """
    label, numbers = numbers_of(line, num_classes)
    if len(numbers) == BOX:
        raise ValueError("a box, no polygon")
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError(f"{len(numbers)} coordinates are not a polygon, which has at least three points")
    if not np.isfinite(numbers).all() or numbers.min() < -OUTSIDE or numbers.max() > 1 + OUTSIDE:
        low, high = numbers.min(), numbers.max()
        raise ValueError(f"coordinates from {low:g} to {high:g} are not fractions of the sides, from 0 to 1")
    return label, numbers.reshape(-1, 2).clip(0, 1)


def regions_of(path: Path, labels: Sequence[int], size: tuple[int, int]) -> list[Region]:
    """Return the regions that a file outlines.

    Args:
        path: the path of the file.
        labels: the labels of the classes, in the order of their numbers.
        size: width and height of the image.

    Raises:
        UnreadableImage: see :func:`rows_of`.
    """
    polygons, _ = rows_of(path, len(labels))
    return [Region(labels[number], (corners * size,)) for number, corners in polygons]
