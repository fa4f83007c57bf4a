"""The images that a logger is given: the first of the training set, and the confusion matrix."""

from __future__ import annotations

import torch
from torch import Tensor

GRID = 8  # images in a row of a grid


def grid(images: Tensor) -> Tensor:
    """Return images, uint8 (N, C, H, W), side by side as one RGB image, uint8 (3, H, W)."""
    from torchvision.utils import make_grid

    shown = images[:, :3] if images.shape[1] >= 3 else images[:, :1]
    grid: Tensor = make_grid(shown.cpu(), nrow=GRID, padding=2, pad_value=128)
    return grid


def heat(confusion: Tensor, cell: int = 24) -> Tensor:
    """Return a confusion matrix as an image, uint8 (H, W, 3): darker is more of the row's true class."""
    shares = confusion / confusion.sum(1, keepdim=True).clamp(min=1)
    size = max(1, min(cell, 960 // len(confusion)))
    dark = (255 * (1 - shares)).to(torch.uint8)
    return (
        dark.repeat_interleave(size, 0).repeat_interleave(size, 1)[..., None].expand(-1, -1, 3).contiguous()
    )
