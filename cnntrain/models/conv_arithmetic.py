"""The arithmetic of convolutions and of pooling: sizes and receptive fields, without torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Return the number of positions, along one side, at which a kernel fits on ``size`` pixels.

    The formula of ``torch.nn.Conv2d`` and ``torch.nn.MaxPool2d``.
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def of_each(value: int | Sequence[int], blocks: int, name: str) -> list[int]:
    """Return the value of each block: one number holds for all of them.

    Raises:
        ValueError: a list has fewer or more values than there are blocks.
    """
    values = [value] * blocks if isinstance(value, int) else list(value)
    if len(values) != blocks:
        raise ValueError(
            f"{name} has {len(values)} values for {blocks} blocks: give one for each, or a number"
        )
    return values


def cnn_sizes(
    image_size: int,
    blocks: int,
    kernel_size: int | Sequence[int],
    pool_size: int | Sequence[int],
    padding: str = "same",
) -> list[int]:
    """Return the side of the image, in pixels, before the first and after each (Conv, ReLU, Pool) block.

    Raises:
        ValueError: a block would shrink the image to nothing.
    """
    sizes = [image_size]
    kernels, pools = of_each(kernel_size, blocks, "kernel_size"), of_each(pool_size, blocks, "pool_size")
    for block, (kernel, pool) in enumerate(zip(kernels, pools, strict=True), 1):
        convolved = output_size(sizes[-1], kernel, padding=kernel // 2 if padding == "same" else 0)
        pooled = output_size(convolved, pool, stride=pool)
        if convolved < 1 or pooled < 1:
            raise ValueError(
                f"{blocks} blocks pool an image of {image_size} pixels away: block {block} gets "
                f"{sizes[-1]} pixel{'s' if sizes[-1] != 1 else ''} and pools {pool} into one; "
                f"use at most {block - 1} block{'s' if block != 2 else ''} here, a smaller pool_size, "
                "or larger images"
            )
        sizes.append(pooled)
    return sizes


@dataclass(frozen=True)
class Field:
    """What one position sees of the image, in pixels along one side.

    A window of side k over positions j pixels apart adds (k - 1) · j to what is seen, and its stride
    multiplies j (Araujo, Norris and Sim 2019, Computing Receptive Fields of CNNs). Behind a layer that
    enlarges, neighbours may be parts of one position before it, or not: what windows add there is rounded up
    to whole positions, so that the field is that of the output that sees most.

    Args:
        seen: before anything was enlarged.
        distance: between neighbours.
        added: for each layer that enlarged, the distance before it, and what windows added after it.
    """

    seen: float
    distance: float
    added: tuple[tuple[float, float], ...] = ()

    @property
    def size(self) -> float:
        """The receptive field: its side in pixels; infinite if it is unknown."""
        if self.seen == math.inf:
            return math.inf
        more = 0.0
        for distance, here in reversed(self.added):
            more = math.ceil((here + more) / distance) * distance
        return self.seen + more

    def widened(self, window: int, stride: float = 1) -> Field:
        """Return the field after a window of some positions, which is moved by ``stride`` positions."""
        more = (window - 1) * self.distance
        if not self.added:
            return Field(self.seen + more, self.distance * stride)
        (*before, (distance, here)) = self.added
        return Field(self.seen, self.distance * stride, (*before, (distance, here + more)))

    def enlarged(self, factor: float, inputs: int) -> Field:
        """Return the field after a layer that makes ``factor`` positions of one, each of some inputs."""
        at = self.widened(inputs)
        return replace(at, distance=at.distance / factor, added=(*at.added, (at.distance, 0.0)))
