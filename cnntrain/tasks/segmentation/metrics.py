"""The metrics of segmentation. Pixels are counted over all images; no value is a mean over batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from cnntrain.annotations.regions import IGNORED
from cnntrain.compute.ddp import Shard
from cnntrain.runtime.ranks import rank, world_size
from cnntrain.tasks.metrics import Evaluation, Result, RunningMean
from cnntrain.tasks.segmentation.boundary import border_counts, boundary_f1

GROUPS = 4096  # of images, that the bootstrap draws from
NUMBERS = 2**20  # that are kept of a class's pixels in these groups, at most
DRAWS, AT_ONCE = 1000, 50  # of the bootstrap
LEVEL = 0.95


def pixel_counts(predicted: Tensor, y: Tensor, num_classes: int) -> Tensor:
    """Return for each image and class the pixels that are right, true and predicted, int64 (N, 3, classes).

    Args:
        predicted: classes, int64 (N, H, W).
        y: true classes, int64 (N, H, W); pixels that are ignored count nowhere.
        num_classes: number of classes.
    """
    counts = y != IGNORED
    kinds = (counts & (predicted == y), y), (counts, y), (counts, predicted)
    image = torch.arange(len(y), device=y.device)[:, None, None] * (num_classes + 1)
    none = torch.tensor(num_classes, device=y.device)  # one more class, for what counts nowhere
    cells = [(image + classes.where(where, none)).flatten() for where, classes in kinds]
    size = len(y) * (num_classes + 1)
    found = [torch.bincount(c, minlength=size).view(len(y), num_classes + 1)[:, :-1] for c in cells]
    return torch.stack(found, dim=1)


def iou_of(counts: Tensor) -> Tensor:
    """Return the intersection over union of each class, float64 (..., classes), of counts (..., 3, classes).

    It is NaN for classes that no pixel has.
    """
    right, true, said = counts.double().unbind(dim=-2)
    return (right / (true + said - right)).where(true > 0, torch.nan)


def dice_of(counts: Tensor) -> Tensor:
    """Return the Dice coefficient, or F1, of each class, as :func:`iou_of` does."""
    right, true, said = counts.double().unbind(dim=-2)
    return (2 * right / (true + said)).where(true > 0, torch.nan)


def mean_over_classes(values: Tensor) -> Tensor:
    """Return the mean over the classes that are there, float64 (...); 0 of none."""
    return values.nanmean(dim=-1).nan_to_num(0.0)


class RunningIoU(RunningMean):
    """The mean loss, mean IoU and Dice over the images seen so far in an epoch of training.

    Args:
        device: the device of the losses.
        num_classes: number of classes.
        shard: this process's part of each batch, if several processes train the model.
    """

    def __init__(self, device: torch.device, num_classes: int, shard: Shard | None = None) -> None:
        super().__init__(device, shard)
        self.num_classes = num_classes
        self.sums["pixels"] = torch.zeros(3, num_classes, device=device, dtype=torch.int64)

    @property
    def miou(self) -> float:
        """Mean intersection over union of the classes that were there, from 0 to 1."""
        return float(mean_over_classes(iou_of(self.total("pixels"))))

    @property
    def dice(self) -> float:
        """Mean Dice coefficient of the classes that were there, from 0 to 1."""
        return float(mean_over_classes(dice_of(self.total("pixels"))))

    def extract(self, output: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Return the pixels of each class that are right, true and predicted, int64 (3, classes).

        Args:
            output: logits, float (N, classes, H, W).
            y: classes, int64 (N, H, W).
        """
        return (pixel_counts(output.detach().argmax(dim=1), y, self.num_classes).sum(dim=0),)

    def add(self, *noted: Sequence[Tensor]) -> None:
        """Add up the pixels of some batches."""
        (pixels,) = map(list, noted)
        self.sums["pixels"] += torch.stack(pixels).sum(dim=0)


@dataclass(frozen=True)
class SegmentationResult(Result):
    """An evaluation of a network that segments images.

    Args:
        loss: mean loss per pixel.
        examples: number of images evaluated.
        confusion: pixels, int64 (classes, classes); row: true class, column: predicted class.
        borders: see :func:`border_counts`, int64 (4, classes).
        groups: pixels of each class that are right, true and predicted, in groups of images, int64
            (groups, 3, classes). A group is a single image unless there are many.
    """

    confusion: Tensor
    borders: Tensor
    groups: Tensor

    @cached_property
    def pixels(self) -> Tensor:
        """The pixels of each class that are right, true and predicted, int64 (3, classes)."""
        return torch.stack([self.confusion.diag(), self.confusion.sum(dim=1), self.confusion.sum(dim=0)])

    @property
    def iou(self) -> Tensor:
        """Intersection over union of each class, float64 (classes,); NaN for a class that no pixel has."""
        return iou_of(self.pixels)

    @property
    def miou(self) -> float:
        """The mean of :attr:`iou` over the classes that are there, from 0 to 1 (Everingham et al. 2015)."""
        return float(mean_over_classes(self.iou))

    @property
    def dice(self) -> float:
        """The mean of the Dice coefficient over the classes that are there, from 0 to 1."""
        return float(mean_over_classes(dice_of(self.pixels)))

    @property
    def pixel_accuracy(self) -> float:
        """Share of pixels whose class is right, from 0 to 1."""
        return int(self.confusion.diag().sum()) / max(1, int(self.confusion.sum()))

    @property
    def boundary_f1(self) -> float:
        """The mean of the boundary F1 over the classes that are there and have borders, from 0 to 1."""
        return float(mean_over_classes(self.boundary_f1s))

    @property
    def boundary_f1s(self) -> Tensor:
        """The boundary F1 of each class, float64 (classes,); NaN for a class without pixels or borders."""
        return boundary_f1(self.borders).where(self.pixels[1] > 0, torch.nan)

    @cached_property
    def miou_interval(self) -> tuple[float, float]:
        """The interval in which the mean IoU of other such images lies, at 95 % (Efron 1979, the bootstrap).

        It is that of the mean IoU of images drawn again from these, with replacement, a thousand times.
        """
        count = len(self.groups)
        if count == 0:
            return 0.0, 1.0
        generator = torch.Generator().manual_seed(0)
        flat, found = self.groups.double().flatten(1), []
        for _ in range(DRAWS // AT_ONCE):
            drawn = torch.randint(count, (AT_ONCE, count), generator=generator)
            times = torch.zeros(AT_ONCE, count, dtype=torch.float64).scatter_add_(
                1, drawn, torch.ones_like(drawn, dtype=torch.float64)
            )
            found.append(mean_over_classes(iou_of((times @ flat).view(AT_ONCE, *self.groups.shape[1:]))))
        edges = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)
        low, high = torch.cat(found).quantile(edges).tolist()
        return low, high

    def absent(self, class_names: Sequence[str]) -> list[str]:
        """Return the names of the classes that no pixel has, which the means leave out."""
        return [name for name, pixels in zip(class_names, self.pixels[1].tolist(), strict=True) if not pixels]

    def per_class(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """Return the scores of each class and the number of its pixels; None for scores of absent classes."""
        scores = (self.iou, dice_of(self.pixels), self.boundary_f1s)
        columns = [[None if value != value else value for value in score.tolist()] for score in scores]
        rows = zip(class_names, *columns, self.pixels[1].tolist(), strict=True)
        return [
            {
                "class": name,
                "iou": iou,
                "dice": dice,
                "boundary_f1": f1 if iou is not None else None,
                "pixels": n,
            }
            for name, iou, dice, f1, n in rows
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the loss, the scores and the number of images."""
        names = ("loss", "miou", "dice", "pixel_accuracy", "boundary_f1", "examples")
        return {name: getattr(self, name) for name in names}

    def details(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return the interval of the mean IoU, the scores of each class, and the confusion matrix."""
        return {
            "miou_interval": list(self.miou_interval),
            "absent_classes": self.absent(class_names),
            "per_class": self.per_class(class_names),
            "confusion_matrix": self.confusion.tolist(),
        }


class SegmentationEvaluation(Evaluation[SegmentationResult]):
    """Collects a :class:`SegmentationResult` batch by batch, in memory that does not grow with the images.

    The first images are each a group of their own; those after them are added to the groups in turn.

    Args:
        device: the device of the losses.
        num_classes: number of classes.
    """

    def __init__(self, device: torch.device, num_classes: int) -> None:
        super().__init__(device)
        self.num_classes = num_classes
        self.group_count = max(1, min(GROUPS, NUMBERS // num_classes))
        sizes = {
            "confusion": (num_classes, num_classes),
            "borders": (4, num_classes),
            "groups": (self.group_count, 3, num_classes),
            "images": (self.group_count,),
        }
        for name, size in sizes.items():
            self.sums[name] = torch.zeros(size, device=device, dtype=torch.int64)

    def add(self, output: Tensor, y: Tensor) -> None:
        """Count the pixels of logits, float (N, classes, H, W), for the classes y, int64 (N, H, W)."""
        predicted = output.argmax(dim=1)
        classes = self.num_classes
        cells = (y * classes + predicted).where(y != IGNORED, classes**2).flatten()
        self.sums["confusion"] += torch.bincount(cells, minlength=classes**2 + 1)[:-1].view(classes, classes)
        self.sums["borders"] += border_counts(predicted, y, classes)
        # The processes of a run take turns, so that each adds to groups of its own while there are enough.
        numbers = torch.arange(self.seen - len(y), self.seen, device=y.device) * world_size() + rank()
        groups = numbers % self.group_count
        self.sums["groups"].index_add_(0, groups, pixel_counts(predicted, y, classes))
        self.sums["images"].index_add_(0, groups, torch.ones_like(groups))

    def summed(self, loss: float, examples: int, sums: dict[str, Tensor]) -> SegmentationResult:
        """Return the result of all images."""
        groups = sums["groups"][sums["images"] > 0]
        return SegmentationResult(loss, examples, sums["confusion"], sums["borders"], groups)
