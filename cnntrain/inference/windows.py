"""An image of any size through a network of one: by windows that overlap, blended so that no seam shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

OVERLAP = 0.25  # of a window, at least, that its neighbour sees too
TOGETHER = 2**18  # pixels of the windows that the network sees at a time, unless one has more
BAND = 2**22  # values that are scaled at a time

Network = Callable[[Tensor], Tensor]


class Block(NamedTuple):
    """Outputs for a part of an image that are complete.

    Args:
        top, left: where the part begins.
        outputs: float32 (K, rows, columns).
    """

    top: int
    left: int
    outputs: Tensor


def starts(length: int, window: int) -> list[int]:
    """Return where windows begin along a side, spread evenly, so that they overlap by OVERLAP at least."""
    if length <= window:
        return [0]
    step = max(1, window - math.ceil(OVERLAP * window))
    number = math.ceil((length - window) / step) + 1
    return [round(index * (length - window) / (number - 1)) for index in range(number)]


def shares(length: int, window: int) -> Tensor:
    """Return how much each window counts at each of its pixels along a side, float32 (windows, window).

    The weight of a window falls off linearly towards its border, where a network sees the least of the
    surroundings, and the weights at a pixel add up to 1 (Isensee et al. 2021, nnU-Net, weighs by a Gaussian
    for the same reason; the overlapping tiles are those of Ronneberger et al. 2015, U-Net, figure 2). At the
    border of the image a window counts in full.
    """
    begins = starts(length, window)
    places = torch.arange(window, dtype=torch.float32)
    ramp = torch.minimum(places + 0.5, window - 0.5 - places).clamp(max=OVERLAP * window)
    total = torch.zeros(max(length, window))
    for begin in begins:
        total[begin : begin + window] += ramp
    return torch.stack([ramp / total[begin : begin + window] for begin in begins])


def blended(image: Tensor, size: tuple[int, int], network: Network) -> Iterator[Block]:
    """Yield what a network gives for all of an image, block by block.

    No more is kept than one window and, below each row of windows, what the next row overlaps: the memory
    does not grow with the height of the image.

    Args:
        image: uint8 (C, H, W). One that is smaller than a window gets its edges repeated, and the outputs for
            those are cut off again.
        size: height and width of a window.
        network: maps uint8 (N, C, *size) to outputs, float32 (N, K, *size), on the CPU.
    """
    height, width = image.shape[1:]
    image = enlarged(image, size)
    rows, columns = starts(image.shape[1], size[0]), starts(image.shape[2], size[1])
    down, across = shares(image.shape[1], size[0]), shares(image.shape[2], size[1])
    carried: Tensor | None = None  # (K, rows that overlap the next row of windows, W)
    for index, top in enumerate(rows):
        done = (rows[index + 1] if index + 1 < len(rows) else image.shape[1]) - top
        parts = []
        windows = (image[:, top : top + size[0], left : left + size[1]] for left in columns)
        weighted = (down[index][:, None] * share for share in across)
        for left, block in joined(through(windows, size, network), weighted, columns):
            if carried is not None:
                block[:, : carried.shape[1]] += carried[:, :, left : left + block.shape[2]]
            parts.append(block[:, done:].clone())
            if top < height and left < width:
                yield Block(top, left, block[:, : min(done, height - top), : width - left])
        carried = torch.cat(parts, dim=2)


def enlarged(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return an image, uint8 (C, H, W), with its last row and column repeated until a window fits in."""
    for dim, (length, least) in enumerate(zip(image.shape[1:], size, strict=True), 1):
        if length < least:
            image = image.index_select(dim, torch.arange(least).clamp(max=length - 1))
    return image


def through(windows: Iterator[Tensor], size: tuple[int, int], network: Network) -> Iterator[Tensor]:
    """Yield a network's outputs for windows, (K, H, W); it sees a bounded number at a time."""
    number = max(1, TOGETHER // (size[0] * size[1]))
    while batch := list(islice(windows, number)):
        yield from network(torch.stack(batch))


def joined(
    outputs: Iterator[Tensor], weights: Iterator[Tensor], columns: list[int]
) -> Iterator[tuple[int, Tensor]]:
    """Yield the weighted sum of a row of windows, each column once: left, and (K, H, columns)."""
    pending: Tensor | None = None  # what the windows so far say of columns that the next one overlaps
    for index, (output, weight) in enumerate(zip(outputs, weights, strict=True)):
        block = output * weight
        if pending is not None:
            block[:, :, : pending.shape[2]] += pending
        left = columns[index]
        done = (columns[index + 1] if index + 1 < len(columns) else left + block.shape[2]) - left
        yield left, block[:, :, :done]
        pending = block[:, :, done:]


def upsampled_labels(outputs: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale outputs to a size, bilinearly, and return the largest one's number at each pixel: uint8 (H, W).

    It is done by bands of rows: the scaled outputs are never in memory as a whole.

    Args:
        outputs: float32 (K, h, w), such as probabilities.
        size: height and width of the result.
    """
    if tuple(outputs.shape[1:]) == size:
        return outputs.argmax(0).to(torch.uint8)
    (classes, tall, _), (height, width) = outputs.shape, size
    # As torch scales without align_corners: the centres of pixels, (i + 0.5) · tall / height - 0.5.
    source = ((torch.arange(height) + 0.5) * (tall / height) - 0.5).clamp(0, tall - 1)
    above = source.floor().long()
    below, share = (above + 1).clamp(max=tall - 1), (source - above).view(1, -1, 1)
    result = torch.empty(size, dtype=torch.uint8)
    band = max(1, BAND // (classes * width))
    for first in range(0, height, band):
        part = slice(first, first + band)
        rows = outputs[:, above[part]] * (1 - share[:, part]) + outputs[:, below[part]] * share[:, part]
        wide = F.interpolate(rows[None], size=(rows.shape[1], width), mode="bilinear")[0]
        result[part] = wide.argmax(0).to(torch.uint8)
    return result
