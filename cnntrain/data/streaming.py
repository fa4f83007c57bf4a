"""A data set whose images are decoded when their batch is made, by workers if there are any.

That is the path for data that do not fit into memory. Data that do are read through it once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnntrain.data.augment.crop import central
from cnntrain.data.batches import Batch, BatchLoader, raised
from cnntrain.data.images import InMemoryDataset, as_bytes, checksum, fit_images, sample
from cnntrain.errors import UserError, in_words

READ_AT_ONCE = 64  # images, when all of them are read


class StreamingDataset(Dataset[tuple[Tensor, Tensor]]):
    """The images of a map-style data set of (image, label) pairs, as bytes and of one size.

    An image is a PIL image, an array or a tensor; floats lie between 0 and 1, whole numbers between 0 and
    255. The names of the classes are the data set's ``classes``, if it has them.

    Args:
        dataset: with ``__len__`` and ``__getitem__``.
        channels: what the images are converted to.
        side: the height and width that they are scaled to, in pixels.
        resize: how, see :func:`cnntrain.data.resize.to_square`.

    Raises:
        UserError: it is no such data set, or holds nothing.
    """

    device = torch.device("cpu")

    def __init__(self, dataset: Any, channels: int, side: int, resize: str) -> None:
        self.dataset = dataset
        self.name = type(dataset).__name__
        self.channels = channels
        self.scaled_to = self.side = side
        self.resize = resize
        self.whole = self
        self.labels = torch.empty(0, dtype=torch.int64)  # until find_labels has found them
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise UserError(f"{self.name} is not a data set: it needs __len__ and __getitem__")
        if len(dataset) == 0:
            raise UserError(f"{self.name} holds no images")

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one image, uint8 (C, H, W), and its label, int64 ().

        Raises:
            UserError: it can't be read, or is not an image.
        """
        try:
            item = self.dataset[index]
        except UserError:  # which says it all
            raise
        except Exception as error:  # whatever a data set of the user's may raise
            raise UserError(f"{self.name}[{index}] can't be read: {in_words(error)}") from error
        try:
            image, label = item
            fitted = fit_images(as_bytes(image)[None], self.channels, self.scaled_to, self.resize)[0]
            return central(fitted, self.side), torch.tensor(int(label))
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"{self.name}[{index}] is not an image and its label: {error}") from error

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor] | UserError:
        """Return a batch, uint8 (N, C, H, W) and int64 (N,); or what went wrong.

        An error that is raised in a worker reaches the main process with the worker's traceback in its text.
        """
        try:
            images, labels = zip(*(self[int(index)] for index in indices), strict=True)
        except UserError as error:
            return error
        return stacked(images), torch.stack(labels)

    @property
    def size(self) -> int:
        """Bytes that all images would take in memory."""
        return len(self) * self.channels * self.side**2

    def seen_at(self, side: int) -> StreamingDataset:
        """Return the middle of each image; ``whole`` of that are these images."""
        if side == self.side:
            return self
        middle = copy.copy(self)
        middle.side = side
        return middle

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class."""
        return self.own_names or numbers(self.labels)

    @property
    def own_names(self) -> tuple[str, ...] | None:
        """What the data set calls its classes; None if it does not say."""
        names = getattr(self.dataset, "classes", getattr(self.dataset, "class_names", None))
        return None if names is None else tuple(map(str, names))

    @property
    def fingerprint(self) -> int:
        """Checksum of all labels and of some images, as :class:`Images` has it."""
        return checksum(batch_of(self, sample(len(self)))[0], self.labels)

    def find_labels(self, workers: int, advance: Callable[[int], object]) -> None:
        """Find the label of every image: where data sets of torchvision's kind keep them, else by reading.

        Args:
            workers: processes that read.
            advance: called with the number of images read.
        """
        for name in ("targets", "labels"):
            try:
                labels = torch.as_tensor(getattr(self.dataset, name)).long()
            except (AttributeError, TypeError, ValueError, RuntimeError):  # none, or words, or a method
                continue
            if labels.shape != (len(self),):
                continue
            some = sample(len(self))
            if torch.equal(labels[some], batch_of(self, some)[1]):  # no target_transform has its say in them
                self.labels = labels
                return
        self.labels = torch.cat([labels for _, labels in all_batches(self, workers, advance)])


def stacked(images: Sequence[Tensor]) -> Tensor:
    """Return images, uint8 (C, H, W), as a batch, colours side by side in memory if theirs are."""
    if images[0].stride(0) > 1:
        return torch.stack(list(images))
    return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)


def numbers(labels: Tensor) -> tuple[str, ...]:
    """Return the numbers of the classes as their names."""
    return tuple(map(str, range(int(labels.max()) + 1)))


def batch_of(dataset: StreamingDataset, indices: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return some images and their labels."""
    return raised(dataset.__getitems__(indices))


def all_batches(dataset: StreamingDataset, workers: int, advance: Callable[[int], object]) -> Iterator[Batch]:
    """Yield all images in order, a lot at a time."""
    lots = [lot.numpy() for lot in torch.arange(len(dataset)).split(READ_AT_ONCE)]
    for images, labels in BatchLoader(dataset, lots, workers):
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
    shape = (len(dataset), dataset.channels, dataset.side, dataset.side)
    # As decoders give colours, and as the kernel that scales parts of images takes them fastest.
    layout = torch.channels_last if dataset.channels > 1 else torch.contiguous_format
    images = torch.empty(shape, dtype=torch.uint8, memory_format=layout)
    labels = torch.empty(len(dataset), dtype=torch.int64)
    begin = 0
    for some, their_labels in all_batches(dataset, workers, advance):
        end = begin + len(some)
        images[begin:end], labels[begin:end] = some, their_labels
        begin = end
    dataset.labels = labels
    return InMemoryDataset(images, labels, dataset.class_names)
