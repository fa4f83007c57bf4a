"""Test-time augmentation: the mean of what a model says about several views of each image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnntrain.tasks.moved import moved, offsets


class Views(nn.Module):
    """A model that sees each image in several ways; its logits are the log of the mean probabilities.

    Args:
        model: maps float (N, C, H, W) to logits (N, classes).
        kinds: ``flip``, the image and its mirror image; ``shift``, moved a little in four directions, too.
    """

    def __init__(self, model: nn.Module, kinds: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.kinds = tuple(kinds)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, C, H, W) to logits, float32 (N, classes)."""
        seen = [x]
        if "shift" in self.kinds:
            seen += [moved(x, *offset) for offset in offsets(x)]
        if "flip" in self.kinds:
            seen += [view.flip(-1) for view in seen]
        probabilities = torch.stack([self.model(view).float().softmax(dim=1) for view in seen])
        return probabilities.mean(dim=0).clamp(min=torch.finfo(torch.float32).tiny).log()
