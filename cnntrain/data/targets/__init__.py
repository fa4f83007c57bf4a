"""What the images of a data set are paired with: class numbers, masks or boxes. There is one class a kind.

A new kind is a class here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cnntrain.annotations.regions import BOX_COLUMNS as COLUMNS
from cnntrain.data.targets.base import Targets, checksum
from cnntrain.data.targets.boxes import Boxes
from cnntrain.data.targets.classes import Classes
from cnntrain.data.targets.masks import Masks
from cnntrain.errors import UserError

__all__ = ["BOXES", "CLASSES", "MASKS", "TARGETS", "Boxes", "Targets", "checksum", "kind_of"]

CLASSES, MASKS, BOXES = Classes(), Masks(), Boxes()
TARGETS: dict[str, Targets] = {kind.name: kind for kind in (CLASSES, MASKS, BOXES)}


def kind_of(targets: Tensor) -> Targets:
    """Return the kind of targets that a tensor holds, by its type and dimensions.

    Raises:
        UserError: it holds none.
    """
    if targets.dim() == 1 and not targets.is_floating_point():
        return CLASSES
    if targets.dim() == 3 and targets.dtype == torch.uint8:
        return MASKS
    if targets.dim() == 3 and targets.dtype == torch.float32 and targets.shape[2] == COLUMNS:
        return BOXES
    kind = str(targets.dtype).removeprefix("torch.")
    raise UserError(
        f"targets must be class numbers, int64 (N,), masks, uint8 (N, H, W), or boxes, float32 (N, M, "
        f"{COLUMNS}), not {kind} {tuple(targets.shape)}"
    )
