"""What shows only when a trained model is looked at: units that never fire, labels that look wrong."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.compute.precision import Precision
from cnntrain.data.batches import Batch
from cnntrain.models.hooks import forward_hooks

RELUS = (nn.ReLU, nn.ReLU6)
EXAMINED = 2000  # images that are looked at
SECONDS, FEWEST = 15.0, 200  # after which no more are looked at, if there are so many
FEWEST_UNITS = 4  # of a layer that is judged


@dataclass(frozen=True)
class Examination:
    """What a trained model makes of images.

    Args:
        fired: of each ReLU, by its name: which of its units were above 0 for any image, bool (units,).
        confidence: the probability of the predicted class, (N,).
        wrong: whether that is another one than the label says, bool (N,).
    """

    fired: Mapping[str, Tensor]
    confidence: Tensor
    wrong: Tensor

    @property
    def accuracy(self) -> float:
        """Share of the images classified correctly, from 0 to 1."""
        return 1 - float(self.wrong.double().mean())

    def share_as_confident(self) -> float:
        """Return the share of the errors that are as confident as the median of the right answers.

        Honest errors are hesitant; where a label is wrong, the model is as confident as anywhere (the idea
        of Northcutt et al. 2021, Confident Learning).
        """
        typical = self.confidence[~self.wrong].median()
        return float((self.confidence[self.wrong] >= typical).float().mean())

    def deadest(self) -> tuple[str, float, int] | None:
        """Return the layer most of whose units never fired, the share of these, and how many units it has."""
        large = {name: fired for name, fired in self.fired.items() if len(fired) >= FEWEST_UNITS}
        if not large:
            return None
        dead = {name: 1 - float(fired.float().mean()) for name, fired in large.items()}
        worst = max(dead, key=lambda name: dead[name])
        return worst, dead[worst], len(large[worst])


@torch.no_grad()
def examine(model: nn.Module, batches: Iterable[Batch], precision: Precision) -> Examination:
    """Look at what a model makes of some images, without changing it.

    Args:
        model: maps float (N, C, H, W) to logits (N, classes).
        batches: of images and labels, int64 (N,).
        precision: number format of the forward pass.
    """
    model.eval()
    fired: dict[str, Tensor] = {}
    relus = [(name, module) for name, module in model.named_modules() if isinstance(module, RELUS)]
    confidence, wrong, seen = [], [], 0
    deadline = time.monotonic() + SECONDS
    with forward_hooks(relus, partial(note, fired)):
        for x, y in batches:
            with precision.autocast():
                highest, label = model(x).float().softmax(1).max(1)
            confidence.append(highest)
            wrong.append(label != y)
            seen += len(y)
            if seen >= EXAMINED or (seen >= FEWEST and time.monotonic() > deadline):
                break
    return Examination(fired, torch.cat(confidence), torch.cat(wrong))


def evenly(most: int, available: int) -> Tensor:
    """Return the places of up to ``most`` things, int64, evenly spread over all, since they may be sorted."""
    return torch.linspace(0, available - 1, min(most, available)).round().long()


def note(fired: dict[str, Tensor], name: str, module: nn.Module, args: Any, output: Tensor) -> None:
    """Note which units of a layer fire: features (N, F), or channels (N, C, H, W)."""
    if output.dim() == 4 and output.shape[2:] == (1, 1):  # of a gate, such as squeeze and excitation
        return
    above = (output > 0).transpose(0, 1).flatten(1).any(1)
    fired[name] = fired[name] | above if name in fired else above
