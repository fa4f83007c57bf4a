"""Canvases of MNIST digits as a data set: ``data=mnist_canvas``."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cnntrain.data.images import InMemoryDataset
from cnntrain.data.resize import Size, sides
from cnntrain.data.sources.builtin import DIGITS, MNISTMini, idx_files, read_idx_set
from cnntrain.data.sources.canvas.compose import Canvases, Geometry, compose
from cnntrain.data.sources.canvas.draws import Draws
from cnntrain.data.targets.boxes import in_table
from cnntrain.errors import UserError
from cnntrain.runtime import memory
from cnntrain.runtime.console import format_bytes
from cnntrain.text import expanded, shown_path

MASK_NAMES = ["background", *DIGITS]


class MNISTCanvas(InMemoryDataset):
    """Canvases with digits of MNIST at random places. Each follows from its index, and nothing is stored.

    The training part has training digits, and the test part has test digits. They are those of the complete
    MNIST if ``root`` has it, else those that cnntrain ships. All digits are used equally often.

    Args:
        train: the training part or the test part.
        image_size: height and width of a canvas, in pixels, or the side of a square one.
        digits: fewest and most digits on a canvas.
        digit_size: smallest and largest side to which MNIST's images of 28x28 are scaled, in pixels.
        overlap: largest share of a digit's box that another digit's may cover.
        noise: standard deviation of the noise of each pixel, as a share of white.
        clutter: pieces of digits on the background.
        threshold: pixels brighter than this share of white are the digit's.
        canvas_seed: the canvas seed of all that is random.
        canvases: canvases of the training part; None: as many as there are digits.
        test_canvases: canvases of the test part, likewise.
        root: folder of the complete MNIST, where torchvision keeps it.
        download: fetch what is missing of it.
        targets: ``masks``, ``boxes``, or ``classes`` for the digit on a canvas of one.

    Attributes:
        boxes: around the visible pixels of the digits, float32 (M, 4): x1, y1, x2, y2.
        box_labels: the digit in each box, int64 (M,).
        box_counts: boxes of each canvas, int64 (N,); those of the first canvas come first.
        note: where the digits are from, in words.

    Raises:
        DataMissing: ``root`` has a part of MNIST only.
        UserError: there is no room for the digits, or no memory for the canvases.
    """

    def __init__(
        self,
        train: bool,
        image_size: Size,
        digits: Sequence[int],
        digit_size: Sequence[int],
        overlap: float,
        noise: float,
        clutter: int,
        threshold: float,
        canvas_seed: int,
        canvases: int | None = None,
        test_canvases: int | None = None,
        root: str | None = None,
        download: bool = False,
        targets: str = "masks",
    ) -> None:
        ranges = (digits[0], digits[1]), (digit_size[0], digit_size[1])
        geometry = Geometry(sides(image_size), *ranges, overlap, noise, clutter, threshold)
        if targets == "classes" and geometry.digits != (1, 1):
            raise UserError(
                f"data.targets=classes: a canvas of {digits[0]} to {digits[1]} digits has no class: "
                "data.digits=[1,1], or data.targets=masks or boxes"
            )
        images, labels, self.note = digits_of(train, root, download)
        count = (canvases if train else test_canvases) or len(images)
        check_memory(count, geometry)
        made = compose(
            images[:, 0].numpy(), labels.numpy(), geometry, Draws(canvas_seed, train), np.arange(count)
        )
        self.boxes, self.box_labels, self.box_counts = made.boxes, made.labels, made.counts
        if targets == "classes":
            super().__init__(made.images, made.labels, DIGITS)
        elif targets == "boxes":
            super().__init__(made.images, table_of(made), DIGITS)
        else:
            super().__init__(made.images, made.masks, MASK_NAMES)


def table_of(made: Canvases) -> Tensor:
    """Return the boxes of canvases, float32 (N, M, 6), see :class:`cnntrain.data.targets.Boxes`."""
    columns = [made.boxes, made.labels[:, None].float(), torch.zeros(len(made.labels), 1)]
    return in_table(torch.cat(columns, dim=1), made.counts)


def digits_of(train: bool, root: str | None, download: bool) -> tuple[Tensor, Tensor, str]:
    """Return images of digits, uint8 (D, 1, 28, 28), their labels, int64 (D,), and where they are from."""
    folder = expanded(root) if root else None
    # A folder with one of the parts lacks the other: it is not mixed with digits of another set.
    if folder and (download or any(idx_files("MNIST", folder, part, None) for part in (True, False))):
        images, labels = read_idx_set("MNIST", folder, train, download, None, len(DIGITS))
        return images, labels, f"digits of MNIST in {shown_path(folder)}"
    shipped = MNISTMini(train)
    lacks = f"; {shown_path(folder)} has no MNIST" if folder else ""
    return shipped.images, shipped.labels, f"digits that cnntrain ships{lacks}"


def check_memory(count: int, geometry: Geometry) -> None:
    """Raise a UserError if there is no memory for that many canvases and their masks."""
    size, free = 2 * count * math.prod(geometry.size), memory.free()
    if size > free:
        raise UserError(
            f"{count:,} canvases of {geometry.size[0]}x{geometry.size[1]} take {format_bytes(size)}, and "
            f"{format_bytes(free)} of memory are free: fewer data.canvases or a smaller data.image_size"
        )
