"""What shows only when a trained model is looked at, such as units that never fire."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.compute.precision import Precision
from cnntrain.compute.wait_time import Stopwatch
from cnntrain.data.batches import Batch
from cnntrain.models.hooks import forward_hooks
from cnntrain.tasks.collector import Collector

RELUS = (nn.ReLU, nn.ReLU6)
EXAMINED = 2000  # images that are looked at
SECONDS, FEWEST = 15.0, 200  # after which no more are looked at, if there are so many
FEWEST_UNITS = 4  # of a layer that is judged


@dataclass(frozen=True)
class Seen:
    """The images of a run, as the doctor looks at them when it is over.

    Args:
        counts: how often each class occurs among the targets of training.
        class_names: the class names of the data.
        train_images: images of the training set.
        val_images: images of the validation set.
        train: batches of training images as they are, evenly spread over the training set.
        val: batches of validation images, evenly spread too; None without a validation set.
        is_streamed: whether images are decoded when their batch is made.
        stopwatch: how long the steps have waited for their batches.
    """

    counts: Sequence[int]
    class_names: Sequence[str]
    train_images: int
    val_images: int
    train: Iterable[Batch]
    val: Iterable[Batch] | None
    is_streamed: bool
    stopwatch: Stopwatch


@dataclass(frozen=True)
class Diagnostics:
    """What a trained model makes of images.

    Args:
        fired: by the name of each ReLU, which of its units were above 0 for any image, bool (units,).
        images: the number of images that were looked at.
        kept: what the task's collector kept of them.
    """

    fired: Mapping[str, Tensor]
    images: int
    kept: Any

    def deadest(self) -> tuple[str, float, int] | None:
        """Return the layer most of whose units never fired, the share of these, and how many units it has."""
        large = {name: fired for name, fired in self.fired.items() if len(fired) >= FEWEST_UNITS}
        if not large:
            return None
        dead = {name: 1 - float(fired.float().mean()) for name, fired in large.items()}
        worst = max(dead, key=lambda name: dead[name])
        return worst, dead[worst], len(large[worst])


@torch.no_grad()
def run_diagnostics(
    model: nn.Module, batches: Iterable[Batch], precision: Precision, collector: Collector[Any]
) -> Diagnostics:
    """Look at what a model makes of some images, without changing it.

    Args:
        model: maps float (N, C, H, W) to outputs.
        batches: the batches of images and targets.
        precision: number format of the forward pass.
        collector: the collector of the task.
    """
    model.eval()
    firing = ActivityCounter()
    relus = [(name, module) for name, module in model.named_modules() if isinstance(module, RELUS)]
    seen, deadline = 0, time.monotonic() + SECONDS
    with forward_hooks(relus, firing.note):
        for x, y in batches:
            firing.begin_pass()
            with precision.autocast():
                output = model(x)
            collector.observe(x, y)
            collector.add(output, y)
            seen += len(y)
            if seen >= EXAMINED or (seen >= FEWEST and time.monotonic() > deadline):
                break
    return Diagnostics(firing.fired, seen, collector.local_results())


class ActivityCounter:
    """Which units of each ReLU fire.

    A pass may call one module at several places, as the blocks of torchvision's ResNets do, and with other
    numbers of channels: each call counts as a layer of its own.
    """

    def __init__(self) -> None:
        self.fired: dict[str, Tensor] = {}
        self.calls: Counter[str] = Counter()

    def begin_pass(self) -> None:
        """Count the calls from the first one again."""
        self.calls.clear()

    def note(self, name: str, module: nn.Module, args: Any, output: Tensor) -> None:
        """Note which units fire: features (N, F) or (N, T, F), or channels (N, C, H, W)."""
        if output.dim() == 4 and output.shape[2:] == (1, 1):  # of a gate, such as squeeze and excitation
            return
        self.calls[name] += 1
        layer = name if self.calls[name] == 1 else f"{name}, call {self.calls[name]}"
        units = -1 if output.dim() == 3 else 1
        above = (output > 0).transpose(0, units).flatten(1).any(1)
        self.fired[layer] = self.fired[layer] | above if layer in self.fired else above
