"""The seam between what a network learns and all that trains it: one abstract class."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from cnntrain.compute.ddp import Shard
from cnntrain.config.inputs import CALLED, IMAGES, Called
from cnntrain.config.instantiate import build
from cnntrain.errors import UserError
from cnntrain.runtime.console import Console, count
from cnntrain.tasks import report
from cnntrain.tasks.collector import Collector, NullCollector, evenly
from cnntrain.tasks.doctor import Chance, Finding, Finished, MemorizationTest
from cnntrain.tasks.dummy import dummy_labels
from cnntrain.tasks.metrics import Evaluation, Result, RunningMean
from cnntrain.tasks.portable.exported import Exported
from cnntrain.tasks.report import Evaluated, Section
from cnntrain.tasks.scores import Scores
from cnntrain.text import shown

if TYPE_CHECKING:
    from cnntrain.drawing.plots import Plots  # which imports matplotlib

Batch = tuple[Tensor, Tensor]


class Task(ABC):
    """What a network learns to do. The configuration chooses one: ``task._target_=my_module.MyTask``.

    Args:
        input_shape: channels, height and width of an image.
        num_classes: the number of classes that the data have.

    Attributes:
        scores: what is measured. From them follow the columns of metrics.csv, the screen, the loggers,
            rankings and the values of ``monitor``.
        learns_from: what the data must give for each image, as in ``data.targets``: ``classes``, ``masks``
            with a class for each pixel, or ``boxes``.
        labels_pixels: whether :meth:`activate` gives probabilities of the classes of each pixel, float
            (N, classes, H, W). Then ``predict`` writes masks.
        of_output: what an output is, in words, for messages.
        compared: what a loss compares, likewise.
        named: what :meth:`decode` names, and what it gives each: the columns of the predictions.
        value_format: how such a value is printed, as in ``format(value, ".2%")``.
        listed: what the predictions of an image are called together, in JSON.
        details: what ``cnntrain eval`` shows besides the scores, in words; empty for nothing.
        called: what messages call the examples: images, sequences or texts.
        in_use: what was chosen on validation images for the weights in use, see :meth:`chosen`.
    """

    scores: ClassVar[Scores]
    learns_from: ClassVar[str] = "classes"
    labels_pixels: ClassVar[bool] = False
    of_output: ClassVar[str] = "the output of this task"
    compared: ClassVar[str] = "outputs with targets"
    named: ClassVar[tuple[str, str]] = ("output", "value")
    value_format: ClassVar[str] = ".4g"
    listed: ClassVar[str] = "outputs"
    details: ClassVar[str] = ""
    called: Called = CALLED[IMAGES]

    def __init__(self, input_shape: tuple[int, int, int], num_classes: int) -> None:
        self.input_shape = input_shape
        self.num_classes = num_classes
        self.in_use: dict[str, float] = {}

    @property
    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what the model gives for one image."""

    def model_inputs(self) -> dict[str, Any]:
        """Return what a model may ask for by the names of its arguments.

        ``image_size`` is the side of square images, else height and width.
        """
        channels, height, width = self.input_shape
        return {
            "input_shape": self.input_shape,
            "in_channels": channels,
            "image_size": height if height == width else (height, width),
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
        """Return the targets of a batch as the criterion takes them, on the device of those of the data.

        Args:
            labels: the labels as the data have them: classes, int64 (N,); masks, uint8 (N, H, W), in which
                255 counts nowhere; or boxes, float32 (N, M, 6), see :class:`cnntrain.data.targets.Boxes`. Of
                images that mixup or CutMix mixes, shares of the classes, float (N, classes).
        """
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
        labels = dummy_labels(self.learns_from, count, self.input_shape[1:], self.num_classes)
        return torch.zeros(count, *self.input_shape), self.targets(labels)

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
    def running_mean(self, device: torch.device, shard: Shard | None = None) -> RunningMean:
        """Return what measures an epoch of training.

        Args:
            device: where the model is.
            shard: this process's part of each batch, if several processes train the model.
        """

    @abstractmethod
    def evaluation(self, device: torch.device) -> Evaluation[Result]:
        """Return what measures a trained model, which is on a device."""

    def chosen(self, result: Any) -> dict[str, float]:
        """Return what is chosen on validation images and kept with the weights, such as a threshold.

        Args:
            result: the result of :meth:`evaluation`, on the validation images.
        """
        return {}

    def use(self, chosen: Mapping[str, float]) -> None:
        """Go by what :meth:`chosen` returned when the weights in use were validated."""
        self.in_use = dict(chosen)

    def show_result(
        self, console: Console, split: str, result: Any, class_names: Sequence[str], level: int = 1
    ) -> None:
        """Print the result of an evaluation.

        Args:
            console: where it is printed.
            split: the part of the data that was evaluated.
            result: the result of :meth:`evaluation`.
            class_names: the class names of the data.
            level: the ``verbose`` that prints the details too, such as the scores of each class.
        """
        scores = self.scores.result_in_words(split, result)
        console.line(f"[bold]{split}[/] {{}}  ({count(result.examples, self.called.word)})", scores)

    def activate(self, output: Tensor) -> Tensor:
        """Return what outputs, float (N, ...), mean to a user: probabilities in place of logits, say."""
        return output

    @abstractmethod
    def decode(
        self, activated: Tensor, class_names: Sequence[str], most: int
    ) -> list[tuple[tuple[str, float], ...]]:
        """Return for each image the names and values that ``predict`` shows, the first one first.

        Args:
            activated: the activated of :meth:`activate`, on the CPU.
            class_names: the class names of the data.
            most: how many at most.
        """

    def drawn(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return images, uint8 (N, C, H, W), for loggers, with their labels if those can be drawn."""
        return images

    # ---- the report

    def collector(self) -> Collector[Any]:
        """Return what keeps, of each evaluated image, what the report and the training doctor need."""
        return NullCollector()

    def headline(self, seen: Evaluated) -> str:
        """Return as HTML what stands above all sections: how good the model is."""
        return report.headline(self.scores, seen)

    def sections(self, seen: Evaluated, plots: Plots) -> Iterator[Section]:
        """Yield the sections of the report that are of this task alone, in their order on the page.

        Args:
            seen: the evaluation, with what :meth:`collector` kept.
            plots: draws and saves figures.
        """
        yield report.figures(seen)
        yield report.predictions(seen, self.decoded(seen.class_names), self.value_format)

    def examples(self, seen: Evaluated, most: int) -> list[tuple[int, str]]:
        """Return the indices of a few images that are followed through the layers, and a name of each."""
        return [(index, seen.images.name(index)) for index in evenly(most, seen.images.count).tolist()]

    def decoded(self, class_names: Sequence[str], most: int = 3) -> Callable[[Tensor], list[Any]]:
        """Return what makes names and values, as :meth:`decode` returns them, of outputs, float (N, ...)."""
        return lambda output: self.decode(self.activate(output).cpu(), tuple(class_names), most)

    # ---- the training doctor

    def chance(self, criterion: nn.Module) -> Chance | None:
        """Return the loss of a model that knows nothing; None if that is not known for this criterion."""
        return None

    def has_learnt(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row of metrics.csv has good scores, however little the loss has fallen."""
        return False

    def memorization_test(self, y: Tensor) -> MemorizationTest | None:
        """Return how to tell whether a network memorises examples with targets y; None if unknown."""
        return None

    def wrong_outputs(self, output: Tensor, criterion: nn.Module) -> tuple[str, str] | None:
        """Return why a criterion can't learn from such outputs, and the fix; None if it can."""
        return None

    def findings(self, run: Finished) -> list[Finding]:
        """Return the problems of a finished run that this task alone can find."""
        return []

    # ---- use of a trained model

    def views(self, model: nn.Module, kinds: Sequence[str]) -> nn.Module:
        """Return a model whose outputs are means over several views of each image.

        Args:
            model: maps float (N, C, H, W) to outputs.
            kinds: ``flip``, the image and its mirror image; ``shift``, moved a little in four directions.

        Raises:
            UserError: outputs of this task have no mean.
        """
        raise UserError(f"tta={shown(kinds)} is not possible: {type(self).__name__} has no such views")

    def exported(self) -> Exported:
        """Return what an exported model gives, for its README and metadata."""
        return Exported()

    def counterpart(self, found: Tensor, expected: Tensor, output: Tensor) -> Tensor:
        """Return what an exported model's activated outputs are compared with, value by value, (N, ...).

        Args:
            found: the activated outputs of the exported model, (N, ...).
            expected: those of torch.
            output: what the network gives in torch before :meth:`activate`.
        """
        return expected

    def means_the_same(self, found: Tensor, expected: Tensor, output: Tensor) -> bool:
        """Return whether activated outputs mean the same to a user; arguments as of :meth:`counterpart`."""
        return torch.allclose(found, expected, rtol=1e-4, atol=1e-4)
