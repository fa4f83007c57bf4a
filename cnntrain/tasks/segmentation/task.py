"""Segmentation as a task."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cnntrain.compute.ddp import Shard
from cnntrain.config.instantiate import build
from cnntrain.drawing.masks import over, palette
from cnntrain.errors import UserError
from cnntrain.runtime.console import Console
from cnntrain.tasks.base import Batch, Task
from cnntrain.tasks.classes import areas
from cnntrain.tasks.doctor import Chance, Finding, Finished, MemorizationTest
from cnntrain.tasks.losses import class_weights
from cnntrain.tasks.portable.exported import Exported
from cnntrain.tasks.report import Evaluated, Section
from cnntrain.tasks.segmentation import doctor
from cnntrain.tasks.segmentation.metrics import RunningIoU, SegmentationEvaluation
from cnntrain.tasks.segmentation.predictions import MaskScoreCollector
from cnntrain.tasks.segmentation.scores import SCORES
from cnntrain.tasks.segmentation.screen import show_classes, show_result
from cnntrain.tasks.segmentation.tta import Views

if TYPE_CHECKING:
    from cnntrain.drawing.plots import Plots

TIE = 1e-5  # of two probabilities; a difference that another order of additions makes
TRIED = 8  # pixels; side of the images that a loss is tried on


class Segmentation(Task):
    """Each pixel belongs to one class; the model gives a logit for each class and pixel."""

    scores = SCORES
    learns_from = "masks"
    labels_pixels = True
    of_output = "one logit a class and pixel, as model=unet gives"
    compared = "logits with the classes of pixels"
    named = ("class", "share")
    value_format = ".2%"
    listed = "classes"
    details = "every class"

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The number of classes, height and width."""
        return (self.num_classes, *self.input_shape[1:])

    def targets(self, labels: Tensor) -> Tensor:
        """Return the classes of the pixels, int64 (N, H, W), of masks, uint8 (N, H, W)."""
        return labels.long()

    def noise(self, count: int, scale: float, mixed: bool = False) -> Batch:
        """Return random logits and classes of small images. No generator is changed."""
        generator = torch.Generator().manual_seed(0)
        logits = scale * torch.randn(count, self.num_classes, TRIED, TRIED, generator=generator)
        return logits, torch.randint(self.num_classes, (count, TRIED, TRIED), generator=generator)

    def criterion(self, node: Mapping[str, Any], trust: Sequence[str] | None) -> nn.Module:
        """Build the loss that the configuration names, with weights of the classes if there are any.

        That of ``criterion=cross_entropy`` leaves ignored pixels out, too.
        """
        node, known = dict(node), {}
        if node["_target_"] == "torch.nn.CrossEntropyLoss":
            node["_target_"] = "cnntrain.tasks.segmentation.losses.CrossEntropy"
        if isinstance(node.get("weight"), list):
            known["weight"] = class_weights(node.pop("weight"), self.num_classes)
            if bool((known["weight"] < 0).any()):
                raise UserError(f"criterion.weight={known['weight'].tolist()}: a weight is 0 or more")
        criterion: nn.Module = build("criterion", node, nn.Module, trust, **known)
        return criterion

    def running_mean(self, device: torch.device, shard: Shard | None = None) -> RunningIoU:
        """Return what measures loss, mean IoU and Dice of an epoch of training."""
        return RunningIoU(device, self.num_classes, shard)

    def evaluation(self, device: torch.device) -> SegmentationEvaluation:
        """Return what measures loss, confusion matrix and borders."""
        return SegmentationEvaluation(device, self.num_classes)

    def show_result(
        self, console: Console, split: str, result: Any, class_names: Sequence[str], level: int = 1
    ) -> None:
        """Print the mean IoU with its interval, and then the scores of each class."""
        show_result(console, split, result, class_names)
        show_classes(console, result.per_class(class_names), level)

    def activate(self, output: Tensor) -> Tensor:
        """Return the probabilities of each pixel's classes, of logits (N, classes, H, W)."""
        return output.softmax(dim=1)

    def decode(
        self, activated: Tensor, class_names: Sequence[str], most: int
    ) -> list[tuple[tuple[str, float], ...]]:
        """Return the classes that an image's pixels are taken for, and the share of the pixels of each."""
        predicted = activated.argmax(dim=1).flatten(1)
        counts = (image.bincount(minlength=len(class_names)) for image in predicted)
        return [areas(count, class_names, most) for count in counts]

    def drawn(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return images with their masks over them, uint8 (N, 3, H, W)."""
        colours = 3 if images.shape[1] >= 3 else 1
        pixels = images[:, :colours].permute(0, 2, 3, 1).cpu().numpy()
        return torch.from_numpy(over(pixels, labels.cpu().numpy())).permute(0, 3, 1, 2)

    def collector(self) -> MaskScoreCollector:
        """Return what keeps how well each image is segmented."""
        return MaskScoreCollector()

    def headline(self, seen: Evaluated) -> str:
        """Return the mean IoU with its interval."""
        from cnntrain.tasks.segmentation.report import sections  # which imports matplotlib

        return sections.headline(seen.result, seen.split)

    def sections(self, seen: Evaluated, plots: Plots) -> Iterator[Section]:
        """Yield the confusion matrix, classes, worst and best images, and errors at borders."""
        from cnntrain.tasks.segmentation.report import sections

        yield from sections.sections(seen, plots)

    def chance(self, criterion: nn.Module) -> Chance | None:
        """Return the cross entropy of equal probabilities, ln(classes)."""
        return doctor.chance_of(criterion, self.num_classes)

    def has_learnt(self, row: Mapping[str, Any]) -> bool:
        """Return whether the mean IoU is well above chance."""
        return doctor.has_learnt(row, self.num_classes)

    def memorization_test(self, y: Tensor) -> MemorizationTest | None:
        """Return the bounds of the cross entropy on the classes of pixels, int64 (N, H, W)."""
        return doctor.memorization_test(y, self.num_classes)

    def views(self, model: nn.Module, kinds: Sequence[str]) -> nn.Module:
        """Return a model that gives the mean probabilities of several views of each image, moved back."""
        return Views(model, kinds)

    def exported(self) -> Exported:
        """Return what an exported model gives, each pixel's probabilities, and the script that runs it."""
        script = Path(__file__).with_name("predict_onnx.py")
        return Exported(
            "probabilities",
            "float32 (N, classes, H, W), probabilities of each pixel",
            "the softmax",
            "logits of each pixel",
            script,
            ("writes the masks of `cnntrain predict`", "OUT FILE_OR_FOLDER..."),
            {"colors": json.dumps(palette()[: self.num_classes].tolist())},
        )

    def means_the_same(self, found: Tensor, expected: Tensor, output: Tensor) -> bool:
        """Return whether the masks are the same, of probabilities (N, classes, H, W).

        A pixel whose two likeliest classes are as likely as each other may go either way.
        """
        if self.num_classes == 1:
            return True
        first, second = expected.topk(2, dim=1).values.unbind(dim=1)
        differ = found.argmax(dim=1) != expected.argmax(dim=1)
        return not bool((differ & (first - second > TIE)).any())

    def findings(self, run: Finished) -> list[Finding]:
        """Return what is wrong with masks and classes: missing, ignored, misaligned, swallowed, rare."""
        return doctor.findings(run)
