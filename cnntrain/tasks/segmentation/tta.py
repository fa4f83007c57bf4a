"""Test-time augmentation: the mean of what a model says about each pixel in several views of its image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntrain.tasks.moved import moved, offsets


class Views(nn.Module):
    """A model that sees each image in several ways; its logits are the log of the mean probabilities.

    The probabilities of a view are mirrored and moved back first. A pixel that a view does not show, since it
    was moved out of it, has the mean of the others.

    Args:
        model: maps float (N, C, H, W) to logits (N, classes, H, W).
        kinds: ``flip``, the image and its mirror image; ``shift``, moved a little in four directions, too.
    """

    def __init__(self, model: nn.Module, kinds: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.kinds = tuple(kinds)

    def forward(self, x: Tensor) -> Tensor:
        """Map float (N, C, H, W) to logits, float32 (N, classes, H, W)."""
        total, times = torch.zeros(()), torch.zeros(())
        for up, left in [(0, 0), *(offsets(x) if "shift" in self.kinds else ())]:
            view = moved(x, up, left)
            found = self.probabilities(view)
            if "flip" in self.kinds:
                found = (found + self.probabilities(view.flip(-1)).flip(-1)) / 2
            total = total.to(found) + moved_back(found, up, left)
            times = times.to(found) + moved_back(torch.ones_like(found[:, :1]), up, left)
        return (total / times).clamp(min=torch.finfo(torch.float32).tiny).log()

    def probabilities(self, x: Tensor) -> Tensor:
        """Return the probabilities of each pixel's classes, float32 (N, classes, H, W)."""
        output: Tensor = self.model(x)
        return output.float().softmax(dim=1)


def moved_back(x: Tensor, up: int, left: int) -> Tensor:
    """Return what :func:`moved` moved up and left where it was, with zeros where nothing is known."""
    return F.pad(x, (left, -left, up, -up))
