"""Features with zero mean and unit deviation over the steps of the training set."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnntrain.config.inputs import IMAGES
from cnntrain.config.sections import DataSettings
from cnntrain.data.loader import Normalize
from cnntrain.data.sequences.batch import padded, unpadded


class Standardize(Normalize):
    """Standardise batches of sequences; padding stays 0. The tokens of texts stay as they are.

    Args:
        mean: the mean of each feature.
        std: the standard deviation of each feature.
        device: where the batches are.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self.mean = torch.tensor(mean, device=device)
        self.scale = 1 / torch.tensor(std, device=device)

    def __call__(self, x: Tensor) -> Tensor:
        """Map float32 (N, 1, T, F + 1) to float32 (N, 1, T, F + 1)."""
        values, is_padding = unpadded(x)
        return padded((values - self.mean) * self.scale, is_padding)


def normalizing(data: DataSettings, device: torch.device, memory_format: torch.memory_format) -> Normalize:
    """Return what normalises batches of the data: of images, or of sequences.

    Args:
        data: the data with mean and standard deviation.
        device: where the batches are.
        memory_format: layout of images in memory.
    """
    if data.inputs == IMAGES:
        return Normalize(data.mean, data.std, device, memory_format)
    return Standardize(data.mean, data.std, device)
