"""The order of an epoch in which sequences of like length share a batch, so that there is little padding."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

POOL = 50  # batches whose sequences are sorted together


def grouped(order: Tensor, lengths: Tensor, batch_size: int, generator: Generator) -> Tensor:
    """Return shuffled indices in another order: each batch of them has sequences of like length.

    The shuffled indices are cut into pools; each is sorted by length and cut into batches, and the batches
    are shuffled. So like lengths do not meet in the same company in each epoch (as torchtext's BucketIterator
    does it). A last batch that is not full stays the last.

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
