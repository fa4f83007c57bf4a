"""Images that are moved a little, for test-time augmentation."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

SHARE = 28  # an image is moved by its side over this: a digit of MNIST by one pixel


def offsets(x: Tensor) -> list[tuple[int, int]]:
    """Return the pixels by which images (N, C, H, W) are moved left, right, up and down: (up, left)."""
    pixels = max(1, round(x.shape[-1] / SHARE))
    return [(0, pixels), (0, -pixels), (pixels, 0), (-pixels, 0)]


def moved(x: Tensor, up: int, left: int) -> Tensor:
    """Return images moved by some pixels; their edges are repeated."""
    height, width = x.shape[2:]
    most = max(abs(up), abs(left))
    wider = F.pad(x, (most, most, most, most), mode="replicate")
    return wider[:, :, most + up : most + up + height, most + left : most + left + width]
