"""Can a network memorise one small batch? One that can't has a fault; one that can is sound, if slow."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cnntrain.compute.outputs import predictions_of
from cnntrain.models.copying import copied
from cnntrain.tasks.doctor import MemorizationTest

IMAGES = 16  # that every sound network can memorise
STEPS = 100  # for each learning rate
RATES = (1e-3, 1e-2, 1e-1)  # of Adam; the larger ones for small networks, which learn slowly
SECONDS = 30.0  # that all of it may take
DONE = 0.5  # of what the images can explain of the loss, left at the end: memorised
USELESS = 0.9  # of the same: nothing was learnt but how frequent each class is


@dataclass(frozen=True)
class OverfitResult:
    """The result of training a network on one small batch.

    Args:
        images: the number of its images.
        before: loss at the beginning.
        after: lowest loss at the end of a try.
        left: share of the loss that the images can explain which is left: 1 for a network that ignores them.
        rate: learning rate of Adam that was needed.
        outputs: the outputs of the network before it is trained, float32 (N, ...).
    """

    images: int
    before: float
    after: float
    left: float
    rate: float
    outputs: Tensor


def overfit(
    model: nn.Module, x: Tensor, y: Tensor, test_of: Callable[[Tensor], MemorizationTest | None]
) -> OverfitResult | None:
    """Train copies of a model on a few images again and again, at rising learning rates until one does.

    Args:
        model: stays as it is.
        x: float (N, C, H, W).
        y: the targets, (N, ...).
        test_of: returns how to tell whether such targets are memorised; None: there is no way to tell.

    Returns:
        How far the best copy got; None where that says nothing: the targets are all but equal, or it takes
        too long on this machine.
    """
    x, y = x[:IMAGES], y[:IMAGES]
    test = test_of(y)
    if test is None:
        return None
    deadline = time.monotonic() + SECONDS
    with torch.no_grad():
        outputs = predictions_of(copied(model).eval()(x))
    best: OverfitResult | None = None
    for rate in RATES:
        losses = trained(copied(model), x, y, test.loss, rate, deadline)
        if losses is None:
            return best if best is not None and best.left <= DONE else None
        before, after = losses
        left = (after - test.least) / (test.ignorant - test.least)
        if best is None or left < best.left:
            best = OverfitResult(len(x), before, after, left, rate, outputs)
        if left <= DONE:
            break
    return best


def trained(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    criterion: Callable[[Tensor, Tensor], Tensor],
    rate: float,
    deadline: float,
) -> tuple[float, float] | None:
    """Return the loss before and after some steps of Adam; None if the time ran out."""
    model.eval()  # so that nothing is drawn
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    losses = []
    for _ in range(STEPS):
        if time.monotonic() > deadline:
            return None
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    # A rate that is too high for this network ends in NaN, which counts as nothing learnt.
    return losses[0], min((loss for loss in losses[-10:] if math.isfinite(loss)), default=math.inf)
