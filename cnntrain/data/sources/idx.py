"""The IDX files in which MNIST and its relatives come.

The format (https://yann.lecun.org/exdb/mnist/): two zero bytes, a type code (0x08: unsigned bytes), the
number of dimensions, each dimension as a big-endian 32-bit integer, then the data in row-major order.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from io import BufferedIOBase
from pathlib import Path

import torch
from torch import Tensor

from cnntrain.errors import UserError
from cnntrain.runtime import memory
from cnntrain.runtime.regular_files import open_regular

UNSIGNED_BYTE = 0x08
AT_ONCE = 2**24  # bytes that are read at a time, so that a header that lies takes no memory


def read_idx(path: Path) -> Tensor:
    """Read an IDX file of unsigned bytes, plain or ``.gz``.

    Returns:
        uint8 tensor of the shape that the file states.

    Raises:
        UserError: the file can't be read, is not IDX, or holds fewer or more bytes than it states.
    """
    try:
        with open_regular(path) as file:
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=file) as unpacked:
                    return read_from(unpacked, path)
            return read_from(file, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and fetch it again") from error
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror or error}") from error


def read_from(file: BufferedIOBase, path: Path) -> Tensor:
    """Read an open IDX file; of one that states less than it unpacks to, no more than that.

    Raises:
        UserError: see :func:`read_idx`.
    """
    start = file.read(4)
    if len(start) < 4 or start[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise UserError(f"{path} is not an IDX file of unsigned bytes: delete it and fetch it again")
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise UserError(f"{path} is truncated: it ends within its header; delete it and fetch it again")
    shape = struct.unpack(f">{start[3]}I", sizes)
    expected, data = math.prod(shape), bytearray()  # which a tensor may lie over and write to
    if expected > memory.free():
        raise UserError(f"{path} holds {expected:,} bytes by its header, more than there is memory for")
    while len(data) <= expected and (part := file.read(min(AT_ONCE, expected + 1 - len(data)))):
        data += part
    if len(data) != expected:
        header = len(start) + len(sizes)
        holds = "more than" if len(data) > expected else f"{header + len(data):,} of"
        state = "damaged" if len(data) > expected else "truncated"
        raise UserError(
            f"{path} is {state}: it holds {holds} {header + expected:,} bytes; delete it and fetch it again"
        )
    if not expected:
        return torch.empty(shape, dtype=torch.uint8)
    return torch.frombuffer(data, dtype=torch.uint8).view(shape)


def read_labelled(images: Path, labels: Path, classes: int) -> tuple[Tensor, Tensor]:
    """Read images, uint8 (N, 1, H, W), and their labels, int64 (N,), from two IDX files.

    Args:
        images: file of N images.
        labels: file of N labels.
        classes: number of classes.

    Raises:
        UserError: a file can't be read, or does not hold what it should; the file is named.
    """
    pixels, numbers = read_idx(images), read_idx(labels)
    for path, found, dimensions, what in ((images, pixels, 3, "images"), (labels, numbers, 1, "labels")):
        if found.dim() != dimensions:
            raise UserError(
                f"{path} holds {found.dim()} dimensions, {' x '.join(map(str, found.shape))}: "
                f"it is not a file of {what}, which has {dimensions}"
            )
        if not found.numel():
            raise UserError(f"{path} holds no {what}: {' x '.join(map(str, found.shape))}")
    if len(pixels) != len(numbers):
        raise UserError(f"{images} holds {len(pixels):,} images, and {labels} {len(numbers):,} labels")
    if int(numbers.max()) >= classes:
        raise UserError(f"{labels} holds the label {int(numbers.max())} for {classes} classes")
    return pixels.unsqueeze(1), numbers.long()
