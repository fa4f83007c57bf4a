"""What the images of a data set are paired with: class numbers, or masks. There is one class a kind.

Memory, cache and streaming hand tensors on without knowing what is in them. A new kind is a class here.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Generator, Tensor

from cnntrain.annotations.regions import IGNORED
from cnntrain.data.augment.annotations import Annotated
from cnntrain.data.augment.augment import Augment
from cnntrain.data.augment.crop import central
from cnntrain.data.resize import masks_to_size
from cnntrain.errors import UserError

CHUNK = 2**24  # pixels that are counted at a time


class Targets(ABC):
    """Operations on the targets of images, (N, ...), wherever they lie.

    Attributes:
        name: the value of ``data.targets``.
        word, words: what one is called, and several.
        is_dense: whether there is a value for each pixel. Then what moves the pixels of an image moves its
            target too, and the target is read when its image is read.
    """

    name: ClassVar[str]
    word: ClassVar[str]
    words: ClassVar[str]
    is_dense: ClassVar[bool]

    @abstractmethod
    def of_item(self, value: Any, shape: Sequence[int], size: tuple[int, int], resize: str) -> Tensor:
        """Return the target of one image of a source.

        Args:
            value: as the source gives it.
            shape: height and width of the image, as the source gives it.
            size: height and width to which the image is brought.
            resize: how, see :func:`cnntrain.data.resize.to_size`.

        Raises:
            TypeError, ValueError: it is no such target.
        """

    @abstractmethod
    def empty(self, count: int, size: tuple[int, int]) -> Tensor:
        """Return room for the targets of so many images of a height and width."""

    def fitted(self, targets: Tensor, size: tuple[int, int], resize: str) -> Tensor:
        """Return the targets of images that are brought to a height and width."""
        return targets

    @abstractmethod
    def check(self, targets: Tensor, class_names: Sequence[str]) -> None:
        """Raise a UserError if targets have a class that has no name."""

    def seen_at(self, targets: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the targets of the middle of each image, of that height and width."""
        return targets

    def augmented(
        self, augment: Augment, x: Tensor, targets: Tensor, generator: Generator, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return changed copies of images, and their targets.

        Args:
            augment: changes them.
            x: uint8 (N, C, H, W).
            targets: of these images, on their device.
            generator: of the draws, on that device, too.
            size: height and width of the results, if parts of the images are scaled.
        """
        return augment(x, generator, size), targets

    @abstractmethod
    def vouching(self, targets: Tensor, places: Tensor) -> Tensor:
        """Return the targets that tell data from others.

        Args:
            targets: all of them.
            places: of the images that are looked at for that, int64 (M,).
        """

    @abstractmethod
    def strata(self, targets: Tensor) -> Tensor | None:
        """Return the group of each image, int64 (N,), each split in one proportion; None: no groups."""

    @abstractmethod
    def counts(self, targets: Tensor, num_classes: int) -> Tensor:
        """Return how often each class occurs, int64 (num_classes,)."""


class Classes(Targets):
    """The number of each image's class: int64 (N,)."""

    name, word, words, is_dense = "classes", "label", "labels", False

    def of_item(self, value: Any, shape: Sequence[int], size: tuple[int, int], resize: str) -> Tensor:
        """Return a class number, int64 ()."""
        return torch.tensor(int(value))

    def empty(self, count: int, size: tuple[int, int]) -> Tensor:
        """Return room for labels, int64 (count,)."""
        return torch.empty(count, dtype=torch.int64)

    def check(self, targets: Tensor, class_names: Sequence[str]) -> None:
        """Raise a UserError if a label has no class."""
        if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < len(class_names):
            wrong = int(targets.max()) if int(targets.min()) >= 0 else int(targets.min())
            raise UserError(f"label {wrong} is outside the {len(class_names)} classes")

    def vouching(self, targets: Tensor, places: Tensor) -> Tensor:
        """Return all labels."""
        return targets

    def strata(self, targets: Tensor) -> Tensor | None:
        """Return the labels: a split takes the same share of each class."""
        return targets

    def counts(self, targets: Tensor, num_classes: int) -> Tensor:
        """Return the number of images of each class."""
        return targets.bincount(minlength=num_classes)


class Masks(Targets):
    """The class of each pixel: uint8 (N, H, W), as high and wide as the images. 255 is ignored everywhere."""

    name, word, words, is_dense = "masks", "mask", "masks", True

    def of_item(self, value: Any, shape: Sequence[int], size: tuple[int, int], resize: str) -> Tensor:
        """Return a mask, uint8 (H, W), of an array, a tensor or a PIL image of class numbers."""
        mask = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
        if mask.dim() == 3 and mask.shape[0] == 1:
            mask = mask[0]
        if mask.dim() != 2 or mask.is_floating_point() or mask.is_complex():
            got = f"{str(mask.dtype).removeprefix('torch.')} {tuple(mask.shape)}"
            raise ValueError(f"a mask has a whole number for each pixel, (H, W), not {got}")
        if tuple(mask.shape) != tuple(shape):
            of_image, own = ("×".join(map(str, some)) for some in (shape, mask.shape))
            raise ValueError(f"the image has {of_image} pixels and the mask {own}")
        if mask.dtype != torch.uint8:
            low, high = int(mask.min()), int(mask.max())
            if low < 0 or high > IGNORED:
                raise ValueError(f"values of a mask lie between 0 and 255, and these go from {low} to {high}")
        return self.fitted(mask.to(torch.uint8)[None], size, resize)[0]

    def empty(self, count: int, size: tuple[int, int]) -> Tensor:
        """Return room for masks, uint8 (count, H, W)."""
        return torch.empty((count, *size), dtype=torch.uint8)

    def fitted(self, targets: Tensor, size: tuple[int, int], resize: str) -> Tensor:
        """Return masks scaled by nearest neighbour; pixels that ``pad`` adds are ignored."""
        return masks_to_size(targets, size, resize, IGNORED)

    def check(self, targets: Tensor, class_names: Sequence[str]) -> None:
        """Raise a UserError if a pixel has a class that has no name, and is not ignored."""
        for some in in_chunks(targets):
            highest = int(some.masked_fill(some == IGNORED, 0).max())
            if highest >= len(class_names):
                raise UserError(
                    f"a mask has a pixel of class {highest}, outside the {len(class_names)} classes; "
                    f"{IGNORED} leaves a pixel out"
                )

    def seen_at(self, targets: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the middle of each mask."""
        return central(targets, size)

    def augmented(
        self, augment: Augment, x: Tensor, targets: Tensor, generator: Generator, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return changed copies of images, and the masks moved with their pixels."""
        changed = augment.annotated(Annotated(x, masks=targets, fill=IGNORED), generator, size)
        assert changed.masks is not None
        return changed.images, changed.masks

    def vouching(self, targets: Tensor, places: Tensor) -> Tensor:
        """Return the masks of the images that are looked at."""
        return targets.index_select(0, places.to(targets.device))

    def strata(self, targets: Tensor) -> Tensor | None:
        """Return None: an image has pixels of several classes."""
        return None

    def counts(self, targets: Tensor, num_classes: int) -> Tensor:
        """Return the number of pixels of each class, without those that are ignored."""
        found = torch.zeros(IGNORED + 1, dtype=torch.int64, device=targets.device)
        for some in in_chunks(targets):
            found += some.flatten().long().bincount(minlength=IGNORED + 1)
        found[IGNORED] = 0
        return found[:num_classes]


CLASSES, MASKS = Classes(), Masks()
TARGETS: dict[str, Targets] = {kind.name: kind for kind in (CLASSES, MASKS)}


def kind_of(targets: Tensor) -> Targets:
    """Return the kind of targets that a tensor holds, by its type and dimensions.

    Raises:
        UserError: it holds none.
    """
    if targets.dim() == 1 and not targets.is_floating_point():
        return CLASSES
    if targets.dim() == 3 and targets.dtype == torch.uint8:
        return MASKS
    kind = str(targets.dtype).removeprefix("torch.")
    raise UserError(
        f"targets must be class numbers, int64 (N,), or masks, uint8 (N, H, W), not {kind} "
        f"{tuple(targets.shape)}"
    )


def in_chunks(masks: Tensor) -> Sequence[Tensor]:
    """Split masks into lots of up to CHUNK pixels; none of no masks."""
    if not masks.numel():
        return ()
    chunks: Sequence[Tensor] = masks.split(max(1, CHUNK // masks[0].numel()))
    return chunks


def checksum(images: Tensor, targets: Tensor) -> int:
    """Return the CRC-32 of images and targets, wherever and however they lie in memory."""
    known = zlib.crc32(images.cpu().contiguous().numpy().data)
    return zlib.crc32(targets.cpu().contiguous().numpy().data, known)
