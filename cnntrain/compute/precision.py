"""The numeric precision of the forward pass: fp32, or 16 bits where that is faster (mixed precision).

Micikevicius et al. 2018, Mixed Precision Training. The weights stay in fp32. fp16 has so small a range
that the loss is scaled up before ``backward`` and the gradients down before ``step``.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from cnntrain.runtime.torch_private import count_as_step

DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """A numeric precision, as the loop needs it.

    Args:
        name: ``fp32``, ``bf16`` or ``fp16``.
        device: the model's device.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.name = name
        self.device_type = device.type
        self.dtype = DTYPES[name]
        self.scaler = GradScaler(device.type, enabled=name == "fp16")

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context manager of the forward pass."""
        return nullcontext() if self.dtype is None else torch.autocast(self.device_type, self.dtype)

    def scale(self, loss: Tensor, share: float | Tensor) -> Tensor:
        """Return the loss to call ``backward`` of, for a part that is this share of its batch."""
        if isinstance(share, Tensor) or share != 1.0:  # to look at a tensor would wait for the device
            loss = loss * share
        return self.scaler.scale(loss)

    def clip(self, model: nn.Module, optimizer: Optimizer, longest: float) -> None:
        """Clip the gradient to the L2 norm ``longest``."""
        self.scaler.unscale_(getattr(optimizer, "inner", optimizer))
        nn.utils.clip_grad_norm_(model.parameters(), longest)

    def wrap(self, optimizer: Optimizer) -> Optimizer:
        """Return the optimizer whose ``zero_grad`` and ``step`` the loop calls."""
        return ScaledOptimizer(optimizer, self.scaler) if self.scaler.is_enabled() else optimizer  # type: ignore[return-value]


class ScaledOptimizer:
    """An optimizer for fp16: leaves out the steps whose scaled gradients overflowed."""

    def __init__(self, inner: Optimizer, scaler: GradScaler) -> None:
        self.inner = inner
        self.scaler = scaler

    def zero_grad(self) -> None:
        """Reset all gradients."""
        self.inner.zero_grad()

    def step(self) -> None:
        """Step with the gradients brought back to their own size."""
        self.scaler.step(self.inner)
        self.scaler.update()
        count_as_step(self.inner)


FP32 = Precision("fp32", torch.device("cpu"))
