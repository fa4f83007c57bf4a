"""A set of images with their targets in memory, as bytes, and the ways of turning an image into bytes."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnntrain.data.augment.crop import central
from cnntrain.data.resize import Size, sides, to_size
from cnntrain.data.targets import Targets, checksum, kind_of
from cnntrain.errors import UserError

CHUNK = 2**24  # values converted to float at a time, which bounds the memory that it takes
SAMPLED = 64  # images that vouch for the rest, where reading them all would take too long
ROUNDING = 0.1  # how far beyond 0 and 1 floats may lie, since some ways of scaling images overshoot


class InMemoryDataset(Dataset[tuple[Tensor, Tensor]]):
    """Images and their targets: what every source of data comes down to.

    Args:
        images: uint8 (N, C, H, W); large ones are cut out faster if colours lie side by side in memory.
        labels: the targets: a class for each image, int64 (N,), from 0 to the number of classes minus 1; or
            for each pixel, uint8 (N, H, W), likewise, or 255 where it counts nowhere; or boxes, float32
            (N, M, 6), see :class:`cnntrain.data.targets.Boxes`.
        class_names: the name of each class.

    Attributes:
        targets: what can be done with the labels.
        whole: these images before their middle was cut out.
    """

    targets: Targets

    def __init__(self, images: Tensor, labels: Tensor, class_names: Sequence[str]) -> None:
        if images.dtype != torch.uint8 or images.dim() != 4:
            raise UserError(f"images must be uint8 (N, C, H, W), not {images.dtype} {tuple(images.shape)}")
        self.targets = kind_of(labels)
        if len(images) != len(labels):
            words = self.targets.words
            raise UserError(f"{len(images):,} images and {len(labels):,} {words}: the files do not match")
        if self.targets.is_dense and images.shape[2:] != labels.shape[1:]:
            own, theirs = ("×".join(map(str, tensor.shape[-2:])) for tensor in (images, labels))
            words = self.targets.words
            raise UserError(f"images of {own} pixels and {words} of {theirs}: the sizes do not match")
        self.targets.check(labels, class_names)
        self.images = images
        self.labels = labels.to(self.targets.dtype)
        self.class_names = tuple(class_names)
        self.whole = self

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one image, uint8 (C, H, W), and its target."""
        return self.images[index], self.labels[index]

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor]:
        """Return a batch with one gather: uint8 (N, C, H, W) and the targets. The DataLoader calls this."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        return self.gather(index), self.labels.index_select(0, index.to(self.device))

    def gather(self, indices: Tensor) -> Tensor:
        """Return some images, uint8 (N, C, H, W), by their indices, int64 (N,)."""
        index = indices.to(self.images.device)
        # index_select copies whole images; images[index] goes pixel by pixel and takes 15 times as long.
        if self.images.shape[1] > 1 and self.images.stride(1) == 1:  # colours side by side: in the batch too
            return self.images.permute(0, 2, 3, 1).index_select(0, index).permute(0, 3, 1, 2)
        return self.images.index_select(0, index)

    @property
    def names_for_cache(self) -> tuple[str, ...] | None:
        """The names of the classes, if they are known before the labels are."""
        return self.class_names

    def first(self, count: int) -> Tensor:
        """Return the first images, uint8 (count, C, H, W)."""
        return self.images[:count]

    @functools.cached_property
    def fingerprint(self) -> int:
        """Checksum of some images and of the targets: a resumed run must see the same data."""
        places = torch.from_numpy(evenly_spread(len(self)))
        return checksum(self.gather(places), self.targets.for_fingerprint(self.labels, places))

    @property
    def strata(self) -> Tensor | None:
        """The group of each image, int64 (N,), each split in one proportion; None: no groups."""
        return self.targets.strata(self.labels)

    def class_counts(self, indices: Tensor) -> Tensor:
        """Return how often each class occurs among the targets of some images, int64 (classes,)."""
        chosen = self.labels.index_select(0, indices.to(self.device))
        return self.targets.counts(chosen, len(self.class_names))

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self.images.device

    @property
    def size(self) -> int:
        """Bytes of all images."""
        return self.images.numel()

    @property
    def values(self) -> int:
        """Bytes of one image."""
        return self.images.shape[1] * math.prod(self.image_size)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.images.shape[2], self.images.shape[3]

    def seen_at(self, size: Size) -> InMemoryDataset:
        """Return the middle of each image, as a view; ``whole`` of that are these images."""
        size = sides(size)
        if size == self.image_size:
            return self
        labels = self.targets.seen_at(self.labels, self.image_size, size)
        middle = InMemoryDataset(central(self.images, size), labels, self.class_names)
        middle.whole = self
        return middle

    def to(self, device: torch.device) -> InMemoryDataset:
        """Return the same images on another device, where their batches are then made."""
        whole = self.whole
        return InMemoryDataset(whole.images.to(device), whole.labels.to(device), self.class_names).seen_at(
            self.image_size
        )


def as_bytes(image: Any) -> Tensor:
    """Turn one PIL image (H, W[, C]), array (H, W[, C]) or tensor ([C, ]H, W) into uint8 (C, H, W).

    Raises:
        ValueError: its values are not those of an image, because it was normalised, say.
    """
    if isinstance(image, Tensor):
        array = image if image.dim() == 3 else image[None]
    else:
        if getattr(image, "mode", None) == "P":  # indices into a palette, which are no colours
            image = image.convert("RGB")
        pixels = torch.from_numpy(np.array(image))
        array = pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1)
    if array.dtype == torch.uint8:
        return array
    if array.dtype == torch.bool:
        return array.to(torch.uint8) * 255
    if array.is_floating_point():
        check_between(array, -ROUNDING, 1 + ROUNDING, "floats must lie between 0 and 1")
        return (array * 255).round().clamp(0, 255).to(torch.uint8)
    check_between(array.long(), 0, 255, "whole numbers must lie between 0 and 255")
    return array.to(torch.uint8)


def evenly_spread(count: int) -> np.ndarray:
    """Return the places of some images, spread evenly, that vouch for the rest: int64 (N,)."""
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLED)).astype(np.int64))


def check_between(array: Tensor, low: float, high: float, rule: str) -> None:
    """Raise a ValueError unless all values of an image lie between two bounds."""
    least, most = array.min().item(), array.max().item()
    if not (low <= least and most <= high):  # so that NaN does not pass
        raise ValueError(
            f"{rule}, and these go from {least:.4g} to {most:.4g}; "
            "leave normalisation to data.mean and data.std"
        )


def fit(dataset: InMemoryDataset, channels: int, side: Size, resize: str) -> InMemoryDataset:
    """Return the images as (channels, height, width), and their targets; converted only if they differ."""
    images = fit_images(dataset.images, channels, side, resize)
    if images is dataset.images:
        return dataset
    labels = dataset.targets.fitted(dataset.labels, dataset.image_size, sides(side), resize)
    return InMemoryDataset(images, labels, dataset.class_names)


def fit_images(images: Tensor, channels: int, side: Size, resize: str) -> Tensor:
    """Return uint8 (N, C, H, W) as (N, channels, height, width).

    Args:
        images: on the CPU.
        channels: 1 for grey, 3 for colour.
        side: the size of the results, in pixels.
        resize: how, see :func:`cnntrain.data.resize.to_size`.
    """
    if images.shape[1] != channels:
        images = convert_channels(images, channels)
    return to_size(images, side, resize)


def convert_channels(images: Tensor, channels: int) -> Tensor:
    """Turn grey images into colour by repeating them, colour into grey by ITU-R 601 luma."""
    if images.shape[1] == 1:
        return images.expand(-1, channels, -1, -1).contiguous()
    if images.shape[1] == 3 and channels == 1:
        luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        grey = [(some * luma).sum(1, keepdim=True).round().to(torch.uint8) for some in in_chunks(images)]
        return torch.cat(grey)
    raise UserError(f"data.channels={channels}: images of {images.shape[1]} channels can't be converted")


def in_chunks(images: Tensor) -> Sequence[Tensor]:
    """Split images into chunks of up to CHUNK values."""
    chunks: Sequence[Tensor] = images.split(max(1, CHUNK // images[0].numel()))
    return chunks
