"""Batches of sequences: which share one, and how they become one tensor.

A batch goes wherever a batch of images goes. It is float32 (N, 1, T, F + 1): one channel, T rows that are the
steps, and columns that are the features. Shorter sequences are padded at their end. The last column says so:
it is 1 where a step is padding, and 0 where it is there, as torch's ``key_padding_mask`` has it. So a batch
of zeros is one of full length. A text has one feature, the number of its token.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

POOL = 50  # batches whose sequences are sorted together


def padded(values: Tensor, is_padding: Tensor) -> Tensor:
    """Return a batch, float32 (N, 1, T, F + 1).

    Args:
        values: float32 (N, T, F); what stands in padding does not matter.
        is_padding: bool (N, T).
    """
    values = values.masked_fill(is_padding[..., None], 0.0)
    return torch.cat([values, is_padding[..., None].to(values.dtype)], dim=2)[:, None]


def unpadded(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return values, float32 (N, T, F), and which steps are padding, bool (N, T), of a batch."""
    return x[:, 0, :, :-1], x[:, 0, :, -1] > 0


def of_lengths(values: Tensor, lengths: Tensor) -> Tensor:
    """Return a batch of sequences that have that many steps: values, float32 (N, T, F); int64 (N,)."""
    steps = torch.arange(values.shape[1], device=values.device)
    return padded(values, steps >= lengths[:, None])


def batch_of(sequences: Sequence[Tensor]) -> Tensor:
    """Return a batch of some sequences, float32 (T, F) each."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return of_lengths(torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True), lengths)


def grouped(order: Tensor, lengths: Tensor, batch_size: int, generator: Generator) -> Tensor:
    """Return shuffled indices in another order: each batch of them has sequences of like length.

    The shuffled indices are cut into pools; each is sorted by length and cut into batches, and the batches
    are shuffled. So a sequence shares its batch with other ones in each epoch, as in torchtext's
    BucketIterator. A last batch that is not full stays the last.

    Args:
        order: shuffled indices, int64 (N,).
        lengths: the lengths of all sequences, int64.
        batch_size: the batch size of all processes together.
        generator: the generator of the epoch.
    """
    pools = [pool[lengths[pool].argsort(stable=True)] for pool in order.split(POOL * batch_size)]
    batches = list(torch.cat(pools).split(batch_size))
    last = [batches.pop()] if len(order) % batch_size else []
    shuffled = torch.randperm(len(batches), generator=generator).tolist()
    return torch.cat([*(batches[number] for number in shuffled), *last])
