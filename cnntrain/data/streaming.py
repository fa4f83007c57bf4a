"""A data set whose images are decoded when their batch is made, by workers if there are any.

That is the path for data that do not fit into memory. Data that do are read through it once.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnntrain.data.augment.crop import central
from cnntrain.data.batches import Batch, BatchLoader, raise_if_error
from cnntrain.data.images import InMemoryDataset, as_bytes, evenly_spread, fit_images
from cnntrain.data.resize import Size, sides
from cnntrain.data.targets import CLASSES, Targets, checksum
from cnntrain.errors import UserError, describe_error

READ_AT_ONCE = 64  # images, when all of them are read


class StreamingDataset(Dataset[tuple[Tensor, Tensor]]):
    """The images of a map-style data set of (image, target) pairs, as bytes and of one size.

    An image is a PIL image, an array or a tensor; floats lie between 0 and 1, whole numbers between 0 and
    255. The names of the classes are the data set's ``classes``, if it has them.

    Args:
        dataset: the dataset with ``__len__`` and ``__getitem__``.
        channels: what the images are converted to.
        side: what they are scaled to, in pixels: the side of a square, or height and width.
        resize: how, see :func:`cnntrain.data.resize.to_size`.
        targets: what the targets are: class numbers, masks as large as their images, or boxes in them.
        num_classes: number of classes, for masks and boxes of a data set that does not name them.

    Raises:
        UserError: it is no such data set, or holds nothing.
    """

    device = torch.device("cpu")

    def __init__(
        self,
        dataset: Any,
        channels: int,
        side: Size,
        resize: str,
        targets: Targets = CLASSES,
        num_classes: int | None = None,
    ) -> None:
        self.dataset = dataset
        self.name = type(dataset).__name__
        self.channels = channels
        self.scaled_to: tuple[int, int] = sides(side)
        self.image_size = self.scaled_to
        self.resize = resize
        self.targets = targets
        self.num_classes = num_classes
        self.whole = self
        self.labels = torch.empty(0, dtype=torch.int64)  # until find_labels has found them; masks stay out
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise UserError(f"{self.name} is not a data set: it needs __len__ and __getitem__")
        if len(dataset) == 0:
            raise UserError(f"{self.name} holds no images")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one image, uint8 (C, H, W), and its target.

        Raises:
            UserError: it can't be read, or is not an image.
        """
        try:
            item = self.dataset[index]
        except UserError:  # which says it all
            raise
        except Exception as error:  # whatever a data set of the user's may raise
            raise UserError(f"{self.name}[{index}] can't be read: {describe_error(error)}") from error
        word = self.targets.word
        try:
            image, value = item
            pixels = as_bytes(image)
            fitted = fit_images(pixels[None], self.channels, self.scaled_to, self.resize)[0]
            target = self.targets.of_item(value, pixels.shape[1:], self.scaled_to, self.resize)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"{self.name}[{index}] is not an image and its {word}: {error}") from error
        if self.targets is not CLASSES:
            try:
                self.targets.check(target[None], self.class_names)
            except UserError as error:
                raise UserError(f"{self.name}[{index}]: {error}") from error
        seen = self.targets.seen_at(target[None], self.scaled_to, self.image_size)[0]
        return central(fitted, self.image_size), seen

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor] | UserError:
        """Return a batch, uint8 (N, C, H, W) and the targets; or what went wrong.

        An error that is raised in a worker reaches the main process with the worker's traceback in its text.
        """
        try:
            images, labels = zip(*(self[int(index)] for index in indices), strict=True)
        except UserError as error:
            return error
        return stacked(images), self.targets.stacked(labels, self.labels)

    @property
    def size(self) -> int:
        """Bytes that all images would take in memory."""
        return len(self) * self.channels * math.prod(self.image_size)

    def seen_at(self, size: Size) -> StreamingDataset:
        """Return the middle of each image; ``whole`` of that are these images."""
        if sides(size) == self.image_size:
            return self
        middle = copy.copy(self)
        middle.image_size = sides(size)
        if len(self.labels):
            middle.labels = self.targets.seen_at(self.labels, self.image_size, middle.image_size)
        return middle

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class."""
        if self.targets is not CLASSES:
            return self.own_names or numbered(self.num_classes or 0)
        return self.own_names or numbers(self.labels)

    @property
    def own_names(self) -> tuple[str, ...] | None:
        """What the data set calls its classes; None if it does not say."""
        names = getattr(self.dataset, "classes", getattr(self.dataset, "class_names", None))
        return None if names is None else tuple(map(str, names))

    @property
    def names_for_cache(self) -> tuple[str, ...] | None:
        """The names of the classes, if they are known before the labels are."""
        return self.own_names if self.targets is CLASSES else self.class_names

    @property
    def fingerprint(self) -> int:
        """Checksum of some images and of their targets, as :class:`InMemoryDataset` has it."""
        images, targets = batch_of(self, evenly_spread(len(self)))
        return checksum(images, targets if self.targets.is_dense else self.labels)

    @property
    def strata(self) -> Tensor | None:
        """The group of each image, int64 (N,), each split in one proportion; None: no groups."""
        return self.targets.strata(self.labels)

    def class_counts(self, indices: Tensor) -> Tensor:
        """Return how often each class occurs among the targets of some images, int64 (classes,).

        Masks are read for that, one batch after another.
        """
        number = len(self.class_names)
        if not self.targets.is_dense:
            return self.targets.counts(self.labels[indices], number)
        counts = torch.zeros(number, dtype=torch.int64)
        for batch in indices.split(READ_AT_ONCE):
            counts += self.targets.counts(batch_of(self, batch.numpy())[1], number)
        return counts

    def find_labels(self, workers: int, advance: Callable[[int], object]) -> None:
        """Find the label of every image: where data sets of torchvision's kind keep them, else by reading.

        Masks are not looked for: each is read with its image.

        Args:
            workers: processes that read.
            advance: called with the number of images read.
        """
        if self.targets.is_dense:
            return
        for name in ("targets", "labels"):
            try:
                labels = self.targets.from_attribute(getattr(self.dataset, name))
            except (AttributeError, TypeError, ValueError, RuntimeError):  # none, or words, or a method
                continue
            if len(labels) != len(self) or labels.dim() != self.targets.empty(0, (0, 0)).dim():
                continue
            some, self.labels = evenly_spread(len(self)), labels
            if torch.equal(labels[some], batch_of(self, some)[1]):  # no target_transform has its say in them
                return
        self.labels = torch.empty(0, dtype=torch.int64)
        found, begin = self.targets.empty(len(self), self.image_size), 0
        for _, targets in all_batches(self, workers, advance):
            found = self.targets.put(found, begin, targets)
            begin += len(targets)
        self.labels = found


def stacked(images: Sequence[Tensor]) -> Tensor:
    """Return images, uint8 (C, H, W), as a batch, colours side by side in memory if theirs are."""
    if images[0].stride(0) > 1:
        return torch.stack(list(images))
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def numbers(labels: Tensor) -> tuple[str, ...]:
    """Return the numbers of the classes as their names."""
    return numbered(int(labels.max()) + 1)


def numbered(count: int) -> tuple[str, ...]:
    """Return the numbers of that many classes as their names."""
    return tuple(map(str, range(count)))


def batch_of(dataset: StreamingDataset, indices: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return some images and their targets."""
    return raise_if_error(dataset.__getitems__(indices))


def all_batches(dataset: StreamingDataset, workers: int, advance: Callable[[int], object]) -> Iterator[Batch]:
    """Yield all images in order, a batch at a time."""
    batches = [batch.numpy() for batch in torch.arange(len(dataset)).split(READ_AT_ONCE)]
    for images, labels in BatchLoader(dataset, batches, workers):
        advance(len(labels))
        yield images, labels


def read_all(dataset: StreamingDataset, workers: int, advance: Callable[[int], object]) -> InMemoryDataset:
    """Read all images into memory.

    Args:
        dataset: what to read.
        workers: processes that read; 0 reads in this one.
        advance: called with the number of images read.

    Raises:
        UserError: one of them can't be read.
    """
    shape = (len(dataset), dataset.channels, *dataset.image_size)
    # As decoders give colours, and as the kernel that scales parts of images takes them fastest.
    layout = torch.channels_last if dataset.channels > 1 else torch.contiguous_format
    images = torch.empty(shape, dtype=torch.uint8, memory_format=layout)
    targets = dataset.targets.empty(len(dataset), dataset.image_size)
    begin = 0
    for some, theirs in all_batches(dataset, workers, advance):
        images[begin : begin + len(some)] = some
        targets = dataset.targets.put(targets, begin, theirs)
        begin += len(some)
    dataset.labels = targets
    return InMemoryDataset(images, targets, dataset.class_names)
