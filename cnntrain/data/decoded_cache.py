"""Decoded data sets, kept in the cache folder and read from there, into memory or image by image.

The name of a file follows from all that its contents depend on, the checksums of the source files among it.
A file holds the images as (N, H, W, C), then masks as (N, H, W) or the other targets, a checksum of each
image with its mask, and what is known about them all: shape, names, checksums. It is believed only if they
are right, and made again if not.
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
from cnntrain.data.targets import TARGETS, kind_of
from cnntrain.errors import UserError
from cnntrain.runs import cache_dir
from cnntrain.runtime.regular_files import open_regular

# Of the files, and of the way from a file to its pixels. Files of another format are never found: they count
# within data.cache_gb and, being the oldest, are the first to make room.
FORMAT = 6
FOOTER = struct.Struct("<QI")  # the end of a file: length and checksum of the description before it
CHECKSUM = 4  # bytes
AT_ONCE = 2**22  # bytes that are read and checked at a time, while they are in the processor's cache


def folder() -> Path:
    """Return where the files are."""
    return cache_dir.folder() / "data"


def cache_path(facts: Mapping[str, Any], files: Sequence[Path]) -> Path:
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
        path: the path from :func:`cache_path`.
        batches: the batches of images, uint8 (N, C, H, W), and their targets, in order.
        count: images of all batches.
        class_names: the name of each class; None calls them by the numbers of the labels.

    Returns:
        Why they could not be written; None if they were.
    """

    def save(file: IO[bytes]) -> None:
        known, known_of_masks, begin = 0, 0, 0
        shape: list[int] = []
        checksums: list[int] = []
        small = torch.empty(0, dtype=torch.int64)  # targets that are not masks
        for images, targets in batches:
            data = images.permute(0, 2, 3, 1).contiguous().numpy()
            file.write(data.data)
            known, shape = zlib.crc32(data.data, known), list(images.shape[1:])
            kind = kind_of(targets)
            sums = [zlib.crc32(image.data) for image in data]
            if kind.is_dense:
                masks = targets.contiguous().numpy()
                write_at(file, masks, count * data[0].size + begin * masks[0].size)
                known_of_masks = zlib.crc32(masks.data, known_of_masks)
                sums = [zlib.crc32(mask.data, own) for mask, own in zip(masks, sums, strict=True)]
            else:
                room = small if begin else kind.empty(count, (0, 0))
                small = kind.put(room, begin, targets.cpu())
            checksums += sums
            begin += len(data)
        tail = small.numpy().tobytes() + np.array(checksums, dtype=np.uint32).tobytes()
        file.seek(0, os.SEEK_END)
        file.write(tail)
        about = {
            "shape": [count, *shape],
            "targets": kind.name,
            "small": list(small.shape),
            "class_names": class_names or numbers(small),
            "checksum": known,
            "checksum_of_masks": known_of_masks,
            "tail": zlib.crc32(tail),
        }
        text = json.dumps(about).encode()
        file.write(text + FOOTER.pack(len(text), zlib.crc32(text)))

    return cache_dir.write(path, save)


def write_at(file: IO[bytes], array: np.ndarray, offset: int) -> None:
    """Write an array at a place of a file, whose position stays."""
    position = file.tell()
    file.seek(offset)
    file.write(array.data)
    file.seek(position)


def read(path: Path, into_memory: bool) -> InMemoryDataset | None:
    """Return the images of a file of the cache; None if there is none, or it is damaged.

    Args:
        path: the path from :func:`cache_path`.
        into_memory: read and check all images now; else each is read when it is needed, and checked at its
            first time.
    """
    try:
        with open_regular(path) as file:
            about, labels, checksums = described(file)
            if into_memory:
                dataset = read_whole(file, about, labels)
            else:
                names, targets = about["class_names"], TARGETS[about["targets"]]
                dataset = DiskDataset(path, about["shape"], checksums, labels, names, targets)
        os.utime(path)  # so that it is not the first to go
        return dataset
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, UserError):
        return None


def read_whole(file: BufferedReader, about: Mapping[str, Any], labels: Tensor) -> InMemoryDataset:
    """Read all images of a file into memory.

    They are not mapped, since a file that is truncated while it is mapped ends the process with SIGBUS.

    Raises:
        ValueError: they are damaged.
    """
    count, channels, height, width = about["shape"]
    file.seek(0)
    flat = read_next(file, math.prod(about["shape"]), about["checksum"])
    if TARGETS[about["targets"]].is_dense:
        labels = read_next(file, count * height * width, about["checksum_of_masks"]).view(
            count, height, width
        )
    images = flat.view(count, height, width, channels).permute(0, 3, 1, 2)
    if channels == 1:  # the same bytes, which torch else takes for channels last
        images = flat.view(about["shape"])
    return InMemoryDataset(images, labels, about["class_names"])


def read_next(file: BufferedReader, length: int, checksum: int) -> Tensor:
    """Read that many bytes, uint8 (length,), from where a file stands.

    Raises:
        ValueError: they are not there, or are not those of the checksum.
    """
    flat = torch.empty(length, dtype=torch.uint8)
    view, known = flat.numpy().data, 0
    for begin in range(0, len(view), AT_ONCE):
        part = view[begin : begin + AT_ONCE]
        if file.readinto(part) != len(part):
            raise ValueError("truncated")
        known = zlib.crc32(part, known)
    if known != checksum:
        raise ValueError("damaged")
    return flat


def described(file: BufferedReader) -> tuple[dict[str, Any], Tensor, np.ndarray]:
    """Return what a file says about its images, their targets, and their checksums, uint32 (N,).

    Masks are not among these targets: int64 (0,).

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
    count, _, height, width = about["shape"]
    targets, size = TARGETS[about["targets"]], math.prod(about["shape"])
    dtype = torch.int64 if targets.is_dense else targets.dtype
    of_labels = dtype.itemsize * math.prod(about["small"])
    if targets.is_dense:
        size += count * height * width
    if size + of_labels + CHECKSUM * count + length != end:
        raise ValueError("truncated")
    file.seek(size)
    tail = file.read(of_labels + CHECKSUM * count)
    if zlib.crc32(tail) != about["tail"]:
        raise ValueError("damaged")
    labels = torch.frombuffer(bytearray(tail[:of_labels]), dtype=dtype) if of_labels else torch.empty(0)
    return about, labels.view(about["small"]).to(dtype), np.frombuffer(tail[of_labels:], dtype=np.uint32)
