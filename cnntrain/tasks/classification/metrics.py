"""What is measured in classification: the accuracy in training, the confusion matrix in evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnntrain.compute.ddp import Shard
from cnntrain.tasks.metrics import Evaluation, Result, RunningMean

IMBALANCED = 1.5  # examples of the largest class for one of the smallest
TOP = 5  # classes that are right for the top-5 accuracy


class RunningAccuracy(RunningMean):
    """The mean loss and the accuracy over the examples seen so far in an epoch of training."""

    def __init__(self, device: torch.device, shard: Shard | None = None) -> None:
        super().__init__(device, shard)
        self.sums["correct"] = torch.zeros((), device=device, dtype=torch.int64)

    @property
    def accuracy(self) -> float:
        """Share of examples classified correctly, from 0 to 1."""
        return self.mean("correct")

    def extract(self, output: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Return the predicted and the true classes, int64 (N,).

        Args:
            output: logits, float (N, classes).
            y: labels, int64 (N,), or shares of the classes, float (N, classes). Of mixed images, the class
                with the largest share is the right one.
        """
        return output.detach().argmax(dim=1), y if y.dim() == 1 else y.argmax(dim=1)

    def add(self, *noted: Sequence[Tensor]) -> None:
        """Count the correct predictions."""
        predictions, labels = map(torch.cat, map(list, noted))
        self.sums["correct"] += (predictions == labels).sum()


@dataclass(frozen=True)
class ClassificationResult(Result):
    """An evaluation of a classifier.

    Args:
        loss: mean loss per example.
        examples: number of examples evaluated.
        confusion: int64 (classes, classes); row: true class, column: predicted class.
        top5: share of examples whose class is among the five likeliest; None up to 5 classes.
    """

    confusion: Tensor
    top5: float | None = None

    @property
    def accuracy(self) -> float:
        """Share of examples classified correctly, from 0 to 1."""
        return int(self.confusion.diag().sum()) / max(1, self.examples)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that have examples, from 0 to 1: each class counts the same."""
        support = self.confusion.sum(dim=1)
        recall = self.confusion.diag().double() / support.clamp(min=1)
        return float(recall[support > 0].mean()) if self.examples else 0.0

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that have examples or predictions, from 0 to 1."""
        both = self.confusion.sum(dim=0) + self.confusion.sum(dim=1)
        f1 = 2 * self.confusion.diag().double() / both.clamp(min=1)
        return float(f1[both > 0].mean()) if self.examples else 0.0

    @property
    def is_imbalanced(self) -> bool:
        """Whether the largest class has so many more examples than the smallest that accuracy hides some."""
        support = self.confusion.sum(dim=1)
        return int(support.max()) > IMBALANCED * int(support.min())

    def per_class(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """Return precision, recall, F1 and support of each class; a share of nothing counts as 0."""
        hits = self.confusion.diag().double()
        predicted = self.confusion.sum(dim=0).double()
        support = self.confusion.sum(dim=1)
        precision = (hits / predicted.clamp(min=1)).tolist()
        recall = (hits / support.double().clamp(min=1)).tolist()
        f1 = (2 * hits / (predicted + support).clamp(min=1)).tolist()
        columns = zip(class_names, precision, recall, f1, support.tolist(), strict=True)
        return [
            {"class": name, "precision": p, "recall": r, "f1": f, "support": s}
            for name, p, r, f, s in columns
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return loss, the accuracies and macro F1; top-5 accuracy where it says something."""
        scores = {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "examples": self.examples,
        }
        return scores if self.top5 is None else {**scores, "top5_accuracy": self.top5}

    def details(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return the figures of each class, and the confusion matrix."""
        return {"per_class": self.per_class(class_names), "confusion_matrix": self.confusion.tolist()}


class ClassificationEvaluation(Evaluation[ClassificationResult]):
    """Collects a :class:`ClassificationResult` batch by batch.

    Args:
        device: the device of the losses.
        num_classes: number of classes.
    """

    def __init__(self, device: torch.device, num_classes: int) -> None:
        super().__init__(device)
        self.num_classes = num_classes
        self.sums["confusion"] = torch.zeros(num_classes * num_classes, device=device, dtype=torch.int64)
        if num_classes > TOP:
            self.sums["in_top5"] = torch.zeros((), device=device, dtype=torch.int64)

    def add(self, output: Tensor, y: Tensor) -> None:
        """Count the logits, float (N, classes), of images with the labels y, int64 (N,)."""
        cells = y * self.num_classes + output.argmax(dim=1)
        self.sums["confusion"] += torch.bincount(cells, minlength=self.num_classes**2)
        if "in_top5" in self.sums:
            self.sums["in_top5"] += (output.topk(TOP, dim=1).indices == y[:, None]).sum()

    def summed(self, loss: float, examples: int, sums: dict[str, Tensor]) -> ClassificationResult:
        """Return the result of all examples."""
        confusion = sums["confusion"].view(self.num_classes, self.num_classes)
        top5 = int(sums["in_top5"]) / max(1, examples) if "in_top5" in sums else None
        return ClassificationResult(loss, examples, confusion, top5)


def wilson_interval(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927), which holds near 0 and 1 too."""
    if count == 0:
        return 0.0, 1.0
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)
