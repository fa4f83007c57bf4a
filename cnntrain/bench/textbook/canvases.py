"""Canvases as a textbook composes them: one at a time."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from cnntrain.bench.textbook.transforms import Sample, Target, Transform, as_learnt
from cnntrain.data.sources.canvas.compose import FRAGMENT, Geometry
from cnntrain.data.sources.canvas.layout import TRIES

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels


class TextbookCanvases(Dataset[Sample]):
    """Canvases of digits, each composed when it is asked for.

    Args:
        digits: uint8 (D, 28, 28).
        labels: which digit each of them is.
        geometry: what the canvases look like.
        count: number of canvases.
        transform: maps an image and its mask or boxes, as tv_tensors, to what is learnt.
        targets: ``masks`` or ``boxes``.
    """

    def __init__(
        self,
        digits: Pixels,
        labels: list[int],
        geometry: Geometry,
        count: int,
        transform: Transform,
        targets: str,
    ) -> None:
        self.digits = digits
        self.labels = labels
        self.geometry = geometry
        self.count = count
        self.transform = transform
        self.targets = targets

    def __len__(self) -> int:
        """Return the number of canvases."""
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Return one canvas, float32 (1, H, W), and its mask, uint8 (H, W), or its boxes."""
        random, geometry = np.random.default_rng(index), self.geometry
        image = self.background(random)
        mask = np.zeros_like(image)
        boxes: list[Box] = []
        labels: list[int] = []
        for _ in range(random.integers(geometry.digits[0], geometry.digits[1] + 1)):
            which = random.integers(len(self.digits))
            side = int(random.integers(geometry.digit_size[0], geometry.digit_size[1] + 1))
            digit = np.asarray(Image.fromarray(self.digits[which]).resize((side, side)))
            ink = digit > 255 * geometry.threshold
            place = self.place(random, ink, boxes)
            if place is None:
                continue
            here = np.s_[place[1] : place[1] + side, place[0] : place[0] + side]
            image[here] = np.where(ink, digit, np.maximum(digit, image[here]))
            labels.append(self.labels[which])
            if self.targets == "masks":
                mask[here][ink] = self.labels[which] + 1
        if geometry.noise:
            noisy = image + random.normal(0, 255 * geometry.noise, image.shape)
            image = noisy.clip(0, 255).astype(np.uint8)
        target: Target = torch.from_numpy(mask)
        if self.targets == "boxes":
            corners = torch.tensor(boxes, dtype=torch.float32).view(-1, 4)
            target = {"boxes": corners, "labels": torch.tensor(labels, dtype=torch.int64)}
        return as_learnt(image[None], target, self.transform)

    def background(self, random: np.random.Generator) -> Pixels:
        """Return a black canvas with pieces of digits at random places, uint8 (H, W)."""
        height, width = self.geometry.size
        image = np.zeros((height, width), dtype=np.uint8)
        tall, wide = min(FRAGMENT, height), min(FRAGMENT, width)
        for _ in range(self.geometry.clutter):
            which = random.integers(len(self.digits))
            down, right = random.integers(28 - tall + 1), random.integers(28 - wide + 1)
            top, left = random.integers(height - tall + 1), random.integers(width - wide + 1)
            piece = self.digits[which, down : down + tall, right : right + wide]
            here = np.s_[top : top + tall, left : left + wide]
            image[here] = np.maximum(image[here], piece)
        return image

    def place(
        self, random: np.random.Generator, ink: NDArray[np.bool_], boxes: list[Box]
    ) -> tuple[int, int] | None:
        """Return where a digit begins, left and top, and note its box; None if it found no room."""
        height, width = self.geometry.size
        rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
        if not len(rows):
            return None
        for _ in range(TRIES):
            left = int(random.integers(width - ink.shape[1] + 1))
            top = int(random.integers(height - ink.shape[0] + 1))
            box = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
            if all(covered(box, other) <= self.geometry.overlap for other in boxes):
                boxes.append(box)
                return left, top
        return None


def covered(box: Box, other: Box) -> float:
    """Return the share of the smaller of two boxes that the other one covers."""
    wide = min(box[2], other[2]) - max(box[0], other[0])
    tall = min(box[3], other[3]) - max(box[1], other[1])
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, other)]
    return max(wide, 0) * max(tall, 0) / min(areas)
