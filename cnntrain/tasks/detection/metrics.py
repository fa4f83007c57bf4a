"""What is measured in detection: all boxes of all images, compared at the end; never a mean of batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cnntrain.compute.outputs import predictions_of
from cnntrain.models.detection.of_torchvision import Found
from cnntrain.tasks.detection.average_precision import AveragePrecision, average_precision
from cnntrain.tasks.detection.boxes import detections
from cnntrain.tasks.detection.matching import Matches, matched
from cnntrain.tasks.metrics import Evaluation, Result

# As COCO is evaluated: nearly all boxes count, since those of low score only add to the recall.
LEAST_SCORE, NMS, MOST = 0.01, 0.6, 100


@dataclass(frozen=True)
class DetectionResult(Result):
    """An evaluation of a network that finds objects.

    Args:
        loss: mean loss per object and image.
        examples: number of images evaluated.
        truth: objects, float32 (N, M, 6).
        found: boxes that the network finds, float32 (N, K, 6).
        num_classes: number of classes.
        threshold: the lowest score of boxes that are shown.
    """

    truth: Tensor
    found: Tensor
    num_classes: int
    threshold: float

    @cached_property
    def compared(self) -> AveragePrecision:
        """COCO's numbers."""
        return average_precision(self.truth, self.found, self.num_classes)

    @cached_property
    def matches(self) -> Matches:
        """What is right and what is wrong, box by box."""
        return matched(self.truth, self.found)

    @property
    def ap(self) -> float:
        """Mean average precision over IoUs from 0.5 to 0.95, from 0 to 1; 0 if there is no object."""
        return self.number("ap")

    @property
    def ap50(self) -> float:
        """Mean average precision at IoU 0.5."""
        return self.number("ap50")

    @cached_property
    def at_threshold(self) -> dict[str, float]:
        """Precision, recall and F1 of the boxes above the threshold, at IoU 0.5, by name, from 0 to 1."""
        precision, recall = self.matches.curves([self.threshold])
        f1 = self.matches.f1([self.threshold])
        return {"precision": precision.item(), "recall": recall.item(), "f1": f1.item()}

    def number(self, name: str) -> float:
        """Return one of COCO's numbers; 0 where no object counts."""
        value = self.compared.numbers[name]
        return 0.0 if math.isnan(value) else value

    def as_dict(self) -> dict[str, Any]:
        """Return the loss, COCO's numbers, what holds from the threshold on, and the number of images.

        None where no object counts.
        """
        numbers = {name: None if math.isnan(n) else n for name, n in self.compared.numbers.items()}
        return {
            "loss": self.loss,
            **numbers,
            "ap": self.ap,
            "ap50": self.ap50,
            "threshold": self.threshold,
            **self.at_threshold,
            "examples": self.examples,
        }

    def per_class(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the AP of each class, and the number of its objects; None for classes without one."""
        counts = objects_of(self.truth, self.num_classes).tolist()
        return [
            {"class": name, "ap": None if math.isnan(ap) else ap, "objects": count}
            for name, ap, count in zip(class_names, self.compared.per_class, counts, strict=True)
        ]

    def details(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return the AP of each class."""
        return {"per_class": self.per_class(class_names)}


def objects_of(truth: Tensor, num_classes: int) -> Tensor:
    """Return the number of objects of each class that count, int64 (classes,)."""
    labels = truth[..., 4][(truth[..., 4] >= 0) & (truth[..., 5] == 0)].long()
    return labels.bincount(minlength=num_classes)


class DetectionEvaluation(Evaluation[DetectionResult]):
    """Collects a :class:`DetectionResult` batch by batch: a few numbers for each box.

    Args:
        device: where the losses are.
        num_classes: number of classes.
        threshold: the lowest score of boxes that are shown.
    """

    def __init__(self, device: torch.device, num_classes: int, threshold: float) -> None:
        super().__init__(device)
        self.num_classes, self.threshold = num_classes, threshold
        self.rows: dict[str, list[Tensor]] = {"truth": [], "found": []}

    def add(self, output: Tensor | Found, y: Tensor) -> None:
        """Keep the boxes in the outputs of the network, and the objects, float (N, M, 6)."""
        self.rows["truth"].append(y.cpu())
        self.rows["found"].append(detections(predictions_of(output), LEAST_SCORE, NMS, MOST).cpu())

    def collected(self) -> dict[str, Tensor]:
        """Return the objects and the boxes of all images that this process has seen."""
        none = torch.zeros(0, 1, 6)
        return {name: torch.cat(rows) if rows else none for name, rows in self.rows.items()}

    def merged(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the rows of all processes, one after the other."""
        return torch.cat([part for part in parts if len(part)] or [parts[0]])

    def summed(self, loss: float, examples: int, sums: dict[str, Tensor]) -> DetectionResult:
        """Return the result of all images."""
        return DetectionResult(loss, examples, sums["truth"], sums["found"], self.num_classes, self.threshold)
