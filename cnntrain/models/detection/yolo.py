"""A one-stage detector in YOLO's manner: each cell of a grid says what is there, and where its box lies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from cnntrain.models.detection.pyramid import Pyramid, conv

RARE = (
    0.01  # the score of an untrained network: nearly all cells are background (Lin et al. 2017, section 4.1)
)
LARGEST = 6.0  # exponent of a side; a box of 400 strides


class Yolo(nn.Module):
    """An anchor-free detector (Redmon et al. 2016, YOLO; Ge et al. 2021, YOLOX).

    The maps of a pyramid are grids: each cell looks at its part of the image, and gives a box and a score for
    each class.

    ``Yolo(1, 10, width=16)`` has 452,076 parameters.

    Args:
        in_channels: 1 for grey, 3 for colour.
        num_classes: number of classes; background is none of them.
        width: channels of the first map, and a quarter of those of the heads.
        strides: pixels from one cell to the next, of each grid.
        backbone, weights: see :class:`cnntrain.models.detection.pyramid.Pyramid`.

    Raises:
        ValueError, UserError: likewise.
    """

    encoder: ClassVar[tuple[str, ...]] = ("pyramid.backbone",)  # which init_from takes from other models
    head_modules: ClassVar[tuple[str, ...]] = ("pyramid.lateral", "classes", "boxes")

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        width: int,
        strides: Sequence[int] = (8, 16),
        backbone: str | None = None,
        weights: str | None = None,
    ) -> None:
        super().__init__()
        self.pyramid = Pyramid(in_channels, width, strides, backbone, weights)
        # Each grid has heads of its own: batch norm of shared heads would mix the statistics of all grids.
        wide, rare = self.pyramid.channels, -math.log(1 / RARE - 1)
        self.classes = nn.ModuleList(head(wide, num_classes, bias=rare) for _ in strides)
        self.boxes = nn.ModuleList(head(wide, 4, bias=0.0) for _ in strides)

    def forward(self, x: Tensor) -> Tensor:
        """Map images of any size, float (N, C, H, W), to what cells say, float32 (N, cells, 6 + classes).

        Columns: x and y of the cell's centre; left, top, right and bottom of its box, all in pixels; and a
        logit for each class.
        """
        grids = zip(self.pyramid(x), self.boxes, self.classes, self.pyramid.strides, strict=True)
        cells = [
            said_by_cells(boxes(features), classes(features), stride)
            for features, boxes, classes, stride in grids
        ]
        return torch.cat(cells, dim=1)


def said_by_cells(boxes: Tensor, classes: Tensor, stride: int) -> Tensor:
    """Return what the cells of one grid say, float32 (N, rows · columns, 6 + classes).

    A box lies around its cell's centre, moved by so many strides, and its sides are powers of e, in strides,
    so that none is negative. All in float32: half a pixel matters, and bfloat16 has 8 bits.

    Args:
        boxes: move to the right and down, and logarithms of width and height, (N, 4, rows, columns).
        classes: logits, (N, classes, rows, columns).
        stride: pixels from one cell to the next.
    """
    rows, columns = boxes.shape[2:]
    y = torch.arange(rows, device=boxes.device, dtype=torch.float32) + 0.5
    x = torch.arange(columns, device=boxes.device, dtype=torch.float32) + 0.5
    cell = torch.stack(torch.meshgrid(x, y, indexing="xy")).expand(len(boxes), -1, -1, -1)
    move, sides = boxes.float().split(2, dim=1)
    middle, half = cell + move, sides.clamp(max=LARGEST).exp() / 2
    pixels = stride * torch.cat([cell, middle - half, middle + half], dim=1)
    return torch.cat([pixels, classes.float()], dim=1).flatten(2).transpose(1, 2)


def head(channels: int, outputs: int, bias: float) -> nn.Sequential:
    """Return two convolutions and the layer that gives each cell its outputs, which begin at a bias."""
    last = nn.Conv2d(channels, outputs, 1)
    nn.init.constant_(last.bias, bias)  # type: ignore[arg-type]
    return nn.Sequential(conv(channels, channels), conv(channels, channels), last)
