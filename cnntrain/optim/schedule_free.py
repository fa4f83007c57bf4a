"""Optimizers that average the weights themselves: they have ``train()`` and ``eval()`` modes.

Schedule-free optimizers (Defazio et al. 2024, The Road Less Scheduled) keep the model's parameters at the
point where the gradient is taken. Their ``eval()`` moves the parameters to the average, which is what to
evaluate and to keep; ``train()`` moves them back. The statistics of batch norm stay those of training.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer


def has_modes(optimizer: Optimizer) -> bool:
    """Return whether an optimizer has ``train()`` and ``eval()``."""
    return all(callable(getattr(optimizer, mode, None)) for mode in ("train", "eval"))


def begin(optimizer: Any) -> None:
    """Switch an optimizer that has modes to its training mode. It refuses to step in the other one."""
    if has_modes(optimizer):
        optimizer.train()


@contextmanager
def evaluated(model: nn.Module, optimizer: Any) -> Iterator[None]:
    """Give a model the weights to evaluate; afterwards it has those of before, to the bit.

    ``train()`` alone would not do: it computes them back, and rounds.
    """
    if not has_modes(optimizer):
        yield
        return
    kept = [parameter.detach().clone() for parameter in model.parameters()]
    optimizer.eval()
    try:
        yield
    finally:
        optimizer.train()
        with torch.no_grad():
            for parameter, before in zip(model.parameters(), kept, strict=True):
                parameter.copy_(before)
