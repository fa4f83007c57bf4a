"""Cut mnist_mini, the data set that cnntrain ships, from the complete MNIST.

    python scripts/make_mnist_mini.py ROOT      # ROOT/MNIST/raw holds the IDX files

Takes the first 500 training and the first 100 test images of each digit, in MNIST's own order, so
anyone with MNIST gets the same bytes. Written as compressed IDX files beside their README.
"""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import torch

from cnntrain.data.sources.idx import read_idx

TARGET = Path(__file__).parent.parent / "cnntrain" / "data" / "mnist_mini"
PER_CLASS = {"train": 500, "t10k": 100}


def first_of_each_class(labels: torch.Tensor, count: int) -> torch.Tensor:
    """Return the sorted indices, int64 (10 · count,), of the first ``count`` images of each digit."""
    return torch.cat([(labels == digit).nonzero().flatten()[:count] for digit in range(10)]).sort().values


def write_idx(path: Path, array: torch.Tensor) -> None:
    """Write a uint8 tensor as gzip-compressed IDX, without a time stamp: the same input, the same bytes."""
    header = struct.pack(f">BBBB{array.dim()}I", 0, 0, 0x08, array.dim(), *array.shape)
    with path.open("wb") as file, gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as stream:
        stream.write(header + array.numpy().tobytes())


def main(root: Path) -> None:
    """Write the four files and print their sizes."""
    for part, count in PER_CLASS.items():
        images = read_idx(root / "MNIST" / "raw" / f"{part}-images-idx3-ubyte")
        labels = read_idx(root / "MNIST" / "raw" / f"{part}-labels-idx1-ubyte")
        chosen = first_of_each_class(labels, count)
        write_idx(TARGET / f"{part}-images-idx3-ubyte.gz", images[chosen])
        write_idx(TARGET / f"{part}-labels-idx1-ubyte.gz", labels[chosen])
    for path in sorted(TARGET.glob("*.gz")):
        print(f"{path.stat().st_size:>9,} bytes  {path.name}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
