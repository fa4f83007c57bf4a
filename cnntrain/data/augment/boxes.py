"""Boxes in images whose pixels are moved or hidden: float32 (N, M, 4), x1, y1, x2, y2 in pixels."""

from __future__ import annotations

import torch
from torch import Tensor

SHORTEST = 0.01  # pixels; a side below that is none, and its logarithm would be a huge loss


def affine(across: Tensor, down: Tensor, right: Tensor, lower: Tensor) -> Tensor:
    """Return matrices, float32 (N, 2, 3), that scale and then move places by float32 (N,)."""
    zero = torch.zeros_like(right)
    return torch.stack([across, zero, right, zero, down, lower], dim=1).view(-1, 2, 3)


def in_pixels(matrix: Tensor, height: int, width: int) -> Tensor:
    """Return where ``warp`` puts each place of the old image, in pixels: float32 (N, 2, 3).

    Args:
        matrix: the matrix of ``warp``, float32 (N, 2, 3), from new to old, in halves of a side from the
            centre.
        height: the height of the image, in pixels.
        width: likewise.
    """
    half = torch.tensor([width / 2, height / 2], device=matrix.device)
    onward = torch.linalg.inv(matrix[:, :, :2]) * half[:, None] / half  # from old to new
    centre = half + matrix[:, :, 2] * half  # which comes to the middle of the new image
    return torch.cat([onward, half[:, None] - onward @ centre[:, :, None]], dim=2)


def moved_boxes(boxes: Tensor, places: Tensor, size: tuple[int, int], least: float) -> Tensor:
    """Return the boxes around the moved corners of boxes, clipped to the image.

    One that keeps less than a share of its area is dropped: all zeros.

    Args:
        boxes: float32 (N, M, 4).
        places: float32 (N, 2, 3), from a place in the old image to that in the new one, in pixels.
        size: height and width of the new image.
        least: share of the area.
    """
    corners = boxes[..., [0, 1, 2, 1, 2, 3, 0, 3]].unflatten(-1, (4, 2))
    moved = corners @ places[:, None, :, :2].transpose(2, 3) + places[:, None, None, :, 2]
    around = torch.cat([moved.amin(2), moved.amax(2)], dim=-1)
    most = torch.tensor([size[1], size[0]] * 2, device=boxes.device, dtype=boxes.dtype)
    inside = torch.minimum(around.clamp(min=0), most)
    is_there = (areas(boxes) > 0) & (sides(inside).amin(-1) > SHORTEST)
    return kept(inside, is_there & (areas(inside) >= least * areas(around)))


def boxes_in_sight(boxes: Tensor, hidden: Tensor, least: float) -> Tensor:
    """Return boxes without those that are hardly seen.

    Args:
        boxes: float32 (N, M, 4).
        hidden: the pixels of a rectangle that can't be seen, bool (N, H, W).
        least: share of the area.
    """
    rows = hidden.any(2).float()
    columns = hidden.any(1).float()  # a rectangle has the same ones in each of its rows
    tall = overlap(boxes[..., 1], boxes[..., 3], rows)
    wide = overlap(boxes[..., 0], boxes[..., 2], columns)
    return kept(boxes, areas(boxes) - tall * wide >= least * areas(boxes))


def overlap(low: Tensor, high: Tensor, inside: Tensor) -> Tensor:
    """Return how much of each interval lies in some pixels, float32 (N, M).

    Args:
        low: where the intervals begin, float32 (N, M).
        high: where they end.
        inside: which pixels, float32 (N, size) of 0 and 1.
    """
    begin = torch.arange(inside.shape[1], device=inside.device)
    length = torch.minimum(high[..., None], begin + 1) - torch.maximum(low[..., None], begin)
    return (length.clamp(min=0) * inside[:, None]).sum(-1)


def areas(boxes: Tensor) -> Tensor:
    """Return the areas of boxes (..., 4) in pixels."""
    return sides(boxes).prod(-1)


def sides(boxes: Tensor) -> Tensor:
    """Return the width and the height of boxes (..., 4) in pixels: (..., 2)."""
    return boxes[..., 2:] - boxes[..., :2]


def kept(boxes: Tensor, which: Tensor) -> Tensor:
    """Return boxes (N, M, 4), with zeros in place of those that bool (N, M) drops."""
    return torch.where(which[..., None], boxes, 0.0)
