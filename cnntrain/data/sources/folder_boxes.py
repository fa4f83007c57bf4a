"""The boxes of a folder of images, moved as the images are resized to the size that the network gets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cnntrain.annotations.boxes.inventory import BoxInventory
from cnntrain.annotations.regions import BOX_CLASS, BOX_COLUMNS, NO_BOX
from cnntrain.data.targets import BOXES
from cnntrain.data.targets.boxes import in_table


def boxes_of(
    inventory: BoxInventory, indices: np.ndarray, labels: Sequence[int], size: tuple[int, int], resize: str
) -> tuple[Tensor, int]:
    """Return the boxes of some images, float32 (N, M, 6), see :class:`cnntrain.data.targets.Boxes`.

    Args:
        inventory: the inventory of the folder.
        indices: the indices of the images in the inventory, int64 (N,).
        labels: the labels that the model has for the classes of the folder.
        size: height and width that images are resized to.
        resize: how, see :func:`cnntrain.data.resize.to_size`.

    Returns:
        The boxes, and how many are out of sight then.
    """
    label, records = np.array(labels, dtype=np.float32), inventory.records[indices]
    counts = torch.tensor([len(inventory.boxes[index]) for index in indices.tolist()], dtype=torch.int64)
    rows = np.concatenate(
        [np.zeros((0, BOX_COLUMNS), np.float32), *map(inventory.boxes.__getitem__, indices)]
    )
    rows[:, BOX_CLASS] = label[rows[:, BOX_CLASS].astype(np.int64)]
    table = in_table(torch.from_numpy(rows), counts)
    shapes, which = np.unique(np.stack([records["height"], records["width"]], 1), axis=0, return_inverse=True)
    for number, (height, width) in enumerate(shapes.tolist()):  # images of one size at a time
        here = torch.from_numpy(np.flatnonzero(which.ravel() == number))
        table[here] = BOXES.fitted(table[here], (height, width), size, resize)
    return table, len(rows) - int((table[..., BOX_CLASS] != NO_BOX).sum())
