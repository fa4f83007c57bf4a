"""What a network can show besides filters and feature maps: its own views, offered by methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class AnswersAnyTime(Protocol):
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
class Attends(Protocol):
    """A network whose attention can be drawn over an image."""

    def attention_over(self, x: Tensor) -> Tensor:
        """Return the attention that the parts of images get, float (N, layers, heads, rows, columns).

        Args:
            x: images, float (N, C, H, W).
        """
        ...
