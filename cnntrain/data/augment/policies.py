"""RandAugment and TrivialAugment: a change of a random kind for each image of a batch of bytes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from cnntrain.data.augment.color import (
    autocontrast,
    brightness,
    contrast,
    equalize,
    posterize,
    saturation,
    sharpness,
    solarize,
)
from cnntrain.data.augment.geometry import turn, uniform, warp


def rand_augment(x: Tensor, level: float, generator: Generator) -> Tensor:
    """Make two changes of each image, of random kinds and of one strength (Cubuk et al. 2020, RandAugment).

    Args:
        x: uint8 (N, C, H, W).
        level: strength, up to 30; 9 is usual.
        generator: of the draws, on x's device.
    """
    levels = torch.full((len(x),), level / 30, device=x.device)
    for _ in range(2):
        x = change(x, levels, generator, widest=(0.3, 150 / 331, 30.0, 0.9, 4.0))
    return x


def trivial_augment(x: Tensor, probability: float, generator: Generator) -> Tensor:
    """Make one change of each image, of random kind and strength (Müller and Hutter 2021, TrivialAugment).

    Args:
        x: uint8 (N, C, H, W).
        probability: with which an image is changed at all; 1 in the paper.
        generator: of the draws, on x's device.
    """
    levels = uniform(len(x), 0, 1, x, generator)
    # The paper moves by up to 32 pixels, which would be out of sight for a digit.
    share = min(32 / x.shape[3], 150 / 331)
    changed = change(x, levels, generator, widest=(0.99, share, 135.0, 0.99, 6.0))
    chosen = uniform(len(x), 0, 1, x, generator) < probability
    return torch.where(chosen.view(-1, 1, 1, 1), changed, x)


def change(
    x: Tensor, levels: Tensor, generator: Generator, widest: tuple[float, float, float, float, float]
) -> Tensor:
    """Change each image in one of 14 ways, which are equally likely.

    Args:
        x: uint8 (N, C, H, W).
        levels: how strongly, float32 (N,), 0 to 1.
        generator: of the draws, on x's device.
        widest: at level 1, the slope of a shear, the share of a side that a shift moves by, the degrees of a
            turn, how far the factor of an enhancement is from 1, and the bits that are lost.
    """
    shear, move, degrees, factor, bits = widest
    signed = levels * torch.where(uniform(len(x), -1, 1, x, generator) < 0, -1.0, 1.0)
    aspect = x.shape[2] / x.shape[3]
    ways: tuple[Callable[[Tensor, Tensor, Tensor], Tensor], ...] = (
        lambda x, level, signed: x,
        lambda x, level, signed: skewed(x, across=signed * shear * aspect),
        lambda x, level, signed: skewed(x, down=signed * shear / aspect),
        lambda x, level, signed: skewed(x, right=2 * move * signed),  # in halves of a side
        lambda x, level, signed: skewed(x, lower=2 * move * signed),
        lambda x, level, signed: turn(x, signed * degrees),
        lambda x, level, signed: brightness(x, 1 + signed * factor),
        lambda x, level, signed: saturation(x, 1 + signed * factor),
        lambda x, level, signed: contrast(x, 1 + signed * factor),
        lambda x, level, signed: sharpness(x, 1 + signed * factor),
        lambda x, level, signed: posterize(x, 8 - (level * bits).round()),
        lambda x, level, signed: solarize(x, 255 * (1 - level)),
        lambda x, level, signed: autocontrast(x),
        lambda x, level, signed: equalize(x),
    )
    way = torch.randint(0, len(ways), (len(x),), device=x.device, generator=generator)
    changed = x.clone()
    for number, function in enumerate(ways):
        chosen = (way == number).nonzero()[:, 0]
        if len(chosen):
            changed[chosen] = function(x[chosen], levels[chosen], signed[chosen])
    return changed


def skewed(
    x: Tensor,
    across: Tensor | float = 0.0,
    down: Tensor | float = 0.0,
    right: Tensor | float = 0.0,
    lower: Tensor | float = 0.0,
) -> Tensor:
    """Shear and move each image about its centre, by float32 (N,) in halves of its sides."""
    n = len(x)
    rows = [1.0, across, right, down, 1.0, lower]
    columns = [torch.as_tensor(value, device=x.device, dtype=torch.float32).expand(n) for value in rows]
    return warp(x, torch.stack(columns, dim=1).view(-1, 2, 3))
