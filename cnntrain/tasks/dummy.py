"""Labels that no data have: models, losses and batch sizes are tried on them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from cnntrain.annotations.regions import BOX_CLASS


def dummy_labels(kind: str, count: int, size: tuple[int, int], num_classes: int) -> Tensor:
    """Return labels of images as the data have them. All classes occur in turn.

    Args:
        kind: ``classes``, ``masks`` or ``boxes``, as in ``data.targets``.
        count: number of images.
        size: height and width of each, in pixels.
        num_classes: number of classes.

    Returns:
        Classes, int64 (count,); masks, uint8 (count, H, W); or one box in the middle of each image, float32
        (count, 1, 6).
    """
    if kind == "masks":
        shape = (count, *size)
        return (torch.arange(math.prod(shape)) % num_classes).to(torch.uint8).view(shape)
    classes = torch.arange(count) % num_classes
    if kind == "classes":
        return classes
    height, width = size
    boxes = torch.tensor([width / 4, height / 4, 3 * width / 4, 3 * height / 4, 0, 0]).repeat(count, 1, 1)
    boxes[:, 0, BOX_CLASS] = classes
    return boxes
