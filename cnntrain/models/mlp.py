"""The multilayer perceptron: every unit sees every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class MLP(nn.Module):
    """Fully connected layers with an activation between them.

    ``MLP(784, 128, 10)`` has 784·128 + 128 + 128·10 + 10 = 101,770 parameters.

    Args:
        in_features: values in one image, channels · height · width.
        hidden: units of the hidden layer, or a list with the units of each.
        num_classes: number of classes, the outputs.
        activation: name of an activation in ``torch.nn``.
        dropout: the probability that a hidden unit is switched off in training.
    """

    def __init__(
        self,
        in_features: int,
        hidden: int | Sequence[int],
        num_classes: int,
        activation: str = "ReLU",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = [in_features, *([hidden] if isinstance(hidden, int) else hidden)]
        self.flatten = nn.Flatten()
        self.hidden = nn.Sequential()
        for inputs, outputs in pairwise(sizes):
            self.hidden.append(nn.Linear(inputs, outputs))
            self.hidden.append(getattr(nn, activation)())
            if dropout > 0:
                self.hidden.append(nn.Dropout(dropout))
        self.output = nn.Linear(sizes[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images, float (N, C, H, W), to logits, float (N, num_classes)."""
        return self.output(self.hidden(self.flatten(x)))
