"""IDX files, as MNIST has them, whose heads lie or whose contents are not what they should be."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np


def idx(dimensions: tuple[int, ...], data: bytes, kind: int = 8) -> bytes:
    """Return an IDX file, whose head may lie."""
    return struct.pack(f">HBB{len(dimensions)}I", 0, kind, len(dimensions), *dimensions) + data


IMAGES, LABELS = idx((20, 28, 28), bytes(20 * 784)), idx((20,), bytes(range(10)) * 2)


IDX: dict[str, tuple[bytes, bytes]] = {
    "honest": (IMAGES, LABELS),
    "two dimensions": (IMAGES, idx((10, 2), bytes(range(10)) * 2)),
    "no pixels": (idx((20, 0, 0), b""), LABELS),
    "no images": (idx((0, 28, 28), b""), idx((0,), b"")),
    "out of range": (IMAGES, idx((20,), bytes([200] * 20))),
    "fewer labels": (IMAGES, idx((10,), bytes(range(10)))),
    "more claimed": (idx((2**31, 28, 28), bytes(784)), LABELS),
    "huge": (idx((2**32 - 1,) * 3, b""), LABELS),
    "floats": (idx((20, 28, 28), np.full(20 * 784, np.nan, ">f4").tobytes(), 13), LABELS),
    "other kind": (idx((20, 28, 28), bytes(20 * 784), 99), LABELS),
    "many dimensions": (idx((1,) * 255, b"\0"), LABELS),
    "empty": (b"", b""),
    "swapped": (LABELS, IMAGES),
    "text": (b"<html>404</html>", b"<html>404</html>"),
    "other size": (idx((20, 30, 30), bytes(20 * 900)), LABELS),
    "too long": (IMAGES + bytes(100), LABELS + bytes(100)),
}


def write_idx(root: Path, name: str, packed: bool) -> None:
    """Write a data set of IDX files as MNIST lies in a folder, packed or not."""
    images, labels = IDX[name]
    raw = root / "MNIST/raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        for file, data in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            if packed:
                (raw / f"{file}.gz").write_bytes(gzip.compress(data))
            else:
                (raw / file).write_bytes(data)
