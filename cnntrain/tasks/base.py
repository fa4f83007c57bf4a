"""The seam between what a network learns and all that trains it: one abstract class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from cnntrain.compute.ddp import Share
from cnntrain.runtime.console import Console
from cnntrain.tasks.metrics import Evaluation, Result, RunningMean
from cnntrain.tasks.scores import Scores


class Task(ABC):
    """What a network learns to do.

    Args:
        input_shape: channels, height and width of an image.
        num_classes: the number of classes that the data have.

    Attributes:
        scores: what is measured. From them follow the columns of metrics.csv, the screen, the loggers,
            rankings and the values of ``monitor``.
    """

    scores: ClassVar[Scores]

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int) -> None:
        self.input_shape = input_shape
        self.num_classes = num_classes

    @abstractmethod
    def running_mean(self, device: torch.device, share: Share | None = None) -> RunningMean:
        """Return what measures an epoch of training.

        Args:
            device: where the model is.
            share: this process's part of each batch, if several processes train the model.
        """

    @abstractmethod
    def evaluation(self, device: torch.device) -> Evaluation[Result]:
        """Return what measures a trained model, which is on a device."""

    @abstractmethod
    def show_result(
        self, console: Console, split: str, result: Any, class_names: Sequence[str], level: int = 1
    ) -> None:
        """Print the result of an evaluation.

        Args:
            console: where it is printed.
            split: the part of the data that was evaluated.
            result: of :meth:`evaluation`.
            class_names: of the data.
            level: from which ``verbose`` on the details are printed too, such as the scores of each class.
        """
