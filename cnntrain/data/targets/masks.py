"""The class of each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from cnntrain.annotations.regions import IGNORED
from cnntrain.data.augment.annotations import Annotated
from cnntrain.data.augment.augment import Augment
from cnntrain.data.augment.crop import central
from cnntrain.data.resize import masks_to_size
from cnntrain.data.targets.base import Targets
from cnntrain.errors import UserError

CHUNK = 2**24  # pixels that are counted at a time


class Masks(Targets):
    """The class of each pixel: uint8 (N, H, W), as high and wide as the images. 255 is ignored everywhere."""

    name, word, words, is_dense, dtype = "masks", "mask", "masks", True, torch.uint8

    def of_item(self, value: Any, shape: Sequence[int], size: tuple[int, int], resize: str) -> Tensor:
        """Return a mask, uint8 (H, W), of an array, a tensor or a PIL image of class numbers."""
        mask = value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
        if mask.dim() == 3 and mask.shape[0] == 1:
            mask = mask[0]
        if mask.dim() != 2 or mask.is_floating_point() or mask.is_complex():
            got = f"{str(mask.dtype).removeprefix('torch.')} {tuple(mask.shape)}"
            raise ValueError(f"a mask has a whole number for each pixel, (H, W), not {got}")
        if tuple(mask.shape) != tuple(shape):
            of_image, own = ("×".join(map(str, some)) for some in (shape, mask.shape))
            raise ValueError(f"the image has {of_image} pixels and the mask {own}")
        if mask.dtype != torch.uint8:
            low, high = int(mask.min()), int(mask.max())
            if low < 0 or high > IGNORED:
                raise ValueError(f"values of a mask lie between 0 and 255, and these go from {low} to {high}")
        return masks_to_size(mask.to(torch.uint8)[None], size, resize, IGNORED)[0]

    def empty(self, count: int, size: tuple[int, int]) -> Tensor:
        """Return room for masks, uint8 (count, H, W)."""
        return torch.empty((count, *size), dtype=torch.uint8)

    def fitted(self, targets: Tensor, shape: tuple[int, int], size: tuple[int, int], resize: str) -> Tensor:
        """Return masks scaled by nearest neighbour; pixels that ``pad`` adds are ignored."""
        return masks_to_size(targets, size, resize, IGNORED)

    def check(self, targets: Tensor, class_names: Sequence[str]) -> None:
        """Raise a UserError if a pixel has a class that has no name, and is not ignored."""
        for some in in_chunks(targets):
            highest = int(some.masked_fill(some == IGNORED, 0).max())
            if highest >= len(class_names):
                raise UserError(
                    f"a mask has a pixel of class {highest}, outside the {len(class_names)} classes; "
                    f"{IGNORED} leaves a pixel out"
                )

    def seen_at(self, targets: Tensor, shape: tuple[int, int], size: tuple[int, int]) -> Tensor:
        """Return the middle of each mask."""
        return central(targets, size)

    def augmented(
        self, augment: Augment, x: Tensor, targets: Tensor, generator: Generator, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return changed copies of images, and the masks moved with their pixels."""
        changed = augment.annotated(Annotated(x, masks=targets, fill=IGNORED), generator, size)
        assert changed.masks is not None
        return changed.images, changed.masks

    def for_fingerprint(self, targets: Tensor, places: Tensor) -> Tensor:
        """Return the masks of the images that are looked at."""
        return targets.index_select(0, places.to(targets.device))

    def strata(self, targets: Tensor) -> Tensor | None:
        """Return None: an image has pixels of several classes."""
        return None

    def counts(self, targets: Tensor, num_classes: int) -> Tensor:
        """Return the number of pixels of each class, without those that are ignored."""
        found = torch.zeros(IGNORED + 1, dtype=torch.int64, device=targets.device)
        for some in in_chunks(targets):
            found += some.flatten().long().bincount(minlength=IGNORED + 1)
        found[IGNORED] = 0
        return found[:num_classes]


def in_chunks(masks: Tensor) -> Sequence[Tensor]:
    """Split masks into chunks of up to CHUNK pixels; yield none for no masks."""
    if not masks.numel():
        return ()
    chunks: Sequence[Tensor] = masks.split(max(1, CHUNK // masks[0].numel()))
    return chunks
