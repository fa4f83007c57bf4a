"""A network as other programs use it: bytes in, what the task makes of the outputs out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnntrain.compute.outputs import predictions_of
from cnntrain.tasks.base import Task


class FromBytes(nn.Module):
    """A network with its preprocessing before it and the task's head after it: from bytes to probabilities.

    Args:
        model: maps float (N, C, H, W) to outputs, such as logits (N, classes).
        task: makes of them what a user wants, such as probabilities.
        mean: the mean of each channel, for pixels between 0 and 1.
        std: the standard deviation of each channel.
    """

    def __init__(self, model: nn.Module, task: Task, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.exported = task.exported()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", 255 * mean.view(1, -1, 1, 1))
        self.register_buffer("scale", 1 / (255 * std.view(1, -1, 1, 1)))

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 (N, C, H, W) to what the task makes of the outputs, float32 (N, ...)."""
        return self.task.activate(self.network(images))

    def network(self, images: Tensor) -> Tensor:
        """Map uint8 (N, C, H, W) to what the network gives before the task's head, float32 (N, ...)."""
        x = (images.to(torch.float32) - self.mean) * self.scale
        return predictions_of(self.model(x))


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a model's state_dict, which may hold extra state of other types too."""
    return {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}


def left_out(model: nn.Module) -> list[str]:
    """Return the names of what a model's state_dict holds besides tensors."""
    return [name for name, value in model.state_dict().items() if not isinstance(value, Tensor)]
