"""RandAugment and TrivialAugment: a change of a random kind for each image of a batch of bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

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
from cnntrain.data.augment.geometry import rotation, uniform, warp


class Ways(NamedTuple):
    """The change of each image of a batch.

    Args:
        number: the number of the change, one of 14, int64 (N,); 0 leaves the image as it is.
        level: the strength of the change, float32 (N,), 0 to 1.
        signed: the same, up or down, float32 (N,).
        widest: what level 1 means, see :func:`change`.
    """

    number: Tensor
    level: Tensor
    signed: Tensor
    widest: tuple[float, ...]


def rand_augment(x: Tensor, level: float, generator: Generator) -> Tensor:
    """Make two changes of each image, of random kinds and of one strength (Cubuk et al. 2020, RandAugment).

    Args:
        x: uint8 (N, C, H, W).
        level: strength, up to 30; 9 is usual.
        generator: the generator of the draws, on x's device.
    """
    for ways in rand_ways(x, level, generator):
        x = changed(x, ways)
    return x


def rand_ways(x: Tensor, level: float, generator: Generator) -> list[Ways]:
    """Draw the two changes of RandAugment for each image."""
    levels = torch.full((len(x),), level / 30, device=x.device)
    widest = (0.3, 150 / 331, 30.0, 0.9, 4.0)
    return [random_ways(x, levels, generator, widest) for _ in range(2)]


def trivial_augment(x: Tensor, probability: float, generator: Generator) -> Tensor:
    """Make one change of each image, of random kind and strength (Müller and Hutter 2021, TrivialAugment).

    Args:
        x: uint8 (N, C, H, W).
        probability: the probability that an image is changed at all; 1 in the paper.
        generator: the generator of the draws, on x's device.
    """
    return changed(x, trivial_ways(x, probability, generator))


def trivial_ways(x: Tensor, probability: float, generator: Generator) -> Ways:
    """Draw the change of TrivialAugment for each image."""
    levels = uniform(len(x), 0, 1, x, generator)
    # The paper moves by up to 32 pixels, which would be out of sight for a digit.
    share = min(32 / x.shape[3], 150 / 331)
    ways = random_ways(x, levels, generator, widest=(0.99, share, 135.0, 0.99, 6.0))
    chosen = uniform(len(x), 0, 1, x, generator) < probability
    return ways._replace(number=torch.where(chosen, ways.number, 0))


def change(x: Tensor, levels: Tensor, generator: Generator, widest: tuple[float, ...]) -> Tensor:
    """Change each image in one of 14 ways, which are equally likely.

    Args:
        x: uint8 (N, C, H, W).
        levels: the strength of the change, float32 (N,), 0 to 1.
        generator: the generator of the draws, on x's device.
        widest: at level 1, the slope of a shear, the share of a side that a shift moves by, the degrees of a
            turn, how far the factor of an enhancement is from 1, and the bits that are lost.
    """
    return changed(x, random_ways(x, levels, generator, widest))


def random_ways(x: Tensor, levels: Tensor, generator: Generator, widest: tuple[float, ...]) -> Ways:
    """Draw one of the 14 ways, and up or down, for each image. The arguments are those of :func:`change`."""
    signed = levels * torch.where(uniform(len(x), -1, 1, x, generator) < 0, -1.0, 1.0)
    number = torch.randint(0, 14, (len(x),), device=x.device, generator=generator)
    return Ways(number, levels, signed, widest)


def changed(x: Tensor, ways: Ways) -> Tensor:
    """Change each image in its way."""
    _, _, _, factor, bits = ways.widest
    colours: tuple[Callable[[Tensor, Tensor, Tensor], Tensor], ...] = (
        lambda x, level, signed: brightness(x, 1 + signed * factor),
        lambda x, level, signed: saturation(x, 1 + signed * factor),
        lambda x, level, signed: contrast(x, 1 + signed * factor),
        lambda x, level, signed: sharpness(x, 1 + signed * factor),
        lambda x, level, signed: posterize(x, 8 - (level * bits).round()),
        lambda x, level, signed: solarize(x, 255 * (1 - level)),
        lambda x, level, signed: autocontrast(x),
        lambda x, level, signed: equalize(x),
    )
    result = x.clone()
    matrices = matrices_of(ways, x.shape[2], x.shape[3])
    is_moved = moves(ways)
    if is_moved.any():
        result[is_moved] = warp(x[is_moved], matrices[is_moved])
    for number, function in enumerate(colours, start=6):
        chosen = (ways.number == number).nonzero()[:, 0]
        if len(chosen):
            result[chosen] = function(x[chosen], ways.level[chosen], ways.signed[chosen])
    return result


def moves(ways: Ways) -> Tensor:
    """Return which images are moved, rather than coloured or left as they are: bool (N,)."""
    return (ways.number >= 1) & (ways.number <= 5)


def matrices_of(ways: Ways, height: int, width: int) -> Tensor:
    """Return how images of that size are moved, for ``warp``: float32 (N, 2, 3); the others stay in place."""
    shear, move, degrees, _, _ = ways.widest
    aspect = height / width
    signed = ways.signed
    kinds = (
        skew(signed, across=signed * shear * aspect),
        skew(signed, down=signed * shear / aspect),
        skew(signed, right=2 * move * signed),  # in halves of a side
        skew(signed, lower=2 * move * signed),
        rotation(signed * degrees, width / height),
    )
    result = skew(signed)
    for number, matrices in enumerate(kinds, start=1):
        result = torch.where((ways.number == number).view(-1, 1, 1), matrices, result)
    return result


def skew(
    like: Tensor,
    across: Tensor | float = 0.0,
    down: Tensor | float = 0.0,
    right: Tensor | float = 0.0,
    lower: Tensor | float = 0.0,
) -> Tensor:
    """Return matrices for ``warp``, float32 (N, 2, 3), that shear and move images about their centres.

    Args:
        like: float32 (N,), on the device where they are wanted.
        across: slope of a shear to the right, float32 (N,), in halves of a side; ``down`` likewise.
        right: the distance that images move, float32 (N,), in halves of a side; ``lower`` likewise.
    """
    values = [1.0, across, right, down, 1.0, lower]
    columns = [
        torch.as_tensor(value, device=like.device, dtype=like.dtype).expand(len(like)) for value in values
    ]
    return torch.stack(columns, dim=1).view(-1, 2, 3)
