"""The boxes of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

from cnntrain.annotations.regions import BOX_CLASS as CLASS
from cnntrain.annotations.regions import BOX_COLUMNS as COLUMNS
from cnntrain.annotations.regions import BOX_IGNORED as IGNORED
from cnntrain.annotations.regions import NO_BOX
from cnntrain.data.augment.annotations import Annotated
from cnntrain.data.augment.augment import Augment
from cnntrain.data.augment.boxes import areas, sides
from cnntrain.data.resize import Fit, clipped
from cnntrain.data.targets.base import Targets
from cnntrain.errors import UserError

SLIVER = 0.2  # a crop that leaves less of a box than this share makes the rest unrecognisable
TORCHVISION = ("boxes", "labels")  # the keys of a target in the manner of torchvision's detectors


class Boxes(Targets):
    """The boxes of each image: float32 (N, M, 6). M is the number of boxes of the image that has most.

    A row is left, top, right and bottom in pixels of the image, x to the right and y down, the right and the
    lower edge exclusive; the class, from 0; and 1 if the box is ignored, a crowd or an object that is hard to
    see, else 0. Rows that only fill the table come last: zeros, of class -1.
    """

    name, word, words, is_dense, dtype = "boxes", "boxes", "boxes", False, torch.float32

    def of_item(self, value: Any, shape: Sequence[int], size: tuple[int, int], resize: str) -> Tensor:
        """Return the boxes of one image, float32 (M, 6).

        Args:
            value: rows of left, top, right, bottom, class and, if there is a sixth, ignored; or a dictionary
                of ``boxes`` (M, 4), ``labels`` (M,) and perhaps ``iscrowd`` (M,), whose labels begin at 0.
            shape: height and width of the image, as the source gives it.
            size: height and width that images are resized to.
            resize: how, see :func:`cnntrain.data.resize.to_size`.

        Raises:
            TypeError, ValueError: these are no boxes.
        """
        rows = rows_of(value)
        held = rows[rows[:, CLASS] != NO_BOX]
        is_wrong = ~held.isfinite().all(1) | (sides(held[:, :CLASS]) <= 0).any(1)
        if is_wrong.any():
            wrong = held[is_wrong][0, :CLASS].tolist()
            raise ValueError(f"a box goes from left and top to a larger right and bottom, not {wrong}")
        height, width = shape
        return self.fitted(rows[None], (height, width), size, resize)[0]

    def empty(self, count: int, size: tuple[int, int]) -> Tensor:
        """Return room for the boxes of images that have one at most, float32 (count, 1, 6); it widens."""
        return filled(torch.empty(count, 0, COLUMNS), 1)

    def stacked(self, targets: Sequence[Tensor], known: Tensor) -> Tensor:
        """Return a batch as wide as the boxes of all images are, if those are known."""
        least = known.shape[1] if known.dim() == 3 else 1
        most = max([least, *map(len, targets)])
        return torch.stack([filled(rows[None], most)[0] for rows in targets])

    def put(self, room: Tensor, begin: int, some: Tensor) -> Tensor:
        """Write boxes into the room for all of them, which becomes wider if it must."""
        most = max(room.shape[1], some.shape[1])
        return super().put(filled(room, most), begin, filled(some, most))

    def from_attribute(self, value: Any) -> Tensor:
        """Return boxes of all images, float32 (N, M, 6).

        Raises:
            TypeError: they are none.
        """
        if isinstance(value, Tensor) and value.dim() == 3 and value.shape[2] == COLUMNS:
            return value.to(self.dtype)
        raise TypeError("no table of boxes")

    def fitted(self, targets: Tensor, shape: tuple[int, int], size: tuple[int, int], resize: str) -> Tensor:
        """Return boxes moved with their images, clipped, and without those that are out of sight."""
        if shape == size:
            return targets
        moved = Fit.from_sizes(*shape, size, resize).boxes(targets[..., :CLASS])
        return in_sight(targets, moved, size)

    def check(self, targets: Tensor, class_names: Sequence[str]) -> None:
        """Raise a UserError if a box has a class that has no name."""
        if not targets.numel():
            return
        labels = targets[..., CLASS]
        highest, lowest = float(labels.max()), float(labels.min())
        if not NO_BOX <= lowest <= highest < len(class_names) or bool((labels != labels.round()).any()):
            wrong = highest if highest >= len(class_names) else lowest
            raise UserError(f"a box is of class {wrong:g}, outside the {len(class_names)} classes")

    def seen_at(self, targets: Tensor, shape: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Return the boxes in the middle of each image, clipped, without those that are out of sight."""
        if shape == size:
            return targets
        down, right = (shape[0] - size[0]) // 2, (shape[1] - size[1]) // 2
        moved = targets[..., :CLASS] - targets.new_tensor([right, down, right, down])
        return in_sight(targets, moved, size)

    def augmented(
        self, augment: Augment, x: Tensor, targets: Tensor, generator: Generator, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return changed copies of images, and the boxes moved with what they hold."""
        is_box = targets[..., CLASS] != NO_BOX
        places = targets[..., :CLASS] * is_box[..., None]
        batch = Annotated(x, boxes=places, min_visible=augment.min_visible)
        changed = augment.annotated(batch, generator, size)
        assert changed.boxes is not None
        rows = torch.cat([changed.boxes, targets[..., CLASS:]], dim=-1)
        return changed.images, compacted(rows, is_box & (areas(changed.boxes) > 0))

    def for_fingerprint(self, targets: Tensor, places: Tensor) -> Tensor:
        """Return all boxes."""
        return targets

    def strata(self, targets: Tensor) -> Tensor | None:
        """Return None: an image has boxes of several classes."""
        return None

    def counts(self, targets: Tensor, num_classes: int) -> Tensor:
        """Return the number of boxes of each class, without those that are ignored."""
        labels = targets[..., CLASS][(targets[..., CLASS] != NO_BOX) & (targets[..., IGNORED] == 0)]
        return labels.long().bincount(minlength=num_classes)


def rows_of(value: Any) -> Tensor:
    """Return the boxes that a source gives as rows, float32 (M, 6).

    Raises:
        TypeError, ValueError: these are no boxes.
    """
    if isinstance(value, Mapping):
        boxes, labels = (torch.as_tensor(np.asarray(value[key])) for key in TORCHVISION)
        ignored = torch.as_tensor(np.asarray(value.get("iscrowd", torch.zeros(len(labels)))))
        columns = [boxes.view(-1, CLASS), labels.view(-1, 1), ignored.view(-1, 1)]
        return torch.cat([column.to(torch.float32) for column in columns], dim=1)
    rows = torch.as_tensor(np.asarray(value), dtype=torch.float32)
    if not rows.numel():
        return torch.empty(0, COLUMNS)
    if rows.dim() != 2 or rows.shape[1] not in (CLASS + 1, COLUMNS):
        raise ValueError(f"boxes are rows of 5 or 6 numbers, (M, 5) or (M, 6), not {tuple(rows.shape)}")
    return pad(rows, (0, COLUMNS - rows.shape[1]))


def in_table(rows: Tensor, counts: Tensor) -> Tensor:
    """Return the boxes of all images as a table, float32 (N, M, 6).

    Args:
        rows: those of the first image come first, float32 (boxes, 6).
        counts: boxes of each image, int64 (N,).
    """
    table = filled(torch.empty(len(counts), 0, COLUMNS), max([1, *counts.tolist()]))
    image = torch.arange(len(counts)).repeat_interleave(counts)
    first = counts.cumsum(0) - counts
    table[image, torch.arange(len(rows)) - first[image]] = rows
    return table


def filled(rows: Tensor, most: int) -> Tensor:
    """Return boxes, (N, M, 6), with rows of no box up to a number."""
    missing = most - rows.shape[1]
    if missing <= 0:
        return rows
    beside = rows.new_zeros(len(rows), missing, COLUMNS)
    beside[..., CLASS] = NO_BOX
    return torch.cat([rows, beside], dim=1)


def compacted(rows: Tensor, which: Tensor) -> Tensor:
    """Return boxes, (N, M, 6), without those that bool (N, M) drops; the others stay in their order."""
    order = which.logical_not().to(torch.uint8).argsort(dim=1, stable=True)
    no_box = rows.new_zeros(COLUMNS)
    no_box[CLASS] = NO_BOX
    kept = torch.where(which[..., None], rows, no_box)
    return kept.gather(1, order[..., None].expand_as(kept))


def in_sight(rows: Tensor, moved: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes that were moved, as far as they are seen.

    A box with little left in sight is ignored: nobody could tell what it holds, but there is something.

    Args:
        rows: before the move, (N, M, 6).
        moved: their places after it, (N, M, 4).
        size: height and width of the image in which they are seen.
    """
    inside = clipped(moved, size)
    is_sliver = areas(inside) < SLIVER * areas(moved)
    ignored = torch.where(is_sliver, 1.0, rows[..., IGNORED])
    result = torch.cat([inside, rows[..., CLASS:IGNORED], ignored[..., None]], dim=-1)
    return compacted(result, (rows[..., CLASS] != NO_BOX) & (sides(inside).amin(-1) > 0))
