"""Sequences of unequal length in memory, one after another; a batch is padded to its longest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor

from cnntrain.data.images import InMemoryDataset
from cnntrain.data.resize import Size
from cnntrain.data.sequences.batch import grouped, of_lengths
from cnntrain.data.targets import CLASSES
from cnntrain.sequences.reading import Sequences
from cnntrain.sequences.tokens import Tokens


class SequenceDataset(InMemoryDataset):
    """Sequences with the numbers of their classes.

    Args:
        images: the steps of all, float32 (all steps, F).
        lengths: the number of steps of each, int64 (N,), on the CPU.
        labels: int64 (N,).
        class_names: the name of each class.
        steps: the most steps that the network takes.
    """

    lengths: Tensor

    def __init__(
        self, images: Tensor, lengths: Tensor, labels: Tensor, class_names: Sequence[str], steps: int
    ) -> None:
        self.targets = CLASSES
        self.targets.check(labels, class_names)
        self.images, self.lengths, self.labels = images, lengths, labels
        self.class_names, self.steps = tuple(class_names), steps
        self.begins = lengths.cumsum(0) - lengths
        self.whole = self

    def gather(self, indices: Tensor) -> Tensor:
        """Return some sequences, float32 (N, 1, T, F + 1), by their indices, int64 (N,)."""
        lengths = self.lengths[indices.cpu()]
        steps = torch.arange(int(lengths.max()) if len(lengths) else 0)
        places = (self.begins[indices.cpu()][:, None] + steps).clamp(max=len(self.images) - 1)
        return of_lengths(self.images[places.to(self.device)], lengths.to(self.device))

    def grouped(self, order: Tensor, batch_size: int, generator: Generator) -> Tensor:
        """Return shuffled indices in batches of like length; see :mod:`cnntrain.data.sequences.batch`."""
        return grouped(order, self.lengths, batch_size, generator)

    def by_length(self, indices: Tensor) -> Tensor:
        """Return the places of indices, int64 (N,), from the shortest sequence to the longest."""
        return self.lengths[indices.cpu()].argsort(stable=True)

    def first(self, count: int) -> Tensor:
        """Return the first sequences, float32 (count, 1, T, F + 1)."""
        return self.gather(torch.arange(min(count, len(self))))

    @property
    def size(self) -> int:
        """Bytes of all sequences."""
        return self.images.numel() * self.images.element_size()

    @property
    def image_size(self) -> tuple[int, int]:
        """The steps that the network takes at most, and the columns of a batch."""
        return self.steps, self.images.shape[1] + 1

    def seen_at(self, size: Size) -> SequenceDataset:
        """Return these sequences: nothing is cut out of them."""
        return self

    def to(self, device: torch.device) -> SequenceDataset:
        """Return the same sequences on another device, where their batches are then made."""
        images, labels = self.images.to(device), self.labels.to(device)
        return SequenceDataset(images, self.lengths, labels, self.class_names, self.steps)


def in_memory(found: Sequences, steps: int, tokens: Tokens | None) -> tuple[SequenceDataset, int]:
    """Return sequences as a data set, and how many were cut to the steps that the network takes.

    Args:
        found: what was read.
        steps: the most steps of a sequence.
        tokens: numbers the tokens of texts; None for time series.
    """
    values = [as_steps(value, tokens) for value in found.values]
    lengths = [min(len(value), steps) for value in values]
    cut = sum(len(value) > steps for value in values)
    images = torch.from_numpy(np.concatenate([value[:steps] for value in values]))
    labels = torch.from_numpy(found.labels)
    return SequenceDataset(images, torch.tensor(lengths), labels, found.class_names, steps), cut


def as_steps(value: np.ndarray | str, tokens: Tokens | None) -> np.ndarray:
    """Return one sequence, float32 (T, F): a time series as it is, of a text the numbers of its tokens.

    A text without any token is one that is unknown.
    """
    if tokens is None:
        return np.asarray(value)
    numbers = tokens(str(value))
    return (numbers if len(numbers) else np.zeros(1)).astype(np.float32)[:, None]
