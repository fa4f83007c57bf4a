"""A set of labelled pictures in memory, as bytes."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import Dataset

from cnntrain.errors import UserError

CHUNK = 4096  # pictures converted to float at a time, which bounds the memory that a conversion takes


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    """Labelled pictures: what every source of data comes down to.

    Args:
        images: uint8 (N, C, H, W).
        labels: int64 (N,), from 0 to the number of classes minus 1.
        class_names: the name of each class.
    """

    def __init__(self, images: Tensor, labels: Tensor, class_names: Sequence[str]) -> None:
        if images.dtype != torch.uint8 or images.dim() != 4:
            raise UserError(f"pictures must be uint8 (N, C, H, W), not {images.dtype} {tuple(images.shape)}")
        if len(images) != len(labels):
            raise UserError(f"{len(images):,} pictures and {len(labels):,} labels: the files do not match")
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(class_names):
            wrong = int(labels.max()) if int(labels.min()) >= 0 else int(labels.min())
            raise UserError(f"label {wrong} is outside the {len(class_names)} classes")
        self.images = images
        self.labels = labels.long()
        self.class_names = tuple(class_names)

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one picture, uint8 (C, H, W), and its label, int64 ()."""
        return self.images[index], self.labels[index]

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return a batch with one gather: uint8 (N, C, H, W) and int64 (N,). The DataLoader calls this."""
        index = torch.tensor(indices)
        return self.images[index], self.labels[index]

    def fingerprint(self) -> int:
        """Return a checksum (CRC-32) of pictures and labels: a resumed run must see the same data."""
        return zlib.crc32(self.labels.numpy(), zlib.crc32(self.images.contiguous().numpy()))


def as_pictures(dataset: Any) -> Pictures:
    """Turn a map-style dataset of (picture, label) pairs into :class:`Pictures`.

    A picture is a PIL image, an array or a tensor; floats are taken to lie between 0 and 1.
    """
    if isinstance(dataset, Pictures):
        return dataset
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise UserError(f"{type(dataset).__name__} is not a data set: it needs __len__ and __getitem__")
    pairs = [dataset[index] for index in range(len(dataset))]
    images = [as_bytes(image) for image, _ in pairs]
    sizes = {tuple(image.shape) for image in images}
    if len(sizes) > 1:
        raise UserError(f"{type(dataset).__name__} gives pictures of several shapes: {sorted(sizes)[:3]} ...")
    labels = torch.tensor([int(label) for _, label in pairs])
    names = getattr(dataset, "classes", None) or [str(label) for label in range(int(labels.max()) + 1)]
    return Pictures(torch.stack(images), labels, [str(name) for name in names])


def as_bytes(image: Any) -> Tensor:
    """Turn one PIL image (H, W[, C]), array (H, W[, C]) or tensor (C, H, W) into uint8 (C, H, W)."""
    if isinstance(image, Tensor):
        array = image if image.dim() == 3 else image[None]
    else:
        pixels = torch.from_numpy(np.array(image))
        array = pixels[None] if pixels.dim() == 2 else pixels.permute(2, 0, 1)
    if array.is_floating_point():
        array = (array * 255).round().clamp(0, 255)
    return array.to(torch.uint8)


def fit(pictures: Pictures, channels: int, image_size: int) -> Pictures:
    """Return the pictures as (channels, image_size, image_size), converted only where they differ."""
    images = pictures.images
    if images.shape[1] != channels:
        images = convert_channels(images, channels)
    if tuple(images.shape[2:]) != (image_size, image_size):
        images = torch.cat([resize(chunk, image_size) for chunk in images.split(CHUNK)])
    return pictures if images is pictures.images else Pictures(images, pictures.labels, pictures.class_names)


def convert_channels(images: Tensor, channels: int) -> Tensor:
    """Turn grey pictures into colour by repeating them, colour into grey by ITU-R 601 luma."""
    if images.shape[1] == 1:
        return images.expand(-1, channels, -1, -1).contiguous()
    if images.shape[1] == 3 and channels == 1:
        luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        return torch.cat(
            [(chunk * luma).sum(1, keepdim=True).round().to(torch.uint8) for chunk in images.split(CHUNK)]
        )
    raise UserError(f"data.channels={channels}: pictures of {images.shape[1]} channels can't be turned into that")


def resize(images: Tensor, image_size: int) -> Tensor:
    """Scale pictures to a square, bilinearly and without aliasing."""
    size = (image_size, image_size)
    scaled = F.interpolate(images.float(), size=size, mode="bilinear", antialias=True, align_corners=False)
    return scaled.round().clamp(0, 255).to(torch.uint8)
