"""The pictures that a logger is given: the first of the training set, and the confusion matrix."""

from __future__ import annotations

import torch
from torch import Tensor

GRID = 8  # pictures in a row of a grid


def grid(pictures: Tensor) -> Tensor:
    """Return pictures, uint8 (N, C, H, W), side by side as one RGB picture, uint8 (3, H, W)."""
    from torchvision.utils import make_grid

    shown = pictures[:, :3] if pictures.shape[1] >= 3 else pictures[:, :1]
    return make_grid(shown.cpu(), nrow=GRID, padding=2, pad_value=128)


def heat(confusion: Tensor, cell: int = 24) -> Tensor:
    """Return a confusion matrix as a picture, uint8 (H, W, 3): darker is more of the row's true class."""
    shares = confusion / confusion.sum(1, keepdim=True).clamp(min=1)
    size = max(1, min(cell, 960 // len(confusion)))
    dark = (255 * (1 - shares)).to(torch.uint8)
    return (
        dark.repeat_interleave(size, 0).repeat_interleave(size, 1)[..., None].expand(-1, -1, 3).contiguous()
    )
