"""A data set whose pictures are decoded when their batch is made, by workers if there are any.

That is the path for data that do not fit into memory. Data that do are read through it once.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnntrain.data.pictures import Pictures, as_bytes, fit_images
from cnntrain.data.workers import Batch, BatchLoader, raised
from cnntrain.errors import UserError, in_words

READ_AT_ONCE = 64  # pictures, when all of them are read
SAMPLED = 64  # pictures that vouch for the rest, where reading them all would take too long


class Streamed(Dataset[tuple[Tensor, Tensor]]):
    """The pictures of a map-style data set of (picture, label) pairs, as bytes and of one size.

    A picture is a PIL image, an array or a tensor; floats lie between 0 and 1, whole numbers between 0 and
    255. The names of the classes are the data set's ``classes``, if it has them.

    Args:
        dataset: with ``__len__`` and ``__getitem__``.
        channels: to which the pictures are converted.
        image_size: height and width to which they are scaled.

    Raises:
        UserError: it is no such data set, or holds nothing.
    """

    device = torch.device("cpu")

    def __init__(self, dataset: Any, channels: int, image_size: int) -> None:
        self.dataset = dataset
        self.name = type(dataset).__name__
        self.channels = channels
        self.image_size = image_size
        self.labels = torch.empty(0, dtype=torch.int64)  # until find_labels has found them
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise UserError(f"{self.name} is not a data set: it needs __len__ and __getitem__")
        if len(dataset) == 0:
            raise UserError(f"{self.name} holds no pictures")

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one picture, uint8 (C, H, W), and its label, int64 ().

        Raises:
            UserError: it can't be read, or is not a picture.
        """
        try:
            item = self.dataset[index]
        except UserError:  # which says it all
            raise
        except Exception as error:  # whatever a data set of the user's may raise
            raise UserError(f"{self.name}[{index}] can't be read: {in_words(error)}") from error
        try:
            image, label = item
            pictures = fit_images(as_bytes(image)[None], self.channels, self.image_size)
            return pictures[0], torch.tensor(int(label))
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"{self.name}[{index}] is not a picture and its label: {error}") from error

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> tuple[Tensor, Tensor] | UserError:
        """Return a batch, uint8 (N, C, H, W) and int64 (N,); or what went wrong.

        An error that is raised in a worker reaches the main process with the worker's traceback in its text.
        """
        try:
            images, labels = zip(*(self[int(index)] for index in indices), strict=True)
        except UserError as error:
            return error
        return torch.stack(images), torch.stack(labels)

    @property
    def size(self) -> int:
        """Bytes that all pictures would take in memory."""
        return len(self) * self.channels * self.image_size**2

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of each class."""
        names = getattr(self.dataset, "classes", getattr(self.dataset, "class_names", None))
        return tuple(map(str, range(int(self.labels.max()) + 1) if names is None else names))

    @property
    def fingerprint(self) -> int:
        """Checksum (CRC-32) of all labels and of some pictures: a resumed run must see the same data."""
        some = np.unique(np.linspace(0, len(self) - 1, SAMPLED).astype(int))
        return zlib.crc32(self.labels.numpy().data, zlib.crc32(batch_of(self, some)[0].numpy().data))

    def find_labels(self, workers: int, advance: Callable[[int], object]) -> None:
        """Find the label of every picture: where data sets of torchvision's kind keep them, else by reading.

        Args:
            workers: processes that read.
            advance: is told how many pictures have been read.
        """
        for name in ("targets", "labels"):
            known = getattr(self.dataset, name, None)
            if known is None or len(known) != len(self):
                continue
            labels = torch.as_tensor(known).long()
            some = np.unique(np.linspace(0, len(self) - 1, SAMPLED).astype(int))
            if torch.equal(labels[some], batch_of(self, some)[1]):  # no target_transform has its say in them
                self.labels = labels
                return
        self.labels = torch.cat([labels for _, labels in all_batches(self, workers, advance)])


def batch_of(dataset: Streamed, indices: np.ndarray) -> tuple[Tensor, Tensor]:
    """Return some pictures and their labels."""
    return raised(dataset.__getitems__(indices))


def all_batches(dataset: Streamed, workers: int, advance: Callable[[int], object]) -> Iterator[Batch]:
    """Yield all pictures in order, a lot at a time."""
    lots = [lot.numpy() for lot in torch.arange(len(dataset)).split(READ_AT_ONCE)]
    for images, labels in BatchLoader(dataset, lots, workers):
        advance(len(labels))
        yield images, labels


def read_all(dataset: Streamed, workers: int, advance: Callable[[int], object]) -> Pictures:
    """Read all pictures into memory.

    Args:
        dataset: what to read.
        workers: processes that read; 0 reads in this one.
        advance: is told how many pictures have been read.

    Raises:
        UserError: one of them can't be read.
    """
    images = torch.empty(
        len(dataset), dataset.channels, dataset.image_size, dataset.image_size, dtype=torch.uint8
    )
    labels = torch.empty(len(dataset), dtype=torch.int64)
    begin = 0
    for some, their_labels in all_batches(dataset, workers, advance):
        end = begin + len(some)
        images[begin:end], labels[begin:end] = some, their_labels
        begin = end
    dataset.labels = labels
    return Pictures(images, labels, dataset.class_names)
