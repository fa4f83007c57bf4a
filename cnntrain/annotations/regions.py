"""Regions that annotations outline, and the masks that are drawn of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

IGNORED = 255  # the label of pixels that have no class
# Boxes of an image are rows of left, top, right and bottom in pixels, the class, and 1 if it is ignored.
BOX_CLASS, BOX_IGNORED, BOX_COLUMNS = 4, 5, 6
NO_BOX = -1.0  # the class of a row that only fills the table


@dataclass(frozen=True)
class Region:
    """One thing in an image.

    Args:
        label: its class, as a pixel of a mask has it.
        polygons: corners (x, y) of each, float64 (points, 2), in pixels of the annotated image: the left
            upper corner of the image is (0, 0), that of the right lower one (W, H). They are united.
        runs: the runs of a run-length encoding, int64 (M,), in place of polygons.
        size: width and height of the mask that the runs make.
        is_ignored: a crowd, whose pixels have no class.
    """

    label: int
    polygons: tuple[np.ndarray, ...] = ()
    runs: np.ndarray | None = None
    size: tuple[int, int] = (0, 0)
    is_ignored: bool = False

    @property
    def area(self) -> float:
        """Pixels that it covers, those where its polygons overlap counted for each."""
        if self.runs is not None:
            return float(self.runs[1::2].sum())
        return sum(map(area_of, self.polygons))


def area_of(polygon: np.ndarray) -> float:
    """Return the area within a polygon, float64 (points, 2), by the shoelace formula."""
    x, y = polygon.T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def drawn(regions: Sequence[Region], size: tuple[int, int]) -> np.ndarray:
    """Return the mask of an image, uint8 (H, W): 0 where there is no region.

    Large regions are drawn first, so that a small thing on a large one is seen. Crowds are drawn before all
    others.

    Args:
        regions: the regions in the image.
        size: width and height.
    """
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    for region in sorted(regions, key=lambda region: (not region.is_ignored, -region.area)):
        label = IGNORED if region.is_ignored else region.label
        if region.runs is not None:
            mask[mask_of(region.runs, region.size)] = label
        for polygon in region.polygons:
            fill(mask, polygon, label)
    return mask


def fill(mask: np.ndarray, polygon: np.ndarray, label: int) -> None:
    """Set the pixels whose centres lie within a polygon, by the even-odd rule.

    An outline that crosses itself or runs along a cut into a hole leaves the hole out.

    Args:
        mask: uint8 (H, W), changed in place.
        polygon: corners (x, y), float64 (points, 2).
        label: the new value of its pixels.
    """
    height, width = mask.shape
    x, y = polygon.T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    upper, lower = np.minimum(y, next_y), np.maximum(y, next_y)
    # The rows whose centres, row + 0.5, an edge crosses: upper <= centre < lower.
    first = np.clip(np.ceil(upper - 0.5), 0, height).astype(np.int64)
    rows = np.maximum(np.clip(np.ceil(lower - 0.5), 0, height).astype(np.int64) - first, 0)
    if not rows.any():
        return
    edge = np.repeat(np.arange(len(x)), rows)
    row = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(rows) - rows, rows)
    slope = (next_x - x)[edge] / (next_y - y)[edge]
    crossing = x[edge] + (row + 0.5 - y[edge]) * slope
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)
    top, bottom, left, right = row.min(), row.max() + 1, column.min(), column.max()
    if left == right:
        return
    # Each crossing switches between outside and inside for all pixels from there to the right.
    wide = right - left + 1
    switches = np.bincount((row - top) * wide + column - left, minlength=(bottom - top) * wide)
    inside = np.cumsum(switches.reshape(-1, wide), axis=1)[:, :-1] % 2 == 1
    mask[top:bottom, left:right][inside] = label


def mask_of(runs: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the mask that runs make, bool (H, W).

    Args:
        runs: int64 (M,).
        size: width and height.
    """
    width, height = size
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return flat.reshape(width, height).T
