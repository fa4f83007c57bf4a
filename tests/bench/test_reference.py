"""Torchvision's own loop for a detector: what its network computes is what ours computes."""

from __future__ import annotations

import copy

import pytest
import torch

from cnntrain.bench.reference import as_published
from cnntrain.models import FasterRCNN
from cnntrain.models.detection.of_torchvision import OfTorchvision


@pytest.mark.parametrize("size", [(64, 64), (40, 72)])
def test_torchvisions_own_network_has_the_losses_of_ours(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ours: OfTorchvision = FasterRCNN(1, 3, width=4)
    theirs = as_published(copy.deepcopy(ours), size, [0.25], [0.5])
    images = torch.rand(2, 1, *size)
    boxes, labels = torch.tensor([[8.0, 8, 36, 36]]), torch.tensor([2])
    torch.manual_seed(1)
    expected = sum(ours((images - 0.25) / 0.5).losses([boxes, boxes], [labels, labels]))
    torch.manual_seed(1)
    got = theirs(list(images), [{"boxes": boxes, "labels": labels + 1} for _ in images])
    # A rounding may let other proposals through.
    assert torch.isclose(sum(got.values()), expected, rtol=5e-3)
