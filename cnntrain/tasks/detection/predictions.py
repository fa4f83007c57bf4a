"""What a detector finds in each image of an evaluation: a few numbers for each box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnntrain.annotations.regions import BOX_CLASS, BOX_COLUMNS
from cnntrain.compute.outputs import predictions_of
from cnntrain.models.detection.of_torchvision import NEVER, Found
from cnntrain.tasks.collector import Collector
from cnntrain.tasks.detection.boxes import BOX_OF, LOGITS, SCORE, detections, exist, pairwise_iou
from cnntrain.tasks.detection.metrics import NMS

LEAST_SCORE = 1e-6  # more than that of a class that is not the most probable
MOST = 20  # boxes of an image, the most confident ones, however low their score; each with its top class


@dataclass(frozen=True)
class BoxMatches:
    """What a detector finds in N images.

    Args:
        objects: the objects of all images, float32 (O, 6).
        best_iou: the best iou of each object with any box of its image, float32 (O,).
        best_of_class: the best of class with any box of its class, likewise.
        scores: the scores of the most confident box of each image, float32 (N,).
        sides: the longer side of each box, float32 (B,).
        size: height and width of the images, in pixels.
    """

    objects: Tensor
    best_iou: Tensor
    best_of_class: Tensor
    scores: Tensor
    sides: Tensor
    size: tuple[int, int]


class BoxCollector(Collector[BoxMatches]):
    """Keeps how near the boxes of a detector come to the objects."""

    def __init__(self) -> None:
        super().__init__()
        self.size = (1, 1)

    def observe(self, x: Tensor, y: Tensor) -> None:
        """Note the size of the images."""
        self.size = (x.shape[2], x.shape[3])

    def extract(self, output: Tensor | Found, y: Tensor) -> tuple[Tensor, ...]:
        """Return objects with their best IoUs, float32 (N, M, 8), and boxes, float32 (N, MOST, 6)."""
        cells = predictions_of(output)
        logits = cells[..., LOGITS]
        surest = logits.where(logits == logits.amax(dim=2, keepdim=True), NEVER)
        found = detections(torch.cat([cells[..., : LOGITS.start], surest], dim=2), LEAST_SCORE, NMS, MOST)
        iou = pairwise_iou(y[..., BOX_OF], found[..., BOX_OF])
        is_own = y[..., BOX_CLASS, None] == found[:, None, :, SCORE + 1]
        best = torch.stack([iou.amax(dim=2), iou.where(is_own, 0.0).amax(dim=2)], dim=2)
        return torch.cat([y, best], dim=2), found

    def combine(self, batches: Sequence[tuple[Tensor, ...]]) -> BoxMatches:
        """Return all that was noted."""
        known = torch.cat([objects[exist(objects)] for objects, _ in batches])
        boxes = torch.cat([found for _, found in batches])
        is_box = boxes[..., SCORE + 1] >= 0
        sides = (boxes[..., 2:4] - boxes[..., :2]).amax(dim=2)[is_box]
        scores = boxes[..., SCORE].where(is_box, 0.0).amax(dim=1)
        objects, (any_class, of_class) = known[:, :BOX_COLUMNS], known[:, BOX_COLUMNS:].unbind(dim=1)
        return BoxMatches(objects, any_class, of_class, scores, sides, self.size)
