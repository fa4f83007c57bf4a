"""Sequences as a textbook hands them out: one at a time, padded to the longest of a shuffled batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnntrain.data.sequences.batch import batch_of
from cnntrain.data.sequences.dataset import SequenceDataset

Sample = tuple[Tensor, int]


class TextbookSequences(Dataset[Sample]):
    """Sequences in memory, each standardised when it is asked for. Texts are numbers of tokens already.

    Args:
        sequences: the data set.
        count: how many of its sequences.
        mean: the mean of each feature.
        std: the standard deviation of each feature.
    """

    def __init__(
        self, sequences: SequenceDataset, count: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        lengths = sequences.lengths[:count].tolist()
        self.steps = sequences.images[: sum(lengths)].cpu().split(lengths)
        self.labels: list[int] = sequences.labels[:count].tolist()
        self.mean, self.std = torch.tensor(mean), torch.tensor(std)

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        """Return one sequence, float32 (T, F), and its class."""
        return (self.steps[index] - self.mean) / self.std, self.labels[index]


def padded_batch(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Return a batch, float32 (N, 1, T, F + 1), and its classes, int64 (N,): the ``collate_fn``."""
    sequences, labels = zip(*samples, strict=True)
    return batch_of(sequences), torch.tensor(labels)
