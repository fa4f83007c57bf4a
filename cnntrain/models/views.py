"""What a network can show besides filters and feature maps: its own views, offered by methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ReadsStepByStep(Protocol):
    """A network that reads an image step by step, and can be asked before it has read all.

    Attributes:
        steps: how many there are, T.
        of_step: what they are, in the plural: ``rows``.
    """

    @property
    def steps(self) -> int: ...  # noqa: D102

    @property
    def of_step(self) -> str: ...  # noqa: D102

    def answers_after(self, x: Tensor, steps: Sequence[int]) -> Tensor:
        """Return what the network gives if an image ends after some steps, from 1 to T.

        Args:
            x: images, float (N, C, H, W).
            steps: the numbers of steps.

        Returns:
            float (N, len(steps), classes).
        """
        ...


@runtime_checkable
class HasAttention(Protocol):
    """A network whose attention can be drawn over an image."""

    def attention_over(self, x: Tensor) -> Tensor:
        """Return the attention that the parts of images get, float (N, layers, heads, rows, columns).

        Args:
            x: images, float (N, C, H, W).
        """
        ...


@runtime_checkable
class HasSkipConnections(Protocol):
    """A network in which features go past the layers between an encoder and a decoder, as in a U-Net."""

    @property
    def skip_connections(self) -> list[tuple[str, str]]:
        """The names of the module that gives the features and of that which takes them, finest first.

        The one that takes them gets the features first, and behind them what comes from the layer below:
        float (N, C1 + C2, H, W).
        """
        ...
