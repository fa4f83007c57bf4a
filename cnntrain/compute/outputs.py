"""What a network gives: predictions, and at times what its loss needs besides."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Output(Protocol):
    """An output that holds more than the predictions."""

    @property
    def predictions(self) -> Tensor:
        """What the network predicts in evaluation, float32 (N, ...)."""


def predictions_of(output: Tensor | Output) -> Tensor:
    """Return what a network predicts for N images in evaluation, float32 (N, ...)."""
    return output.float() if isinstance(output, Tensor) else output.predictions
