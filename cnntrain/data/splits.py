"""The split of the images into those for training and those for validation."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from cnntrain.runtime.rng import seed_for


def stratified_split(labels: Tensor, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split so that each class gives the same share to validation.

    Args:
        labels: int64 (N,).
        val_fraction: share of each class that goes to validation; 0 keeps everything for training.
        seed: the same seed gives the same split.

    Returns:
        The sorted indices of the training and of the validation part, int64.
    """
    generator = Generator().manual_seed(seed_for(seed, "split"))
    in_val = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        members = (labels == label).nonzero().flatten()
        # A class with at least two images is seen on both sides.
        count = min(round(len(members) * val_fraction) or int(val_fraction > 0), len(members) - 1)
        in_val[members[torch.randperm(len(members), generator=generator)[:count]]] = True
    return (~in_val).nonzero().flatten(), in_val.nonzero().flatten()


def random_split(count: int, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split images that belong to no groups, as :func:`stratified_split` splits those of a single class."""
    return stratified_split(torch.zeros(count, dtype=torch.int64), val_fraction, seed)


def limited(indices: Tensor, limit: int | None, seed: int) -> Tensor:
    """Return the first ``limit`` of the shuffled indices, or all of them."""
    if limit is None or limit >= len(indices):
        return indices
    generator = Generator().manual_seed(seed_for(seed, "limit"))
    return indices[torch.randperm(len(indices), generator=generator)[:limit]].sort().values
