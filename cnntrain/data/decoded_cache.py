"""Decoded data sets, kept in the cache folder and read from there, into memory or image by image.

The name of a file follows from all that its contents depend on, the checksums of the source files among it.
A file holds the images as (N, H, W, C), the labels, a checksum of each image, and what is known of them all:
shape, names, checksums. It is believed only if they are right, and made anew if not.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from cnntrain.data.images import InMemoryDataset
from cnntrain.data.on_disk import DiskDataset
from cnntrain.data.streaming import numbers
from cnntrain.errors import UserError
from cnntrain.runs import cache_dir
from cnntrain.runtime.regular_files import open_regular

# Of the files, and of the way from a file to its pixels. Files of another format are never found: they count
# within data.cache_gb and, being the oldest, are the first to make room.
FORMAT = 4
FOOTER = struct.Struct("<QI")  # the end of a file: length and checksum of the description before it
LABEL, CHECKSUM = 8, 4  # bytes of each
AT_ONCE = 2**22  # bytes that are read and checked at a time, while they are in the processor's cache


def folder() -> Path:
    """Return where the files are."""
    return cache_dir.folder() / "data"


def place(facts: Mapping[str, Any], files: Sequence[Path]) -> Path:
    """Return the file for images that depend on facts, as plain types, and on the contents of files.

    Raises:
        UserError: one of the files can't be read.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, facts], sort_keys=True).encode())
    for file in files:
        try:
            with open_regular(file) as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as error:
            raise UserError(f"{file} can't be read: {error.strerror or error}") from error
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
        known = 0
        shape: list[int] = []
        all_labels, checksums = [], []
        for images, labels in batches:
            data = images.permute(0, 2, 3, 1).contiguous().numpy()
            file.write(data.data)
            known, shape = zlib.crc32(data.data, known), list(images.shape[1:])
            checksums += [zlib.crc32(image.data) for image in data]
            all_labels.append(labels)
        together = torch.cat(all_labels)
        tail = together.numpy().tobytes() + np.array(checksums, dtype=np.uint32).tobytes()
        file.write(tail)
        about = {
            "shape": [count, *shape],
            "class_names": class_names or numbers(together),
            "checksum": known,
            "tail": zlib.crc32(tail),
        }
        text = json.dumps(about).encode()
        file.write(text + FOOTER.pack(len(text), zlib.crc32(text)))

    return cache_dir.write(path, save)


def read(path: Path, into_memory: bool) -> InMemoryDataset | None:
    """Return the images of a file of the cache; None if there is none, or it is damaged.

    Args:
        path: from :func:`place`.
        into_memory: read and check all images now; else each is read when it is needed, and checked at its
            first time.
    """
    try:
        with open_regular(path) as file:
            about, labels, checksums = described(file)
            dataset = (
                all_of(file, about, labels)
                if into_memory
                else DiskDataset(path, about["shape"], checksums, labels, about["class_names"])
            )
        os.utime(path)  # so that it is not the first to go
        return dataset
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, UserError):
        return None


def all_of(file: BufferedReader, about: Mapping[str, Any], labels: Tensor) -> InMemoryDataset:
    """Read all images of a file into memory.

    They are not mapped, since a file that is truncated while it is mapped ends the process with SIGBUS.

    Raises:
        ValueError: they are damaged.
    """
    count, channels, height, width = about["shape"]
    flat = torch.empty(math.prod(about["shape"]), dtype=torch.uint8)
    view, known = flat.numpy().data, 0
    file.seek(0)
    for begin in range(0, len(view), AT_ONCE):
        part = view[begin : begin + AT_ONCE]
        if file.readinto(part) != len(part):
            raise ValueError("truncated")
        known = zlib.crc32(part, known)
    if known != about["checksum"]:
        raise ValueError("damaged")
    images = flat.view(count, height, width, channels).permute(0, 3, 1, 2)
    if channels == 1:  # the same bytes, which torch else takes for channels last
        images = flat.view(about["shape"])
    return InMemoryDataset(images, labels, about["class_names"])


def described(file: BufferedReader) -> tuple[dict[str, Any], Tensor, np.ndarray]:
    """Return what a file says of its images, their labels, int64 (N,), and their checksums, uint32 (N,).

    Raises:
        ValueError: that is damaged, or the file is not as long as it says.
    """
    end = file.seek(-FOOTER.size, os.SEEK_END)
    length, checksum = FOOTER.unpack(file.read(FOOTER.size))
    if length > end:
        raise ValueError("no description")
    file.seek(end - length)
    text = file.read(length)
    if zlib.crc32(text) != checksum:
        raise ValueError("damaged")
    about = json.loads(text)
    size, count = math.prod(about["shape"]), about["shape"][0]
    if size + (LABEL + CHECKSUM) * count + length != end:
        raise ValueError("truncated")
    file.seek(size)
    tail = file.read((LABEL + CHECKSUM) * count)
    if zlib.crc32(tail) != about["tail"]:
        raise ValueError("damaged")
    labels = np.frombuffer(bytearray(tail[: LABEL * count]), dtype=np.int64)
    return about, torch.from_numpy(labels), np.frombuffer(tail[LABEL * count :], dtype=np.uint32)
