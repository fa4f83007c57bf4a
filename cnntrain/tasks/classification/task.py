"""Classification as a task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cnntrain.compute.ddp import Shard
from cnntrain.config.instantiate import build
from cnntrain.config.keys import data_with
from cnntrain.errors import UserError
from cnntrain.runtime.console import Console
from cnntrain.tasks.base import Batch, Task
from cnntrain.tasks.classification import doctor
from cnntrain.tasks.classification.metrics import ClassificationEvaluation, RunningAccuracy
from cnntrain.tasks.classification.predictions import ImagePredictions, PredictionCollector
from cnntrain.tasks.classification.scores import SCORES
from cnntrain.tasks.classification.screen import show_classes, show_result
from cnntrain.tasks.classification.tta import Views
from cnntrain.tasks.doctor import Chance, Finding, Finished, MemorizationTest
from cnntrain.tasks.losses import class_weights
from cnntrain.tasks.portable.exported import Exported
from cnntrain.tasks.report import Evaluated, Section

if TYPE_CHECKING:
    from cnntrain.drawing.plots import Plots


class Classification(Task):
    """Each image belongs to one class; the model gives a logit for each."""

    scores = SCORES
    of_output = "one logit a class"
    compared = "logits with class numbers"
    named = ("class", "probability")
    value_format = ".2%"
    listed = "classes"
    details = "every class"

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The number of classes."""
        return (self.num_classes,)

    def check_output(self, name: str, output: Any) -> None:
        """Raise a UserError unless there is a logit for each class; for one that labels pixels, name data."""
        try:
            super().check_output(name, output)
        except UserError as error:
            if not isinstance(output, Tensor) or output.dim() != 4:
                raise
            raise UserError(f"{error}; a network that labels pixels takes {data_with('masks')}") from None

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

    def running_mean(self, device: torch.device, shard: Shard | None = None) -> RunningAccuracy:
        """Return what measures loss and accuracy of an epoch of training."""
        return RunningAccuracy(device, shard)

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

    def collector(self) -> PredictionCollector:
        """Return what keeps label, predicted class and confidence of each image."""
        return PredictionCollector()

    def headline(self, seen: Evaluated) -> str:
        """Return the accuracy with its interval, against chance."""
        from cnntrain.tasks.classification.report import sections  # which imports matplotlib

        return sections.headline(seen.result, seen.split, seen.images.called.words)

    def sections(self, seen: Evaluated, plots: Plots) -> Iterator[Section]:
        """Yield the confusion matrix, classes, mistakes, calibration and accuracy on translated images."""
        from cnntrain.tasks.classification.report import sections

        yield from sections.sections(seen, plots)

    def examples(self, seen: Evaluated, most: int) -> list[tuple[int, str]]:
        """Return images of different classes, recognised ones first, with the names of their classes."""
        predictions: ImagePredictions = seen.kept
        return [
            (index, seen.class_names[int(predictions.labels[index])]) for index in predictions.examples(most)
        ]

    def chance(self, criterion: nn.Module) -> Chance | None:
        """Return the cross entropy of equal probabilities, ln(classes)."""
        return doctor.chance_of(criterion, self.num_classes)

    def has_learnt(self, row: Mapping[str, Any]) -> bool:
        """Return whether the accuracy is well above chance."""
        return doctor.has_learnt(row, self.num_classes)

    def memorization_test(self, y: Tensor) -> MemorizationTest | None:
        """Return the bounds of the cross entropy on labels, int64 (N,), or shares, float (N, classes)."""
        return doctor.memorization_test(y, self.num_classes)

    def wrong_outputs(self, output: Tensor, criterion: nn.Module) -> tuple[str, str] | None:
        """Return the problem of probabilities that are given to a loss that takes logits, if there is one."""
        if self.chance(criterion) is None or not doctor.are_probabilities(output):
            return None
        fix = "return logits from forward: CrossEntropyLoss applies the softmax itself"
        return "the model ends in a softmax, and the loss applies another", fix

    def findings(self, run: Finished) -> list[Finding]:
        """Return overfitting, too few validation images, imbalanced classes and wrong labels."""
        return doctor.findings(run)

    def views(self, model: nn.Module, kinds: Sequence[str]) -> nn.Module:
        """Return a model that gives the mean probabilities of several views of each image."""
        return Views(model, kinds)

    def exported(self) -> Exported:
        """Return what an exported model gives, probabilities, and the script that runs it."""
        script = Path(__file__).with_name("predict_onnx.py")
        meaning = "float32 (N, classes), probabilities"
        does = "gives the probabilities of `cnntrain predict`", "FILE_OR_FOLDER..."
        return Exported("probabilities", meaning, "the softmax", "logits", script, does)

    def means_the_same(self, found: Tensor, expected: Tensor, output: Tensor) -> bool:
        """Return whether the likeliest classes are the same, of probabilities (N, classes)."""
        return bool((found.argmax(1) == expected.argmax(1)).all())
