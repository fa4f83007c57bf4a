"""Test images for the page: those that one can choose, and how digits lie in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cnntrain.config.sections import DemoSettings
from cnntrain.data.batches import raise_if_error
from cnntrain.data.reader import Reader
from cnntrain.errors import CnntrainError
from cnntrain.runtime.console import Console, count
from cnntrain.tasks.collector import evenly

COMPARED = 100  # images on which the page's network is compared with torch, at most
VALUES = 2**20  # of those images together, at most
SHOWN, SHOWN_BYTES = 30, 1_500_000  # images on the page, at most
MARGIN = 20 / 28  # the part of an image's side that MNIST's digits fill
SLACK = 1 / 28  # of the side: how far off their centre of mass may lie, or how much wider they may be
INK, BRIGHT_BORDER, MOST = 50, 5, 0.9


def test_images(
    settings: DemoSettings, shape: tuple[int, int, int], console: Console, trust: Sequence[str] | None
) -> tuple[Tensor, Tensor | None, str]:
    """Return images of the test set, evenly spread over it, or noise if it can't be read.

    Args:
        settings: the data set, and whether the user has named it: then it is not replaced by noise.
        shape: the shape of an image: channels, height and width.
        console: the console for a warning.
        trust: packages that the configuration may name; None for what the user typed.

    Returns:
        uint8 (N, C, H, W); their targets, None for noise; and what they are, in words.
    """
    most = max(1, min(COMPARED, VALUES // int(np.prod(shape))))
    try:
        test = Reader(settings.trained.data, console, trust).read(is_train=False)
        images, targets = raise_if_error(test.__getitems__(evenly(most, len(test)).numpy()))
    except CnntrainError as error:
        if settings.names_data:
            raise
        console.warn(f"the page shows no test images, since they can't be read: {error}")
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (most, *shape), generator=generator, dtype=torch.uint8)
        return images, None, f"{count(len(images), 'image')} of noise"
    return images.contiguous(), targets, count(len(images), "test image")


def shown(images: Tensor, labels: Tensor) -> list[int]:
    """Return the places of the images on the page: the same number of each class, as far as there are any.

    Args:
        images: uint8 (N, C, H, W).
        labels: the labels of classes, int64 (N,); of other targets the first images are taken.
    """
    most = min(SHOWN, max(1, SHOWN_BYTES // images[0].numel()))
    if labels.dim() != 1:
        return list(range(min(most, len(images))))
    seen: dict[int, int] = {}
    rounds = []
    for place, label in enumerate(labels.tolist()):
        seen[label] = seen.get(label, 0) + 1
        rounds.append((seen[label], label, place))
    return [place for _, _, place in sorted(sorted(rounds)[:most], key=lambda row: (row[1], row[0]))]


def lies_as_in_mnist(images: Tensor) -> bool:
    """Return whether images are light on black, and lie as MNIST's digits do.

    Those fill a box of 20 x 20 pixels, and their centre of mass is in the middle of 28 x 28 (LeCun et al.,
    The MNIST database of handwritten digits). A drawing is then prepared likewise.

    Args:
        images: uint8 (N, C, H, W).
    """
    _, channels, height, width = images.shape
    if channels != 1 or height != width or height < 8:
        return False
    ink = images[:, 0].float()
    border = torch.cat([ink[:, [0, -1]].flatten(1), ink[:, :, [0, -1]].flatten(1)], dim=1).mean(1)
    total = ink.sum((1, 2)).clamp(min=1)
    fits = border <= BRIGHT_BORDER
    for side in (1, 2):  # columns are summed, then rows
        line, there = ink.sum(side), (ink > INK).any(side)
        middle = (line * (torch.arange(height) + 0.5)).sum(1) / total
        extent = height - there.float().argmax(1) - there.flip(1).float().argmax(1)
        fits &= (middle - height / 2).abs() <= SLACK * height
        fits &= extent <= (MARGIN + SLACK) * height
    return bool(fits.float().mean() >= MOST)
