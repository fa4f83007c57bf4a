"""Features of proposals, cut out of the maps of a pyramid, with a gradient that is cheap on a processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torchvision.ops import MultiScaleRoIAlign

POINTS = 2  # of each bin and axis
LARGEST = 64 * 64  # cells of a map; torchvision's gradient is cheaper for larger ones


class Pooling(MultiScaleRoIAlign):  # type: ignore[misc]
    """RoIAlign (He et al. 2017, Mask R-CNN) over several maps: torchvision's, with a gradient of our own.

    On a processor torchvision's gradient visits each point, corner and channel one by one, which took three
    fifths of a step of training. RoIAlign is linear, and rows and columns are apart: a row of bins is a
    weighted sum of rows of the map, and a column of bins one of columns. So the gradient is two products of
    matrices. See ``torchvision.ops.MultiScaleRoIAlign`` for the arguments.
    """

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: Any) -> Tensor:
        """Map maps by name, float (N, C, H, W), and boxes of images, (M, 4), to (boxes, C, bins, bins)."""
        maps = [x[name] for name in self.featmap_names]
        wants_gradient = torch.is_grad_enabled() and any(each.requires_grad for each in maps)
        is_cheap = all(each.device.type == "cpu" and each[0, 0].numel() <= LARGEST for each in maps)
        if not (wants_gradient and is_cheap):
            pooled: Tensor = super().forward(x, boxes, image_shapes)
            return pooled
        with torch.no_grad():
            pooled = super().forward(x, boxes, image_shapes)
        assert self.scales is not None and self.map_levels is not None
        levels = self.map_levels(boxes) if len(maps) > 1 else torch.zeros(len(pooled), dtype=torch.int64)
        with_gradient: Tensor = WithGradient.apply(pooled, boxes, levels, self.scales, *maps)
        return with_gradient


class WithGradient(Function):
    """Gives features that were cut out of maps, and hands their gradient to the maps."""

    @staticmethod
    def forward(
        ctx: Any,
        pooled: Tensor,
        boxes: Sequence[Tensor],
        levels: Tensor,
        scales: Sequence[float],
        *maps: Tensor,
    ) -> Tensor:
        """Return the features, float (boxes, C, bins, bins).

        Args:
            ctx: autograd's.
            pooled: the features.
            boxes: the boxes of each image, float32 (M, 4), in pixels.
            levels: the map that each box is cut out of, int64 (boxes,).
            scales: cells to a pixel, of each map.
            maps: float (N, C, H, W).
        """
        ctx.boxes, ctx.levels, ctx.scales = boxes, levels, scales
        ctx.sizes = [each.shape for each in maps]
        return pooled.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of each map, and None for all else."""
        counts = [len(boxes) for boxes in ctx.boxes]
        grads = []
        for level, (scale, size) in enumerate(zip(ctx.scales, ctx.sizes, strict=True)):
            own = grad.new_zeros(size)
            parts = zip(grad.split(counts), ctx.boxes, ctx.levels.split(counts), strict=True)
            for image, (part, boxes, levels) in enumerate(parts):
                chosen = levels == level
                if chosen.any():
                    own[image] = of_map(part[chosen], boxes[chosen] * scale, size)
            grads.append(own)
        return None, None, None, None, *grads


def of_map(grad: Tensor, boxes: Tensor, size: Sequence[int]) -> Tensor:
    """Return the gradient of one map, float (C, H, W).

    Args:
        grad: the gradient of the features of its boxes, float (M, C, bins, bins).
        boxes: float32 (M, 4), in cells of the map.
        size: the size of the maps, (N, C, H, W).
    """
    count, channels, bins, _ = grad.shape
    height, width = size[2:]
    down, across = (weights(boxes[:, at], boxes[:, at + 2], bins, size[3 - at]) for at in (1, 0))
    rows = down.transpose(1, 2) @ grad.transpose(1, 2).reshape(count, bins, channels * bins)  # (M, H, C bins)
    rows = rows.view(count, height, channels, bins).permute(2, 1, 0, 3).reshape(channels * height, -1)
    return (rows @ across.reshape(count * bins, width)).view(channels, height, width)


def weights(begin: Tensor, end: Tensor, bins: int, cells: int) -> Tensor:
    """Return how much each cell counts in each bin along one axis, float32 (M, bins, cells).

    Two points of each bin are interpolated between the cells beside them, as torchvision's
    ``roi_align`` does with ``sampling_ratio=2`` and ``aligned=False``.

    Args:
        begin: the begin of each box, float32 (M,), in cells.
        end: likewise.
        bins: into which a box is divided.
        cells: along the axis of the map.
    """
    length = (end - begin).clamp(min=1.0) / bins
    places = torch.arange(bins * POINTS, device=begin.device) + 0.5
    at = begin[:, None] + places * (length / POINTS)[:, None]
    is_inside = (at >= -1.0) & (at <= cells)
    at = at.clamp(0.0, cells - 1.0)
    low = at.floor().long()
    high = (low + 1).clamp(max=cells - 1)
    share = at - low
    found = begin.new_zeros(*at.shape, cells)
    found.scatter_add_(2, low[..., None], ((1 - share) * is_inside)[..., None])
    found.scatter_add_(2, high[..., None], (share * is_inside)[..., None])
    return found.view(len(begin), bins, POINTS, cells).mean(dim=2)
