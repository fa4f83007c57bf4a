"""Images that stay in a file of the cache and are gathered from there, each checked when it is first needed.

They are read, not mapped: if another process truncates the file, or a network drive loses it, a read fails
with an error that can be reported. A mapping would end the process with SIGBUS and without a word.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from cnntrain.data.augment.crop import central
from cnntrain.data.images import InMemoryDataset, evenly_spread
from cnntrain.data.resize import Size, sides
from cnntrain.data.targets import CLASSES, Targets, checksum
from cnntrain.errors import RunFailed

READ_AT_ONCE = 256  # images, when all targets are read


class DiskDataset(InMemoryDataset):
    """Images and their targets in a file of the cache. Batches are those of :class:`InMemoryDataset`.

    Args:
        path: the path of the file, which begins with the images, uint8 (N, H, W, C). Masks, uint8 (N, H, W),
            follow.
        shape: the shape of all images, (N, C, H, W).
        checksums: CRC-32 of each image, of its bytes and then of those of its mask, uint32 (N,).
        labels: the targets; of masks, which stay in the file, none.
        class_names: the name of each class.
        targets: what the targets are.
    """

    def __init__(
        self,
        path: Path,
        shape: Sequence[int],
        checksums: np.ndarray,
        labels: Tensor,
        class_names: Sequence[str],
        targets: Targets = CLASSES,
    ) -> None:
        targets.check(labels, class_names)
        self.targets = targets
        self.path = path
        self.shape = tuple(shape)
        self.checksums = checksums
        self.labels = labels
        self.class_names = tuple(class_names)
        self.whole: InMemoryDataset = self
        self.is_checked = np.zeros(len(checksums), dtype=bool)  # in this process
        self.seen: tuple[int, int] | None = None  # size of the middle that is handed out; None: the whole
        self.file: BinaryIO | None = None

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one image, uint8 (C, H, W), and its target.

        Raises:
            RunFailed: the file is damaged.
        """
        images, targets = self.batch(torch.tensor([index]))
        return images[0], targets[0]

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Any:
        """Return a batch, uint8 (N, C, H, W) and the targets; or the error, for the process that asked."""
        try:
            return self.batch(torch.as_tensor(indices, dtype=torch.int64))
        except RunFailed as error:
            return error

    def gather(self, indices: Tensor) -> Tensor:
        """Return some images, uint8 (N, C, H, W), colours side by side in memory.

        Raises:
            RunFailed: the file can't be read, or what it holds is not what was written.
        """
        return self.batch(indices)[0]

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Return some images, as :meth:`gather` does, and their targets.

        Raises:
            RunFailed: the file can't be read, or what it holds is not what was written.
        """
        _, channels, height, width = self.shape
        pixels = np.empty((len(indices), height, width, channels), dtype=np.uint8)
        masks = np.empty((len(indices), height, width), dtype=np.uint8)
        tables = [(pixels, 0), (masks, self.size)] if self.targets.is_dense else [(pixels, 0)]
        try:
            if self.file is None:
                self.file = self.path.open("rb", buffering=0)
            for place, index in enumerate(indices.tolist()):
                known = 0
                for table, begin in tables:
                    row = table[place].data.cast("B") if table[place].size else memoryview(b"")
                    if read_at(self.file.fileno(), row, begin + index * len(row)) != len(row):
                        raise self.damaged("it was truncated")
                    known = known if self.is_checked[index] else zlib.crc32(row, known)
                if not self.is_checked[index] and known != self.checksums[index]:
                    raise self.damaged(f"the checksum of image {index} does not match")
                self.is_checked[index] = True
        except OSError as error:
            raise self.damaged(error.strerror or str(error)) from error
        images = self.as_seen(torch.from_numpy(pixels))
        if not self.targets.is_dense:
            return images, self.labels.index_select(0, indices)
        found = torch.from_numpy(masks)
        return images, self.targets.seen_at(found, (height, width), self.image_size)

    def as_seen(self, pixels: Tensor) -> Tensor:
        """Return images, uint8 (N, H, W, C), as they are handed out: (N, C, H, W), their middle perhaps."""
        _, channels, height, width = self.shape
        # Of one channel the bytes are the same, and torch would take them for channels last.
        images = pixels.view(-1, 1, height, width) if channels == 1 else pixels.permute(0, 3, 1, 2)
        return images if self.seen is None else central(images, self.seen)

    def damaged(self, why: str) -> RunFailed:
        """Remove the file, so that the next run makes it again, and return the error that says so."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        return RunFailed(
            f"the decoded images in the cache, {self.path}, are damaged: {why}\n"
            "the file is removed; start again, or go on with cnntrain resume: it is made again"
        )

    def __len__(self) -> int:
        """Return the number of images."""
        return self.shape[0]

    @functools.cached_property
    def fingerprint(self) -> int:
        """Checksum of some images and of their targets, as :class:`InMemoryDataset` has it."""
        images, targets = self.batch(torch.from_numpy(evenly_spread(len(self))))
        return checksum(images, targets if self.targets.is_dense else self.labels)

    def class_counts(self, indices: Tensor) -> Tensor:
        """Return how often each class occurs among the targets of some images, int64 (classes,)."""
        if not self.targets.is_dense:
            return self.targets.counts(self.labels[indices], len(self.class_names))
        counts = torch.zeros(len(self.class_names), dtype=torch.int64)
        for chunk in indices.split(READ_AT_ONCE):
            counts += self.targets.counts(self.batch(chunk)[1], len(counts))
        return counts

    def seen_at(self, size: Size) -> InMemoryDataset:
        """Return the middle of each image; ``whole`` of that are these images."""
        if sides(size) == self.image_size:
            return self
        labels = self.labels
        if not self.targets.is_dense:
            labels = self.targets.seen_at(labels, self.image_size, sides(size))
        middle = DiskDataset(self.path, self.shape, self.checksums, labels, self.class_names, self.targets)
        middle.whole, middle.seen = self, sides(size)
        return middle

    def to(self, device: torch.device) -> InMemoryDataset:
        """Read all images into the memory of a device."""
        whole: Any = self.whole
        images, targets = whole.batch(torch.arange(len(self)))
        return InMemoryDataset(images.to(device), targets.to(device), self.class_names).seen_at(
            self.image_size
        )

    def first(self, count: int) -> Tensor:
        """Return the first images, uint8 (count, C, H, W)."""
        return self.gather(torch.arange(min(count, len(self))))

    @property
    def device(self) -> torch.device:
        """Where the batches are made."""
        return torch.device("cpu")

    @property
    def values(self) -> int:
        """Bytes of one image."""
        return self.shape[1] * math.prod(self.image_size)

    @property
    def size(self) -> int:
        """Bytes of all images."""
        return int(np.prod(self.shape))

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.seen or (self.shape[2], self.shape[3])

    def __getstate__(self) -> dict[str, Any]:
        """Omit the open file, which a process of its own opens again."""
        return {**self.__dict__, "file": None}


def read_at(number: int, target: memoryview, offset: int) -> int:
    """Read bytes from a place of an open file, and return how many there were.

    The position of the file, which processes share, plays no part.
    """
    if hasattr(os, "preadv"):
        return os.preadv(number, [target], offset)
    data = os.pread(number, len(target), offset)
    target[: len(data)] = data
    return len(data)
