"""How many images a report can translate in the time that it has."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from cnntrain.compute.precision import Precision
from cnntrain.tasks.classification.robustness import PASSES

SHIFT_SECONDS = 2.0  # that they may take, which bounds the images
MOST_SHIFTED, FEWEST_SHIFTED = 1000, 100  # images
VALUES = 2**18  # of a batch, whose feature maps should fit into the caches


@torch.no_grad()
def images_in_time(
    model: nn.Module,
    images: Tensor,
    normalize: Callable[[Tensor], Tensor],
    precision: Precision,
    seconds: float,
) -> int:
    """Return how many images can be shifted in some seconds, by trying a few; 0 if too few to tell.

    Args:
        model: maps float (N, C, H, W) to logits (N, classes).
        images: uint8 (N, C, H, W), those that there are.
        normalize: turns bytes into what the model wants.
        precision: the number format of the forward pass.
        seconds: the time that it may take.
    """
    few = images[: max(4, min(64, VALUES // 2 // images[0].numel()))]
    begin = 0.0
    for _ in range(2):  # the first time, memory is found and kernels are chosen
        begin = time.monotonic()
        with precision.autocast():
            model.eval()(normalize(few)).sum().item()  # which waits for a GPU
    affordable = int(seconds / PASSES * len(few) / max(time.monotonic() - begin, 1e-9))
    return min(len(images), affordable) if affordable >= min(FEWEST_SHIFTED, len(images)) else 0
