"""What every kind of targets can do.

Memory, cache and streaming hand tensors on without knowing what is in them.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from cnntrain.data.augment.augment import Augment


class Targets(ABC):
    """Operations on the targets of images, (N, ...), wherever they lie.

    Attributes:
        name: the value of ``data.targets``.
        word, words: what one is called, and several.
        is_dense: whether there is a value for each pixel. Then the target is read when its image is read.
            Other targets are small, and those of all images stay in memory.
        dtype: the dtype of the tensors.
    """

    name: ClassVar[str]
    word: ClassVar[str]
    words: ClassVar[str]
    is_dense: ClassVar[bool]
    dtype: ClassVar[torch.dtype]

    @abstractmethod
    def of_item(self, value: Any, shape: Sequence[int], size: tuple[int, int], resize: str) -> Tensor:
        """Return the target of one image of a source.

        Args:
            value: the value as the source gives it.
            shape: height and width of the image, as the source gives it.
            size: height and width that images are resized to.
            resize: how, see :func:`cnntrain.data.resize.to_size`.

        Raises:
            TypeError, ValueError: it is no such target.
        """

    @abstractmethod
    def empty(self, count: int, size: tuple[int, int]) -> Tensor:
        """Return room for the targets of that many images of a height and width."""

    def stacked(self, targets: Sequence[Tensor], known: Tensor) -> Tensor:
        """Return the targets of some images, as :meth:`of_item` returns them, as a batch.

        Args:
            targets: one an image.
            known: those of all images, as far as they are known; else of none.
        """
        return torch.stack(list(targets))

    def put(self, room: Tensor, begin: int, some: Tensor) -> Tensor:
        """Write targets into the room for all of them, from a place on, and return the room."""
        room[begin : begin + len(some)] = some
        return room

    def from_attribute(self, value: Any) -> Tensor:
        """Return the targets of all images that a data set keeps as an attribute, as a tensor.

        Raises:
            AttributeError, TypeError, ValueError, RuntimeError: they are none.
        """
        return torch.as_tensor(value).to(self.dtype)

    def fitted(self, targets: Tensor, shape: tuple[int, int], size: tuple[int, int], resize: str) -> Tensor:
        """Return the targets of images that are resized from one height and width to another.

        Args:
            targets: the targets of the images.
            shape: height and width that they have.
            size: height and width of the results.
            resize: how, see :func:`cnntrain.data.resize.to_size`.
        """
        return targets

    @abstractmethod
    def check(self, targets: Tensor, class_names: Sequence[str]) -> None:
        """Raise a UserError if targets have a class that has no name."""

    def seen_at(self, targets: Tensor, shape: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Return the targets of the middle of each image.

        Args:
            targets: the targets of the images.
            shape: height and width of the whole.
            size: height and width of the middle.
        """
        return targets

    def augmented(
        self, augment: Augment, x: Tensor, targets: Tensor, generator: Generator, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return changed copies of images, and their targets.

        Args:
            augment: changes them.
            x: uint8 (N, C, H, W).
            targets: the targets of these images, on their device.
            generator: the generator of the draws, on that device, too.
            size: height and width of the results, if parts of the images are scaled.
        """
        return augment(x, generator, size), targets

    @abstractmethod
    def for_fingerprint(self, targets: Tensor, places: Tensor) -> Tensor:
        """Return the targets as a part of the data's fingerprint.

        Args:
            targets: all of them.
            places: the places of the images that are looked at for that, int64 (M,).
        """

    @abstractmethod
    def strata(self, targets: Tensor) -> Tensor | None:
        """Return the group of each image, int64 (N,), each split in one proportion; None: no groups."""

    @abstractmethod
    def counts(self, targets: Tensor, num_classes: int) -> Tensor:
        """Return how often each class occurs, int64 (num_classes,)."""


def checksum(images: Tensor, targets: Tensor) -> int:
    """Return the CRC-32 of images and targets, wherever and however they lie in memory."""
    known = zlib.crc32(images.cpu().contiguous().numpy().data)
    return zlib.crc32(targets.cpu().contiguous().numpy().data, known)
