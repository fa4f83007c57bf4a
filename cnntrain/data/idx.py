"""The IDX files in which MNIST and its relatives come.

The format (https://yann.lecun.org/exdb/mnist/): two zero bytes, a type code (0x08: unsigned bytes), the
number of dimensions, each dimension as a big-endian 32-bit integer, then the data in row-major order.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from cnntrain.errors import UserError

UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> Tensor:
    """Read an IDX file of unsigned bytes, plain or ``.gz``.

    Returns:
        uint8 tensor of the shape that the file states.

    Raises:
        UserError: the file is not IDX, or holds fewer or more bytes than it states.
    """
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged ({error}): delete it and fetch it again") from error
    if len(data) < 4 or data[:3] != bytes([0, 0, UNSIGNED_BYTE]):
        raise UserError(f"{path} is not an IDX file of unsigned bytes: delete it and fetch it again")
    dimensions = data[3]
    header_size = 4 + 4 * dimensions
    if len(data) < header_size:
        raise UserError(f"{path} is truncated: it ends within its header; delete it and fetch it again")
    shape = struct.unpack(f">{dimensions}I", data[4:header_size])
    expected = header_size + math.prod(shape)
    if len(data) != expected:
        state = "truncated" if len(data) < expected else "damaged"
        raise UserError(
            f"{path} is {state}: it holds {len(data):,} of {expected:,} bytes; delete it and fetch it again"
        )
    # A bytearray, since a tensor over read-only memory would be undefined behaviour when written to.
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)[header_size:].view(shape)
