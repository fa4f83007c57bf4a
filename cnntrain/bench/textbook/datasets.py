"""Data sets as a textbook writes them, and batches of what they hand out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from cnntrain.annotations.regions import BOX_CLASS, BOX_IGNORED
from cnntrain.bench.textbook.canvases import TextbookCanvases
from cnntrain.bench.textbook.sequences import TextbookSequences
from cnntrain.bench.textbook.transforms import Sample, Target, Transform, as_learnt, transforms
from cnntrain.config.sections import DataSettings
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.sequences.dataset import SequenceDataset
from cnntrain.data.sources.canvas.compose import Geometry
from cnntrain.data.sources.canvas.source import digits_of
from cnntrain.data.targets import BOXES

CANVASES = "cnntrain.data.sources.MNISTCanvas"  # the data set whose images are composed


def textbook_dataset(
    settings: DataSettings,
    images: InMemoryDataset,
    most: int,
    strengths: Mapping[str, float],
    normalizes: bool = True,
) -> tuple[Dataset[Any], str]:
    """Return the data set of a textbook's loop, and what it does, in words.

    Args:
        settings: the settings of the data.
        images: those of the run.
        most: images of the data set, at most.
        strengths: the strengths of each kind of augmentation, which masks and boxes follow. A data set of
            classes has none.
        normalizes: whether the images are normalised; torchvision's detectors do so themselves.
    """
    mean, std, count = settings.mean, settings.std, min(most, len(images))
    if isinstance(images, SequenceDataset):
        sequences = TextbookSequences(images, count, mean, std)
        return sequences, f"{settings.called.words} padded batch by batch with pad_sequence"
    if settings.targets == "classes":
        return TextbookClasses(images, count, mean, std), "torchvision transforms image by image"
    normalize = (mean, std) if normalizes else None
    transform = transforms(strengths, images.image_size, normalize, settings.targets)
    if settings.source["_target_"] != CANVASES:
        return TextbookAnnotated(images, count, transform), "torchvision v2 transforms image by image"
    own = settings.passed_on
    digits, labels, _ = digits_of(True, own["root"], False)
    drawn = {name: own[name] for name in ("overlap", "noise", "clutter", "threshold")}
    geometry = Geometry(images.image_size, tuple(own["digits"]), tuple(own["digit_size"]), **drawn)
    canvases = TextbookCanvases(
        digits[:, 0].numpy(), labels.tolist(), geometry, count, transform, settings.targets
    )
    return canvases, "canvases composed and transformed (torchvision v2) one by one"


class TextbookClasses(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets hand them out: one PIL image at a time, transformed on the way.

    Args:
        images: the data set.
        count: how many of its images.
        mean: the mean of each channel.
        std: the standard deviation of each channel.
    """

    def __init__(self, images: InMemoryDataset, count: int, mean: list[float], std: list[float]) -> None:
        from torchvision import transforms

        self.pixels = images.first(count).cpu().permute(0, 2, 3, 1).numpy()
        self.labels: list[int] = images.labels[:count].tolist()
        self.transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return one image, float32 (C, H, W), and its class."""
        pixels = self.pixels[index]
        image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
        return self.transform(image), self.labels[index]


class TextbookAnnotated(Dataset[Sample]):
    """Images with masks or boxes that are in memory, one at a time.

    Args:
        images: the data set.
        count: how many of its images.
        transform: maps an image and its target, as tv_tensors, to what is learnt.
    """

    def __init__(self, images: InMemoryDataset, count: int, transform: Transform) -> None:
        self.pixels = images.first(count).cpu().numpy()
        self.labels = images.labels[:count].cpu()
        self.transform = transform

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        """Return one image, float32 (C, H, W), and its mask, uint8 (H, W), or its boxes."""
        label = self.labels[index]
        return as_learnt(self.pixels[index], target_of(label), self.transform)


def target_of(label: Tensor) -> Target:
    """Return a mask as it is, and rows of boxes, float32 (M, 6), in the manner of torchvision's detectors."""
    if label.dtype == torch.uint8:
        return label
    rows = label[(label[:, BOX_CLASS] >= 0) & (label[:, BOX_IGNORED] == 0)]
    return {"boxes": rows[:, :BOX_CLASS], "labels": rows[:, BOX_CLASS].long()}


def in_lists(samples: Sequence[Sample]) -> tuple[Any, ...]:
    """Return images and targets side by side: the ``collate_fn`` of torchvision's detection references."""
    return tuple(zip(*samples, strict=True))


def stacked(images: Sequence[Tensor], targets: Sequence[Mapping[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return a batch that came as lists, float32 (N, C, H, W), and its boxes, float32 (N, M, 6)."""
    rows = [
        torch.cat([target["boxes"], target["labels"][:, None], torch.zeros(len(target["labels"]), 1)], dim=1)
        for target in targets
    ]
    return torch.stack(list(images)), BOXES.stacked(rows, torch.empty(0))
