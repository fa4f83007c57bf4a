"""Classification as a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from cnntrain.compute.ddp import Share
from cnntrain.runtime.console import Console
from cnntrain.tasks.base import Task
from cnntrain.tasks.classification.metrics import ClassificationEvaluation, RunningAccuracy
from cnntrain.tasks.classification.scores import SCORES
from cnntrain.tasks.classification.screen import show_classes, show_result


class Classification(Task):
    """Each image belongs to one class; the model gives a logit for each."""

    scores = SCORES

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
