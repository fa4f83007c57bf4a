"""Whether an exported model gives what torch does, in batches of several sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cnntrain.data.resize import to_size
from cnntrain.inference.portable.from_bytes import FromBytes
from cnntrain.inference.portable.writers import Run

IMAGES = 1000  # of the test set, on which an exported model is compared with torch, at most
VALUES = 2**28  # of their outputs, at most: 97 images of 11 classes and 500 by 500 pixels
TOGETHER = 2**25  # values of the outputs that are compared at a time, unless one image has more
BATCHES = (1, 7, 256)  # sizes that the comparison goes through, since the batch is to be of any size
LARGEST_DIFFERENCE = 1e-4  # in a probability; of larger outputs, as a share of the largest one
OTHER_SIZES = ((5, -3), (-7, 9), (21, 13))  # pixels that images are higher and wider, or less


@dataclass
class Comparison:
    """What an exported model and torch differ in.

    Args:
        difference: the largest one of an output.
        largest: the largest output of torch, or 1 if that is less.
        same: whether all outputs mean the same.
    """

    difference: float = 0.0
    largest: float = 1.0
    same: bool = True

    @property
    def holds(self) -> bool:
        """Whether the exported model gives what torch does, up to the precision of fp32."""
        return self.same and self.difference < LARGEST_DIFFERENCE * self.largest


@torch.no_grad()
def compared(run: Run, model: FromBytes, images: Sequence[Tensor]) -> Comparison:
    """Compare an exported model with torch.

    Args:
        run: the exported model.
        model: the same in torch.
        images: uint8 (N, C, H, W), sets of several sizes.
    """
    result = Comparison()
    for one in images:
        for part in in_batches(one, at_most(TOGETHER, model, one.shape[2:])):
            found, output = run(part), model.network(part)
            expected = model.task.activate(output)
            apart = found - model.task.counterpart(found, expected, output)
            difference, largest = (float(one.abs().max()) for one in (apart, expected))
            # Unlike max(), np.maximum keeps a NaN.
            result.difference = float(np.maximum(result.difference, difference))
            result.largest = max(result.largest, largest)
            result.same = result.same and model.task.means_the_same(found, expected, output)
    return result


def at_most(values: int, model: FromBytes, size: Sequence[int]) -> int:
    """Return how many images of a height and width have outputs of that many values, at least 1.

    It is 1, too, if the model takes one at a time.
    """
    if model.exported.one_at_a_time:
        return 1
    of_one = math.prod(model.task.output_shape) * math.prod(size)
    return max(1, values * math.prod(model.task.input_shape[1:]) // of_one)


def in_batches(images: Tensor, most: int) -> Iterator[Tensor]:
    """Yield images in batches of several sizes."""
    begin = 0
    for size in BATCHES[:-1]:
        if begin + size < len(images) and size <= most:
            yield images[begin : begin + size]
            begin += size
    yield from images[begin:].split(min(most, BATCHES[-1]))


def in_other_sizes(images: Tensor) -> list[Tensor]:
    """Return images, uint8 (N, C, H, W), in sizes that are no multiples of 16, a part of them in each."""
    height, width = images.shape[2:]
    parts = images.chunk(len(OTHER_SIZES))
    sizes = [(odd(height + taller), odd(width + wider)) for taller, wider in OTHER_SIZES]
    return [to_size(part, size, "squash") for part, size in zip(parts, sizes, strict=False)]


def odd(side: int) -> int:
    """Return a side that is odd, and 1 at least."""
    return max(1, side | 1)
