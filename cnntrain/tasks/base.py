"""The seam between what a network learns and all that trains it: one abstract class."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cnntrain.compute.ddp import Share
from cnntrain.config.instantiate import build
from cnntrain.errors import UserError
from cnntrain.runtime.console import Console
from cnntrain.tasks.metrics import Evaluation, Result, RunningMean
from cnntrain.tasks.scores import Scores

Batch = tuple[Tensor, Tensor]


class Task(ABC):
    """What a network learns to do. The configuration chooses one: ``task._target_=my_module.MyTask``.

    Args:
        input_shape: channels, height and width of an image.
        num_classes: the number of classes that the data have.

    Attributes:
        scores: what is measured. From them follow the columns of metrics.csv, the screen, the loggers,
            rankings and the values of ``monitor``.
        of_output: what an output is, in words, for messages.
        compared: what a loss compares, likewise.
        named: what :meth:`decode` names, and what it gives each: the columns of the predictions.
        value_format: how such a value is printed, as in ``format(value, ".2%")``.
        is_examined: whether the training doctor and the report's images know the task.
    """

    scores: ClassVar[Scores]
    of_output: ClassVar[str] = "the output of this task"
    compared: ClassVar[str] = "outputs with targets"
    named: ClassVar[tuple[str, str]] = ("output", "value")
    value_format: ClassVar[str] = ".4g"
    is_examined: ClassVar[bool] = False

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int) -> None:
        self.input_shape = input_shape
        self.num_classes = num_classes

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what the model gives for one image."""

    def model_inputs(self) -> dict[str, Any]:
        """Return what a model may ask for by the names of its arguments."""
        channels, side, _ = self.input_shape
        return {
            "input_shape": self.input_shape,
            "in_channels": channels,
            "image_size": side,
            "in_features": math.prod(self.input_shape),
            "num_classes": self.output_shape[0],
        }

    def check_output(self, name: str, output: Any) -> None:
        """Raise a UserError if the output of a model of that name for two images is not as it should be."""
        wanted = (2, *self.output_shape)
        if not isinstance(output, Tensor) or tuple(output.shape) != wanted:
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise UserError(f"model: {name} gives {got} for a batch of 2, not {wanted}: {self.of_output}")

    def targets(self, labels: Tensor) -> Tensor:
        """Return the targets of a batch, on the device of its labels, int64 (N,), as the data have them."""
        return labels

    def collate(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches of a loader, with the targets in place of the labels."""
        for x, labels in batches:
            yield x, self.targets(labels)

    def dummy(self, count: int, mixed: bool = False) -> Batch:
        """Return a batch of black images, float (count, C, H, W), with targets that differ.

        Args:
            count: number of images.
            mixed: the targets are those of images that mixup or CutMix mixes.
        """
        return torch.zeros(count, *self.input_shape), self.targets(torch.arange(count) % self.num_classes)

    def noise(self, count: int, scale: float, mixed: bool = False) -> Batch:
        """Return random outputs of that scale, and targets, to try a loss on. No generator is changed."""
        generator = torch.Generator().manual_seed(0)
        outputs = scale * torch.randn(count, *self.output_shape, generator=generator)
        return outputs, self.dummy(count, mixed)[1]

    def criterion(self, node: Mapping[str, Any], trust: Sequence[str] | None) -> nn.Module:
        """Build the loss that the configuration names: it maps outputs and targets to their mean loss, ()."""
        criterion: nn.Module = build("criterion", node, nn.Module, trust)
        return criterion

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

    def show_result(
        self, console: Console, split: str, result: Any, class_names: Sequence[str], level: int = 1
    ) -> None:
        """Print the result of an evaluation.

        Args:
            console: where it is printed.
            split: the part of the data that was evaluated.
            result: of :meth:`evaluation`.
            class_names: of the data.
            level: the ``verbose`` that prints the details too, such as the scores of each class.
        """
        shown = [
            f"{figure.score.heading} {figure.score.text(figure.value_in(result))}"
            for figure in self.scores.on(split)
        ]
        console.line(f"[bold]{split}[/] {{}}  ({result.examples:,} images)", ", ".join(shown))

    def activate(self, output: Tensor) -> Tensor:
        """Return what outputs, float (N, ...), mean to a user: probabilities in place of logits, say."""
        return output

    @abstractmethod
    def decode(
        self, activated: Tensor, class_names: Sequence[str], most: int
    ) -> list[tuple[tuple[str, float], ...]]:
        """Return for each image the names and values that ``predict`` shows, the first one first.

        Args:
            activated: of :meth:`activate`, on the CPU.
            class_names: of the data.
            most: how many at most.
        """
