"""Classification as a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.compute.ddp import Share
from cnntrain.config.instantiate import build
from cnntrain.runtime.console import Console
from cnntrain.tasks.base import Batch, Task
from cnntrain.tasks.classification.metrics import ClassificationEvaluation, RunningAccuracy
from cnntrain.tasks.classification.scores import SCORES
from cnntrain.tasks.classification.screen import show_classes, show_result
from cnntrain.tasks.losses import class_weights


class Classification(Task):
    """Each image belongs to one class; the model gives a logit for each."""

    scores = SCORES
    of_output = "one logit a class"
    compared = "logits with class numbers"
    named = ("class", "probability")
    value_format = ".2%"
    is_examined = True

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The number of classes."""
        return (self.num_classes,)

    def dummy(self, count: int, mixed: bool = False) -> Batch:
        """Return black images and labels, int64 (count,), or of mixed ones shares, float (count, classes)."""
        x, labels = super().dummy(count)
        return x, nn.functional.one_hot(labels, self.num_classes).float() if mixed else labels

    def noise(self, count: int, scale: float, mixed: bool = False) -> Batch:
        """Return random logits and labels; of mixed images, random shares of the classes."""
        generator = torch.Generator().manual_seed(0)
        logits = scale * torch.randn(count, self.num_classes, generator=generator)
        labels = torch.randint(self.num_classes, (count,), generator=generator)
        if mixed:
            labels = torch.randn(count, self.num_classes, generator=generator).softmax(dim=1)
        return logits, labels

    def criterion(self, node: Mapping[str, Any], trust: Sequence[str] | None) -> nn.Module:
        """Build the loss that the configuration names, with weights of the classes if there are any."""
        node, known = dict(node), {}
        if isinstance(node.get("weight"), list):  # which torch wants as a tensor
            known["weight"] = class_weights(node.pop("weight"), self.num_classes)
        criterion: nn.Module = build("criterion", node, nn.Module, trust, **known)
        return criterion

    def running_mean(self, device: torch.device, share: Share | None = None) -> RunningAccuracy:
        """Return what measures loss and accuracy of an epoch of training."""
        return RunningAccuracy(device, share)

    def evaluation(self, device: torch.device) -> ClassificationEvaluation:
        """Return what measures loss, confusion matrix and top-5 accuracy."""
        return ClassificationEvaluation(device, self.num_classes)

    def show_result(
        self, console: Console, split: str, result: Any, class_names: Sequence[str], level: int = 1
    ) -> None:
        """Print the accuracy with its interval, and then precision, recall and F1 of each class."""
        show_result(console, split, result)
        show_classes(console, result.per_class(class_names), level)

    def activate(self, output: Tensor) -> Tensor:
        """Return the probabilities of the classes, of logits (N, classes)."""
        return output.softmax(dim=1)

    def decode(
        self, activated: Tensor, class_names: Sequence[str], most: int
    ) -> list[tuple[tuple[str, float], ...]]:
        """Return the likeliest classes of each image with their probabilities."""
        ordered = activated.sort(dim=1, descending=True, stable=True)
        ranked = zip(ordered.indices[:, :most].tolist(), ordered.values[:, :most].tolist(), strict=True)
        return [
            tuple(zip((class_names[index] for index in indices), values, strict=True))
            for indices, values in ranked
        ]
