"""Augmentation of whole batches, on the device, with a draw of its own for every picture."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


class Augment:
    """Random changes that leave the class of a picture as it is. Every one is off at 0.

    The draws come from the generator that is handed in, so that the same (seed, epoch, step) gives the
    same pictures wherever and whenever the batch is made.

    Args:
        shift: move by up to this many pixels in each direction; what comes in is black.
        flip: probability of mirroring left to right.
        rotate: turn by up to this many degrees in each direction.
        erase: probability of blackening a random rectangle, 2 to 33 % of the picture
            (Zhong et al. 2020, Random Erasing).
    """

    def __init__(self, shift: int, flip: float, rotate: float, erase: float) -> None:
        self.shift = shift
        self.flip = flip
        self.rotate = rotate
        self.erase = erase

    def __bool__(self) -> bool:
        """Say whether anything is switched on."""
        return any((self.shift, self.flip, self.rotate, self.erase))

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Return changed copies of the pictures ``x``, uint8 (N, C, H, W); the generator is on x's device."""
        if self.flip:
            x = random_flip(x, self.flip, generator)
        if self.rotate:
            x = random_rotate(x, self.rotate, generator)
        if self.shift:
            x = random_shift(x, self.shift, generator)
        if self.erase:
            x = random_erase(x, self.erase, generator)
        return x


def uniform(count: int, low: float, high: float, x: Tensor, generator: Generator) -> Tensor:
    """Return ``count`` draws between low and high, float32 (count,), on the device of ``x``."""
    return torch.empty(count, device=x.device).uniform_(low, high, generator=generator)


def random_flip(x: Tensor, probability: float, generator: Generator) -> Tensor:
    """Mirror each picture left to right with the given probability."""
    chosen = uniform(len(x), 0, 1, x, generator) < probability
    return torch.where(chosen.view(-1, 1, 1, 1), x.flip(-1), x)


def random_shift(x: Tensor, most: int, generator: Generator) -> Tensor:
    """Move each picture by up to ``most`` pixels in each direction: a random crop of the padded picture."""
    n, _, height, width = x.shape
    padded = F.pad(x, (most, most, most, most))
    down, right = torch.randint(0, 2 * most + 1, (2, n, 1), device=x.device, generator=generator)
    rows = (down + torch.arange(height, device=x.device)).view(n, 1, height, 1)
    columns = (right + torch.arange(width, device=x.device)).view(n, 1, 1, width)
    picture = torch.arange(n, device=x.device).view(n, 1, 1, 1)
    channel = torch.arange(x.shape[1], device=x.device).view(1, -1, 1, 1)
    return padded[picture, channel, rows, columns]


def random_rotate(x: Tensor, degrees: float, generator: Generator) -> Tensor:
    """Turn each picture about its centre by up to ``degrees`` in each direction, bilinearly."""
    angle = uniform(len(x), -math.radians(degrees), math.radians(degrees), x, generator)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # affine_grid works in units of half a side, so a picture that is not square needs its aspect ratio.
    aspect = x.shape[3] / x.shape[2]
    matrix = torch.stack([cos, -sin / aspect, zero, sin * aspect, cos, zero], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    turned = F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return turned.round().clamp(0, 255).to(torch.uint8)


def random_erase(x: Tensor, probability: float, generator: Generator) -> Tensor:
    """Blacken a random rectangle of each picture with the given probability."""
    n, _, height, width = x.shape
    area = uniform(n, 0.02, 0.33, x, generator)
    # Up to 0.3 : 1, tall or wide, but never longer than the picture, so that none of its area lies outside.
    log_aspect = uniform(n, -1, 1, x, generator) * (-area.log()).clamp(max=-math.log(0.3))
    tall = (area * log_aspect.exp()).sqrt() * height
    wide = (area / log_aspect.exp()).sqrt() * width
    top = uniform(n, 0, 1, x, generator) * (height - tall)
    left = uniform(n, 0, 1, x, generator) * (width - wide)
    chosen = uniform(n, 0, 1, x, generator) < probability
    inside_rows = between(top, tall, height)
    inside_columns = between(left, wide, width)
    inside = inside_rows[:, :, None] & inside_columns[:, None, :] & chosen.view(-1, 1, 1)
    return x.masked_fill(inside[:, None], 0)


def between(begin: Tensor, length: Tensor, size: int) -> Tensor:
    """Say which of ``size`` pixels have their centre in each interval, bool (N, size)."""
    centres = torch.arange(size, device=begin.device) + 0.5
    return (centres >= begin[:, None]) & (centres < (begin + length)[:, None])
