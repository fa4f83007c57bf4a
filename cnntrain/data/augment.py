"""Augmentation of whole batches, on the device, with a draw of its own for every picture."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor


class Augment:
    """Random changes of pictures, and of their labels where two are mixed. Every one is off at 0.

    The draws come from the generator that is handed in, so that the same (seed, epoch, step) gives the
    same pictures wherever and whenever the batch is made.

    Args:
        shift: move by up to this many pixels in each direction; what comes in is black.
        flip: probability of mirroring left to right.
        rotate: turn by up to this many degrees in each direction.
        erase: probability of blackening a random rectangle, 2 to 33 % of the picture
            (Zhong et al. 2020, Random Erasing).
        mixup: blend each picture and its label with another's; the share is drawn from Beta(mixup, mixup)
            (Zhang et al. 2018, mixup).
        cutmix: put a rectangle of another picture over each, and as much of its label; the share is drawn
            from Beta(cutmix, cutmix) (Yun et al. 2019, CutMix). With both, each picture gets one of them.
    """

    def __init__(
        self,
        shift: int,
        flip: float,
        rotate: float,
        erase: float,
        mixup: float = 0.0,
        cutmix: float = 0.0,
    ) -> None:
        self.shift = shift
        self.flip = flip
        self.rotate = rotate
        self.erase = erase
        self.mixup = mixup
        self.cutmix = cutmix

    def __bool__(self) -> bool:
        """Say whether anything is switched on."""
        return any((self.shift, self.flip, self.rotate, self.erase, self.mixes))

    @property
    def mixes(self) -> bool:
        """Whether labels become shares of several classes."""
        return bool(self.mixup or self.cutmix)

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

    def mix(self, x: Tensor, y: Tensor, num_classes: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """Mix each picture of a batch with another one.

        Args:
            x: float (N, C, H, W), normalised.
            y: int64 (N,).
            num_classes: number of classes.
            generator: on the device of both.

        Returns:
            The mixtures, and the share of each class in them, float (N, num_classes).
        """
        n = len(x)
        other = torch.randperm(n, device=x.device, generator=generator)
        cut = uniform(n, 0, 1, x, generator) < (0.5 if self.mixup else 1.0) * bool(self.cutmix)
        own_share = torch.where(cut, beta(n, self.cutmix, x, generator), beta(n, self.mixup, x, generator))
        box = random_box(x, 1 - own_share, generator)
        own_share = torch.where(cut, 1 - box.float().mean(dim=(1, 2)), own_share)
        blend = own_share.view(-1, 1, 1, 1) * x + (1 - own_share).view(-1, 1, 1, 1) * x[other]
        mixed = torch.where(cut.view(-1, 1, 1, 1), torch.where(box[:, None], x[other], x), blend)
        labels = F.one_hot(y, num_classes).to(x.dtype)
        return mixed, own_share.view(-1, 1) * labels + (1 - own_share).view(-1, 1) * labels[other]


def uniform(count: int, low: float, high: float, x: Tensor, generator: Generator) -> Tensor:
    """Return ``count`` draws between low and high, float32 (count,), on the device of ``x``."""
    return torch.empty(count, device=x.device).uniform_(low, high, generator=generator)


def beta(count: int, concentration: float, x: Tensor, generator: Generator) -> Tensor:
    """Return ``count`` draws from Beta(concentration, concentration), float32 (count,); ones for 0."""
    if concentration == 0:
        return torch.ones(count, device=x.device)
    # numpy's, since torch's samplers of this distribution take no generator.
    draws = np.random.default_rng(generator.initial_seed()).beta(concentration, concentration, count)
    return torch.from_numpy(draws).to(x.device, torch.float32)


def random_box(x: Tensor, area: Tensor, generator: Generator) -> Tensor:
    """Return a rectangle in each picture, bool (N, H, W), of that share of its area, or less at the edges."""
    n, _, height, width = x.shape
    tall, wide = area.sqrt() * height, area.sqrt() * width
    top = uniform(n, 0, height, x, generator) - tall / 2
    left = uniform(n, 0, width, x, generator) - wide / 2
    return between(top, tall, height)[:, :, None] & between(left, wide, width)[:, None, :]


def random_flip(x: Tensor, probability: float, generator: Generator) -> Tensor:
    """Mirror each picture left to right with the given probability."""
    chosen = uniform(len(x), 0, 1, x, generator) < probability
    return torch.where(chosen.view(-1, 1, 1, 1), x.flip(-1), x)


def random_shift(x: Tensor, most: int, generator: Generator) -> Tensor:
    """Move each picture by up to ``most`` pixels in each direction: a random crop of the padded picture."""
    n, _, height, width = x.shape
    # Every crop, as a view: (N, C, 2 * most + 1, 2 * most + 1, H, W).
    crops = F.pad(x, (most, most, most, most)).unfold(2, height, 1).unfold(3, width, 1)
    down, right = torch.randint(0, 2 * most + 1, (2, n), device=x.device, generator=generator)
    return crops[torch.arange(n, device=x.device), :, down, right]


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
