"""The distance of wrong pixels from the borders between classes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cnntrain.annotations.regions import IGNORED
from cnntrain.tasks.collector import evenly
from cnntrain.tasks.report import Evaluated
from cnntrain.tasks.segmentation.boundary import DISTANCE, NONE, borders

REACHES = (DISTANCE, 4, 8, 16)  # pixels; where a band of distances ends
BANDS = ("0–2", "3–4", "5–8", "9–16", "> 16")
MOST, AT_ONCE = 200, 16  # images
VALUES = 2**25  # of the outputs that are held at a time
SECONDS = 5.0


@dataclass(frozen=True)
class ByDistance:
    """The pixels of some images by their distance from the nearest true border.

    Args:
        pixels: the pixels in each of ``BANDS``, without those that are ignored.
        wrong: those of them whose class is wrong.
        images: the number of images that they are of.
    """

    pixels: list[int]
    wrong: list[int]
    images: int

    @property
    def at_borders(self) -> float:
        """Share of the wrong pixels that lie within ``DISTANCE`` pixels of a true border."""
        return self.wrong[0] / max(1, sum(self.wrong))


def near_borders(y: Tensor, reach: int) -> Tensor:
    """Return which pixels lie up to that many pixels across and down from a true border, bool (N, H, W).

    Args:
        y: classes, int64 (N, H, W).
        reach: 0 for the pixels of the border.
    """
    is_border = (borders(y.where(y != IGNORED, NONE)) != NONE).float()[:, None]
    size = 2 * reach + 1
    wide = F.max_pool2d(is_border, (1, size), stride=1, padding=(0, reach))  # across and down apart: faster
    return F.max_pool2d(wide, (size, 1), stride=1, padding=(reach, 0))[:, 0] > 0


def bands_of(y: Tensor) -> Tensor:
    """Return the band of distances of each pixel, int64 (N, H, W): an index of ``BANDS``."""
    found = torch.full_like(y, len(REACHES))
    for band in reversed(range(len(REACHES))):
        found[near_borders(y, REACHES[band])] = band
    return found


def by_distance(seen: Evaluated) -> ByDistance:
    """Return where the wrong pixels of some images lie; of as many, evenly spread, as time allows."""
    chosen = evenly(MOST, seen.images.count)
    height, width = seen.images.size
    size = max(1, min(AT_ONCE, VALUES // (height * width * len(seen.class_names))))
    # In an order that is evenly spread over all wherever it ends.
    lots = chosen.split(size)
    order = sorted(range(len(lots)), key=lambda lot: (lot * (math.sqrt(5) - 1) / 2) % 1)
    counts = torch.zeros(2, len(BANDS), dtype=torch.int64)
    deadline, images = time.monotonic() + SECONDS * seen.patience, 0
    for lot in order:
        x, labels = seen.images.load_both(lots[lot])
        y = labels.long()
        wrong = (seen.outputs(x).argmax(dim=1).cpu() != y) & (y != IGNORED)
        bands = bands_of(y)
        for row, where in enumerate((y != IGNORED, wrong)):
            counts[row] += bands[where].bincount(minlength=len(BANDS))
        images += len(y)
        if time.monotonic() > deadline:
            break
    pixels, errors = counts.tolist()
    return ByDistance(pixels, errors, images)
