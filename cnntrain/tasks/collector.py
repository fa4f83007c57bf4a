"""Results of each image that an evaluation keeps for the report or the training doctor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from cnntrain.runtime import distributed

K = TypeVar("K", covariant=True)


class Collector(ABC, Generic[K]):
    """Keeps, batch by batch, what a task wants to know of every image. Everything stays on the device."""

    def __init__(self) -> None:
        self.batches: list[tuple[Tensor, ...]] = []

    @abstractmethod
    def extract(self, output: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Return what is kept of the outputs of N images and their targets: tensors (N, ...).

        It should be small: thousands of images may be evaluated.
        """

    @abstractmethod
    def combine(self, batches: Sequence[tuple[Tensor, ...]]) -> K:
        """Return what was noted of all batches, on the CPU, as the task wants it."""

    def observe(self, x: Tensor, y: Tensor) -> None:
        """Look at the inputs of the model, float (N, C, H, W), and their targets.

        Only the training doctor shows them. A task that judges the images keeps of them what it needs.
        """

    def add(self, output: Tensor, y: Tensor) -> None:
        """Record a batch."""
        self.batches.append(self.extract(output, y))

    def local_results(self, order: Tensor | None = None) -> K:
        """Return what this process has noted.

        Args:
            order: the place of each image that came, int64 (N,); None: they came in order.
        """
        return self.combine(self.ordered(order))

    def all_results(self, order: Tensor | None = None) -> K:
        """Return what all processes of the run have noted, in the order of the images; all must call this.

        Args:
            order: the place of each image that came in this process's part, as for :meth:`local_results`.
        """
        parts = distributed.all_gather(self.ordered(order))
        return self.combine([batch for part in parts for batch in part])

    def ordered(self, order: Tensor | None) -> list[tuple[Tensor, ...]]:
        """Return the batches that were noted, on the CPU; one of all images if they came in another order."""
        batches = [tuple(x.cpu() for x in batch) for batch in self.batches]
        if order is None or not batches:
            return batches
        places = order.argsort()
        return [tuple(torch.cat(parts)[places] for parts in zip(*batches, strict=True))]


class NullCollector(Collector[Any]):
    """Keeps nothing."""

    def extract(self, output: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Return nothing."""
        return ()

    def combine(self, batches: Sequence[tuple[Tensor, ...]]) -> None:
        """Return nothing."""


def evenly(most: int, available: int) -> Tensor:
    """Return the places of up to ``most`` things, int64, evenly spread over all, since they may be sorted."""
    return torch.linspace(0, available - 1, min(most, available)).round().long()
