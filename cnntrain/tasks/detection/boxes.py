"""Boxes of images as tensors: their columns, overlaps, and what a network finds."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from cnntrain.annotations.regions import BOX_CLASS, BOX_IGNORED

CENTRE, BOX, LOGITS = slice(0, 2), slice(2, 6), slice(6, None)  # columns of what a cell says
BOX_OF = slice(0, BOX_CLASS)  # columns of targets
SCORE = 4  # column of detections; the next is the class, -1 of no box
CANDIDATES = 300  # boxes of an image that non-maximum suppression compares


def pairwise_iou(some: Tensor, others: Tensor) -> Tensor:
    """Return the IoU of boxes (N, M, 4) with others (N, A, 4) of the same image, float (N, M, A)."""
    first, second = some[:, :, None], others[:, None]
    sides = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    both = sides.clamp(min=0).prod(dim=-1)
    area, other = ((box[..., 2:] - box[..., :2]).prod(dim=-1) for box in (first, second))
    return both / (area + other - both).clamp(min=1e-9)


def is_within(points: Tensor, boxes: Tensor) -> Tensor:
    """Return which points, float (N, A, 2), are within which boxes, float (N, M, 4): bool (N, M, A)."""
    low, high = boxes[:, :, None].split(2, dim=-1)
    within: Tensor = ((points[:, None] > low) & (points[:, None] < high)).all(dim=-1)
    return within


def exist(targets: Tensor) -> Tensor:
    """Return which rows of targets, float (N, M, 6), are objects that count, bool (N, M)."""
    return (targets[..., BOX_CLASS] >= 0) & (targets[..., BOX_IGNORED] == 0)


def detections(output: Tensor, score: float, nms: float, most: int) -> Tensor:
    """Return the boxes that a network finds, the most confident first.

    Of boxes of one class that overlap, non-maximum suppression keeps the most confident.

    Args:
        output: what the cells or proposals of a network say, float32 (N, A, 6 + classes).
        score: the lowest score that counts, from 0 to 1.
        nms: the largest IoU of two boxes of one class.
        most: boxes of an image, at most.

    Returns:
        float32 (N, most, 6): left, top, right, bottom, score and class. Rows without a box have class -1.
    """
    scores = output[..., LOGITS].sigmoid()
    classes = scores.shape[2]
    best, place = scores.flatten(1).topk(min(CANDIDATES, scores[0].numel()))
    cell = place.div(classes, rounding_mode="floor")
    boxes = output[..., BOX].gather(1, cell[..., None].expand(-1, -1, 4))
    labels = place % classes
    rows = torch.cat([boxes, best[..., None], labels[..., None].float()], dim=2)
    none = rows.new_zeros(most, rows.shape[2])
    none[:, SCORE + 1] = -1
    # The most confident come first, so that what is left out for its score can't have suppressed what is not.
    found = torch.stack(
        [
            torch.cat([own[batched_nms(own[:, :SCORE], own[:, SCORE], label, nms)], none])[:most]
            for own, label in zip(rows, labels, strict=True)
        ]
    )
    return found.where(found[..., SCORE, None] > score, none)
