"""The predictions of an evaluation: a few numbers for each image, not its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnntrain.annotations.regions import IGNORED
from cnntrain.tasks.collector import Collector
from cnntrain.tasks.segmentation.alignment import EDGES, Alignment, edges_at_borders
from cnntrain.tasks.segmentation.metrics import iou_of, mean_over_classes, pixel_counts


@dataclass(frozen=True)
class MaskScores:
    """The predictions for N images.

    Args:
        iou: the mean IoU of each image over the classes that are in it, float64 (N,); NaN where every pixel
            is ignored.
        right: pixels whose class is right, int64 (N,).
        counted: pixels that are not ignored, int64 (N,).
        ignored: the others, int64 (N,).
        pixels: for each class, the pixels of all images that are right, true and predicted, int64 (3,
            classes).
        alignment: how well masks lie on the edges of their images, None if no image was looked at.
    """

    iou: Tensor
    right: Tensor
    counted: Tensor
    ignored: Tensor
    pixels: Tensor
    alignment: Alignment | None = None

    @property
    def miou(self) -> float:
        """The mean IoU of all images together, over the classes that are there, from 0 to 1."""
        return float(mean_over_classes(iou_of(self.pixels)))

    def worst_first(self) -> list[int]:
        """Return the images by their IoU, the worst one first, without those that are ignored entirely."""
        order = self.iou.nan_to_num(2.0).argsort(stable=True)
        return [int(index) for index in order[: int(self.iou.isfinite().sum())]]


class MaskScoreCollector(Collector[MaskScores]):
    """Keeps how well each image is segmented."""

    def __init__(self) -> None:
        super().__init__()
        self.edges: list[Tensor] = []
        self.size = (1, 1)

    def observe(self, x: Tensor, y: Tensor) -> None:
        """Look at some images, float (N, C, H, W): do their masks, int64 (N, H, W), lie on their edges?"""
        room = EDGES - sum(map(len, self.edges))
        if room > 0:
            self.size = (y.shape[1], y.shape[2])
            self.edges.append(edges_at_borders(x[:room], y[:room]).cpu())

    def extract(self, output: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Return what is kept of logits, float (N, classes, H, W), and classes, int64 (N, H, W).

        Returns:
            The IoU, float64 (N,); pixels that are right, counted and ignored, int64 (N, 3); and of the whole
            batch those of each class that are right, true and predicted, int64 (1, 3, classes).
        """
        counts = pixel_counts(output.argmax(dim=1), y, output.shape[1])
        ignored = (y == IGNORED).flatten(1).sum(dim=1)
        numbers = torch.stack([counts[:, 0].sum(dim=1), counts[:, 1].sum(dim=1), ignored], dim=1)
        return iou_of(counts).nanmean(dim=1), numbers, counts.sum(dim=0, keepdim=True)

    def combine(self, batches: Sequence[tuple[Tensor, ...]]) -> MaskScores:
        """Return all that was noted."""
        iou, numbers, pixels = map(torch.cat, zip(*batches, strict=True))
        alignment = Alignment(torch.cat(self.edges), self.size) if self.edges else None
        right, counted, none = numbers.unbind(dim=1)
        return MaskScores(iou, right, counted, none, pixels.sum(dim=0), alignment)
