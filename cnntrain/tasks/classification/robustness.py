"""Robustness to translation: the accuracy of a model on images that are moved by a few pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntrain.compute.precision import Precision

SHIFTS = (0, 1, 2, 3, 4)  # pixels
DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))  # down and right
PASSES = 1 + (len(SHIFTS) - 1) * len(DIRECTIONS)  # forward passes of each image


@torch.no_grad()
def accuracy_when_shifted(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    normalize: Callable[[Tensor], Tensor],
    precision: Precision,
    after_batch: Callable[[int], object] = lambda images: None,
) -> list[float]:
    """Return the accuracy, from 0 to 1, for each distance in ``SHIFTS``, the mean over four directions.

    Args:
        model: maps float (N, C, H, W) to logits (N, classes).
        batches: images, uint8 (N, C, H, W), and labels, int64 (N,), on the model's device. Each is read once.
        normalize: turns bytes into what the model takes.
        precision: the number format of the forward pass.
        after_batch: called with the number of images of each batch.
    """
    model.eval()
    correct, total = [0] * len(SHIFTS), 0
    for images, labels in batches:
        for place, distance in enumerate(SHIFTS):
            for down, right in DIRECTIONS if distance else DIRECTIONS[:1]:
                with precision.autocast():
                    output = model(normalize(shifted(images, down * distance, right * distance)))
                correct[place] += int((output.argmax(dim=1) == labels).sum())
        total += len(labels)
        after_batch(len(labels))
    return [
        right / (total * (len(DIRECTIONS) if distance else 1))
        for distance, right in zip(SHIFTS, correct, strict=True)
    ]


def shifted(images: Tensor, down: int, right: int) -> Tensor:
    """Return images, uint8 (N, C, H, W), moved by some pixels; what comes in is black."""
    return F.pad(images, (right, -right, down, -down))
