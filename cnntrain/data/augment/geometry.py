"""Random changes of where things are in an image: batches of bytes, with a draw for every image."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def uniform(count: int, low: float, high: float, x: Tensor, generator: Generator) -> Tensor:
    """Return ``count`` draws between low and high, float32 (count,), on the device of ``x``."""
    return torch.empty(count, device=x.device).uniform_(low, high, generator=generator)


def to_bytes(x: Tensor) -> Tensor:
    """Round pixels to bytes: uint8."""
    return x.round().clamp(0, 255).to(torch.uint8)


def warp(x: Tensor, matrix: Tensor) -> Tensor:
    """Move the pixels of each image, bilinearly; what comes in is black.

    Args:
        x: uint8 (N, C, H, W).
        matrix: float32 (N, 2, 3), from a place in the new image to that in the old one, right and down, in
            halves of its width and of its height from its centre.
    """
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    return to_bytes(
        F.grid_sample(x.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    )


def random_flip(x: Tensor, probability: float, generator: Generator) -> Tensor:
    """Mirror each image left to right with the given probability."""
    return flip(x, uniform(len(x), 0, 1, x, generator) < probability)


def flip(x: Tensor, chosen: Tensor) -> Tensor:
    """Mirror the chosen images, bool (N,), left to right."""
    # A CPU mirrors large images faster one by one.
    if x.device.type == "cpu" and x.shape[1:].numel() >= 2**16:
        result = x.clone()
        for index in chosen.nonzero()[:, 0].tolist():
            result[index] = x[index].flip(-1)
        return result
    # torch.where(chosen, x.flip(-1), x) as operations on bits: a CPU does many at a time.
    flipped = x.flip(-1)
    return (
        flipped.bitwise_xor_(x).bitwise_and_(255 * chosen.to(torch.uint8).view(-1, 1, 1, 1)).bitwise_xor_(x)
    )


def random_shift(x: Tensor, most: float, generator: Generator) -> Tensor:
    """Move each image by up to ``most`` pixels in each direction: a random crop of the padded image."""
    return shift(x, random_corners(x, most, generator), int(most))


def random_corners(x: Tensor, most: float, generator: Generator) -> Tensor:
    """Return where each crop of a padded image begins, int64 (2, N): down and right, 0 to twice ``most``."""
    return torch.randint(0, 2 * int(most) + 1, (2, len(x)), device=x.device, generator=generator)


def shift(x: Tensor, corners: Tensor, most: int, fill: int = 0) -> Tensor:
    """Pad images by ``most`` pixels of ``fill`` on each side, and crop them, from the corners on."""
    n, _, height, width = x.shape
    # Every crop, as a view: (N, C, 2 * most + 1, 2 * most + 1, H, W).
    crops = F.pad(x, (most, most, most, most), value=fill).unfold(2, height, 1).unfold(3, width, 1)
    down, right = corners
    return crops[torch.arange(n, device=x.device), :, down, right]


def random_rotate(x: Tensor, degrees: float, generator: Generator) -> Tensor:
    """Turn each image about its centre by up to ``degrees`` in each direction, bilinearly."""
    return turn(x, uniform(len(x), -degrees, degrees, x, generator))


def turn(x: Tensor, degrees: Tensor) -> Tensor:
    """Turn each image about its centre, by float32 (N,)."""
    return warp(x, rotation(degrees, x.shape[3] / x.shape[2]))


def rotation(degrees: Tensor, aspect: float) -> Tensor:
    """Return the matrices for :func:`warp` that turn images of that width by height: float32 (N, 2, 3)."""
    angle = degrees * (math.pi / 180)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # warp works in halves of a side, so an image that is not square needs its aspect ratio.
    return torch.stack([cos, -sin / aspect, zero, sin * aspect, cos, zero], dim=1).view(-1, 2, 3)


def random_erase(x: Tensor, probability: float, generator: Generator) -> Tensor:
    """Blacken a random rectangle of each image with the given probability."""
    return x.masked_fill(random_rectangles(x, probability, generator)[:, None], 0)


def random_rectangles(x: Tensor, probability: float, generator: Generator) -> Tensor:
    """Return a rectangle of 2 to 33 % of each image, with the given probability: bool (N, H, W)."""
    n, _, height, width = x.shape
    area = uniform(n, 0.02, 0.33, x, generator)
    # Up to 0.3 : 1, tall or wide, but never longer than the image, so that none of its area lies outside.
    log_aspect = uniform(n, -1, 1, x, generator) * (-area.log()).clamp(max=-math.log(0.3))
    tall = (area * log_aspect.exp()).sqrt() * height
    wide = (area / log_aspect.exp()).sqrt() * width
    top = uniform(n, 0, 1, x, generator) * (height - tall)
    left = uniform(n, 0, 1, x, generator) * (width - wide)
    chosen = uniform(n, 0, 1, x, generator) < probability
    inside_rows = between(top, tall, height)
    inside_columns = between(left, wide, width)
    return inside_rows[:, :, None] & inside_columns[:, None, :] & chosen.view(-1, 1, 1)


def between(begin: Tensor, length: Tensor, size: int) -> Tensor:
    """Return which of ``size`` pixels have their centre in each interval, bool (N, size)."""
    centres = torch.arange(size, device=begin.device) + 0.5
    return (centres >= begin[:, None]) & (centres < (begin + length)[:, None])
