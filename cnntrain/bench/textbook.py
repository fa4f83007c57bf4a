"""Data sets as a textbook writes them: one image at a time, transformed by torchvision on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from cnntrain.annotations.regions import IGNORED
from cnntrain.config.sections import DataSettings
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.sources.canvas.compose import FRAGMENT, Geometry
from cnntrain.data.sources.canvas.layout import TRIES
from cnntrain.data.sources.canvas.source import digits_of

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels
Transform = Callable[[Any, Any], tuple[Tensor, Tensor]]


CANVASES = "cnntrain.data.sources.MNISTCanvas"  # the data set whose images are composed


def textbook_dataset(
    settings: DataSettings, images: InMemoryDataset, most: int, strengths: Mapping[str, float]
) -> tuple[Dataset[Any], str]:
    """Return the data set of a textbook's loop, and what it does, in words.

    Args:
        settings: of the data.
        images: those of the run.
        most: images of the data set, at most.
        strengths: of each kind of augmentation, which masks follow. A data set of classes has none.
    """
    mean, std, count = settings.mean, settings.std, min(most, len(images))
    if settings.targets != "masks":
        return TextbookClasses(images, count, mean, std), "torchvision transforms image by image"
    transform = transforms(strengths, images.image_size, mean, std)
    if settings.source["_target_"] != CANVASES:
        return TextbookMasks(images, count, transform), "torchvision v2 transforms image by image"
    own = settings.passed_on
    digits, labels, _ = digits_of(True, own["root"], False)
    drawn = {name: own[name] for name in ("overlap", "noise", "clutter", "threshold")}
    geometry = Geometry(images.image_size, tuple(own["digits"]), tuple(own["digit_size"]), **drawn)
    canvases = TextbookCanvases(digits[:, 0].numpy(), labels.tolist(), geometry, count, transform)
    return canvases, "canvases composed and transformed (torchvision v2) one by one"


class TextbookClasses(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets hand them out: one PIL image at a time, transformed on the way.

    Args:
        images: the data set.
        count: how many of its images.
        mean: of each channel.
        std: likewise.
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


class TextbookCanvases(Dataset[tuple[Tensor, Tensor]]):
    """Canvases of digits, each composed when it is asked for.

    Args:
        digits: uint8 (D, 28, 28).
        labels: which digit each of them is.
        geometry: what the canvases look like.
        count: number of canvases.
        transform: maps an image and its mask, as tv_tensors, to what is learnt.
    """

    def __init__(
        self, digits: Pixels, labels: list[int], geometry: Geometry, count: int, transform: Transform
    ) -> None:
        self.digits = digits
        self.labels = labels
        self.geometry = geometry
        self.count = count
        self.transform = transform

    def __len__(self) -> int:
        """Return the number of canvases."""
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one canvas, float32 (1, H, W), and its mask, uint8 (H, W)."""
        random, geometry = np.random.default_rng(index), self.geometry
        image = self.background(random)
        mask = np.zeros_like(image)
        boxes: list[Box] = []
        for _ in range(random.integers(geometry.digits[0], geometry.digits[1] + 1)):
            which = random.integers(len(self.digits))
            side = int(random.integers(geometry.digit_size[0], geometry.digit_size[1] + 1))
            digit = np.asarray(Image.fromarray(self.digits[which]).resize((side, side)))
            ink = digit > 255 * geometry.threshold
            place = self.place(random, ink, boxes)
            if place is None:
                continue
            here = np.s_[place[1] : place[1] + side, place[0] : place[0] + side]
            image[here] = np.where(ink, digit, np.maximum(digit, image[here]))
            mask[here][ink] = self.labels[which] + 1
        if geometry.noise:
            noisy = image + random.normal(0, 255 * geometry.noise, image.shape)
            image = noisy.clip(0, 255).astype(np.uint8)
        return as_learnt(image[None], mask, self.transform)

    def background(self, random: np.random.Generator) -> Pixels:
        """Return a black canvas with pieces of digits at random places, uint8 (H, W)."""
        height, width = self.geometry.size
        image = np.zeros((height, width), dtype=np.uint8)
        tall, wide = min(FRAGMENT, height), min(FRAGMENT, width)
        for _ in range(self.geometry.clutter):
            which = random.integers(len(self.digits))
            down, right = random.integers(28 - tall + 1), random.integers(28 - wide + 1)
            top, left = random.integers(height - tall + 1), random.integers(width - wide + 1)
            piece = self.digits[which, down : down + tall, right : right + wide]
            here = np.s_[top : top + tall, left : left + wide]
            image[here] = np.maximum(image[here], piece)
        return image

    def place(
        self, random: np.random.Generator, ink: NDArray[np.bool_], boxes: list[Box]
    ) -> tuple[int, int] | None:
        """Return where a digit begins, left and top, and note its box; None if it found no room."""
        height, width = self.geometry.size
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        if not len(rows):
            return None
        for _ in range(TRIES):
            left = int(random.integers(width - ink.shape[1] + 1))
            top = int(random.integers(height - ink.shape[0] + 1))
            box = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
            if all(covered(box, other) <= self.geometry.overlap for other in boxes):
                boxes.append(box)
                return left, top
        return None


class TextbookMasks(Dataset[tuple[Tensor, Tensor]]):
    """Images and masks that are in memory, one at a time.

    Args:
        images: the data set.
        count: how many of its images.
        transform: maps an image and its mask, as tv_tensors, to what is learnt.
    """

    def __init__(self, images: InMemoryDataset, count: int, transform: Transform) -> None:
        self.pixels = images.first(count).cpu().numpy()
        self.masks = images.labels[:count].cpu().numpy()
        self.transform = transform

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.masks)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one image, float32 (C, H, W), and its mask, uint8 (H, W)."""
        return as_learnt(self.pixels[index], self.masks[index], self.transform)


def as_learnt(image: Pixels, mask: Pixels, transform: Transform) -> tuple[Tensor, Tensor]:
    """Return an image, uint8 (C, H, W), and its mask, uint8 (H, W), after the transforms."""
    from torchvision import tv_tensors

    return transform(tv_tensors.Image(torch.from_numpy(image)), tv_tensors.Mask(torch.from_numpy(mask)))


def transforms(
    strengths: Mapping[str, float], size: tuple[int, int], mean: list[float], std: list[float]
) -> Transform:
    """Return torchvision's v2 transforms that change image and mask together, and then normalise the image.

    Args:
        strengths: of each kind of augmentation. Those that torchvision does not have for masks
            (TrivialAugment, RandAugment, erasing) are left out, which makes the textbook loop faster.
        size: height and width of an image, in pixels.
        mean: of each channel.
        std: likewise.
    """
    from torchvision import tv_tensors
    from torchvision.transforms import InterpolationMode, v2

    fill = {tv_tensors.Image: 0, tv_tensors.Mask: IGNORED}
    kinds: dict[str, Callable[[float], Any]] = {
        "crop": lambda least: v2.RandomResizedCrop(size, scale=(least, 1.0)),
        "flip": v2.RandomHorizontalFlip,
        "rotate": lambda degrees: v2.RandomRotation(
            [-degrees, degrees], InterpolationMode.BILINEAR, fill=fill
        ),
        "shift": lambda pixels: v2.RandomCrop(size, padding=int(pixels), fill=fill),
        "jitter": lambda strength: v2.ColorJitter(strength, strength, strength),
        "hue": lambda strength: v2.ColorJitter(hue=strength),
    }
    chosen = [make(strengths[kind]) for kind, make in kinds.items() if kind in strengths]
    to_floats = v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True)
    composed: Transform = v2.Compose([*chosen, to_floats, v2.Normalize(mean, std)])
    return composed


def covered(box: Box, other: Box) -> float:
    """Return which share of the smaller of two boxes the other one covers."""
    wide = min(box[2], other[2]) - max(box[0], other[0])
    tall = min(box[3], other[3]) - max(box[1], other[1])
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)]
    return max(wide, 0) * max(tall, 0) / min(areas)
