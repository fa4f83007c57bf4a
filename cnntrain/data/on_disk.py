"""Images that stay in a file of the cache and are gathered from there, each checked when it is first needed.

They are read, not mapped: if another process truncates the file, or a network drive loses it, a read fails
with an error that can be told. A mapping would end the process with SIGBUS and without a word.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from cnntrain.data.augment.crop import central
from cnntrain.data.images import InMemoryDataset, check_labels
from cnntrain.errors import RunFailed


class DiskDataset(InMemoryDataset):
    """Labelled images in a file of the cache. Batches are made as those of :class:`InMemoryDataset` are.

    Args:
        path: of the file, which begins with the images, uint8 (N, H, W, C).
        shape: of all images, (N, C, H, W).
        checksums: CRC-32 of each image, uint32 (N,).
        labels: int64 (N,).
        class_names: the name of each class.
    """

    def __init__(
        self,
        path: Path,
        shape: Sequence[int],
        checksums: np.ndarray,
        labels: Tensor,
        class_names: Sequence[str],
    ) -> None:
        check_labels(labels, class_names)
        self.path = path
        self.shape = tuple(shape)
        self.checksums = checksums
        self.labels = labels
        self.class_names = tuple(class_names)
        self.whole: InMemoryDataset = self
        self.is_checked = np.zeros(len(labels), dtype=bool)  # in this process
        self.seen: int | None = None  # side of the middle that is handed out; None: the whole
        self.file: BinaryIO | None = None

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Return one image, uint8 (C, H, W), and its label, int64 ().

        Raises:
            RunFailed: the file is damaged.
        """
        return self.gathered(torch.tensor([index]))[0], self.labels[index]

    def __getitems__(self, indices: Sequence[int] | np.ndarray) -> Any:
        """Return a batch, uint8 (N, C, H, W) and int64 (N,); or the error, for the process that asked."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        try:
            return self.gathered(index), self.labels.index_select(0, index)
        except RunFailed as error:
            return error

    def gathered(self, indices: Tensor) -> Tensor:
        """Return some images, uint8 (N, C, H, W), colours side by side in memory.

        Raises:
            RunFailed: the file can't be read, or what it holds is not what was written.
        """
        _, channels, height, width = self.shape
        size = channels * height * width
        batch = np.empty((len(indices), height, width, channels), dtype=np.uint8)
        view = batch.data.cast("B") if batch.size else memoryview(b"")
        try:
            if self.file is None:
                self.file = self.path.open("rb", buffering=0)
            number = self.file.fileno()
            for place, index in enumerate(indices.tolist()):
                image = view[place * size : (place + 1) * size]
                if read_at(number, image, index * size) != size:
                    raise self.damaged("it was truncated")
                if not self.is_checked[index]:
                    if zlib.crc32(image) != self.checksums[index]:
                        raise self.damaged(f"the checksum of image {index} does not match")
                    self.is_checked[index] = True
        except OSError as error:
            raise self.damaged(error.strerror or str(error)) from error
        images = torch.from_numpy(batch)
        # Of one channel the bytes are the same, and torch would take them for channels last.
        images = images.view(-1, 1, height, width) if channels == 1 else images.permute(0, 3, 1, 2)
        return images if self.seen is None else central(images, self.seen)

    def damaged(self, why: str) -> RunFailed:
        """Remove the file, so that the next run makes it anew, and return the error that says so."""
        with contextlib.suppress(OSError):
            self.path.unlink()
        return RunFailed(
            f"the decoded images in the cache, {self.path}, are damaged: {why}\n"
            "the file is removed; start again, or go on with cnntrain resume: it is made anew"
        )

    def seen_at(self, side: int) -> InMemoryDataset:
        """Return the middle of each image; ``whole`` of that are these images."""
        if side == self.side:
            return self
        middle = DiskDataset(self.path, self.shape, self.checksums, self.labels, self.class_names)
        middle.whole, middle.seen = self, side
        return middle

    def to(self, device: torch.device) -> InMemoryDataset:
        """Read all images into the memory of a device."""
        whole = self.whole
        images = InMemoryDataset(whole.first(len(self)).to(device), self.labels, self.class_names)
        images.labels = self.labels.to(device)
        return images.seen_at(self.side)

    def first(self, count: int) -> Tensor:
        """Return the first images, uint8 (count, C, H, W)."""
        return self.gathered(torch.arange(min(count, len(self))))

    @property
    def device(self) -> torch.device:
        """Where the batches are made."""
        return torch.device("cpu")

    @property
    def values(self) -> int:
        """Bytes of one image."""
        return self.shape[1] * self.side**2

    @property
    def size(self) -> int:
        """Bytes of all images."""
        return int(np.prod(self.shape))

    @property
    def side(self) -> int:
        """Height and width of an image."""
        return self.seen or self.shape[2]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open file, which a process of its own opens anew."""
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
