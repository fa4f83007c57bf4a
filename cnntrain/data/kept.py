"""Decoded data sets, kept in the cache folder and mapped into memory from there.

The name of a file follows from all that its contents depend on, the checksums of the source files among it.
A file holds the images as (N, H, W, C), the labels, and what is known of both: shape, names, checksums. It
is believed only if they are right, and made anew if not.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from cnntrain import cache
from cnntrain.data.images import InMemoryDataset, checksum, sample
from cnntrain.data.streaming import numbers
from cnntrain.errors import UserError

FORMAT = 3  # of the files; a file of another one is never found
LENGTH = 8  # bytes at the end of a file, which say how long the description before them is


def folder() -> Path:
    """Return where the files are."""
    return cache.folder() / "data"


def place(facts: Mapping[str, Any], files: Sequence[Path]) -> Path:
    """Return the file for images that depend on facts, as plain types, and on the contents of files."""
    digest = hashlib.sha256(json.dumps([FORMAT, facts], sort_keys=True).encode())
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return folder() / f"{digest.hexdigest()[:32]}.images"


def write(
    path: Path, batches: Iterable[tuple[Tensor, Tensor]], count: int, class_names: Sequence[str] | None
) -> OSError | None:
    """Write images as they come, without holding them all in memory.

    Args:
        path: from :func:`place`.
        batches: of images, uint8 (N, C, H, W), and labels, int64 (N,), in order.
        count: images of all batches.
        class_names: the name of each class; None calls them by their numbers.

    Returns:
        Why they could not be written; None if they were.
    """

    def save(file: IO[bytes]) -> None:
        known = begin = 0
        shape: list[int] = []
        all_labels, picked, places = [], [], sample(count)
        for images, labels in batches:
            data = images.permute(0, 2, 3, 1).contiguous().numpy().data
            file.write(data)
            known, shape = zlib.crc32(data, known), list(images.shape[1:])
            inside = places[(places >= begin) & (places < begin + len(images))] - begin
            picked.append(images[torch.from_numpy(inside)])
            all_labels.append(labels)
            begin += len(images)
        together = torch.cat(all_labels)
        file.write(together.numpy().data)
        about = {
            "shape": [count, *shape],
            "class_names": class_names or numbers(together),
            "checksum": zlib.crc32(together.numpy().data, known),
            "fingerprint": checksum(torch.cat(picked), together),
        }
        text = json.dumps(about).encode()
        file.write(text + len(text).to_bytes(LENGTH, "little"))

    return cache.write(path, save)


def read(path: Path, look_at_all: bool) -> InMemoryDataset | None:
    """Map a file of the cache into memory; None if there is none, or it is damaged.

    Args:
        path: from :func:`place`.
        look_at_all: compare the checksum of all images, rather than that of some.
    """
    try:
        about, labels = described(path)
        shape = about["shape"]
        # A map of its own, so that whoever writes into the tensor does not change the file.
        flat = torch.from_file(str(path), shared=False, size=math.prod(shape), dtype=torch.uint8)
        count, channels, height, width = shape
        images = flat.view(count, height, width, channels).permute(0, 3, 1, 2)
        if channels == 1:  # the same bytes, which torch else takes for channels last
            images = flat.view(shape)
        dataset = InMemoryDataset(images, labels, about["class_names"])
        if look_at_all:
            whole = checksum(flat, labels) == about["checksum"]
        else:
            whole = dataset.fingerprint == about["fingerprint"]
        if not whole:
            return None
        os.utime(path)  # so that it is not the first to go
        return dataset
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, UserError):
        return None


def described(path: Path) -> tuple[dict[str, Any], Tensor]:
    """Return what a file says of its images, and their labels, int64 (N,).

    Raises:
        ValueError: it is not as long as it says.
    """
    with path.open("rb") as file:
        end = file.seek(-LENGTH, os.SEEK_END)
        length = int.from_bytes(file.read(LENGTH), "little")
        if length > end:
            raise ValueError("no description")
        file.seek(end - length)
        about = json.loads(file.read(length))
        size, count = math.prod(about["shape"]), about["shape"][0]
        if size + 8 * count + length != end:
            raise ValueError("truncated")
        file.seek(size)
        labels = np.frombuffer(bytearray(file.read(8 * count)), dtype=np.int64)
    return about, torch.from_numpy(labels)
