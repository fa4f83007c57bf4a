"""The boxes of a folder of images, moved as the images are brought to the size that the network gets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cnntrain.annotations.boxes.census import BoxCensus
from cnntrain.annotations.regions import BOX_CLASS, BOX_COLUMNS, NO_BOX
from cnntrain.data.targets import BOXES
from cnntrain.data.targets.boxes import in_table


def boxes_of(
    census: BoxCensus, indices: np.ndarray, labels: Sequence[int], size: tuple[int, int], resize: str
) -> tuple[Tensor, int]:
    """Return the boxes of some images, float32 (N, M, 6), see :class:`cnntrain.data.targets.Boxes`.

    Args:
        census: of the folder.
        indices: of the images in the census, int64 (N,).
        labels: that the model has for the classes of the folder.
        size: height and width to which the images are brought.
        resize: how, see :func:`cnntrain.data.resize.to_size`.

    Returns:
        The boxes, and how many are out of sight then.
    """
    label = np.array(labels, dtype=np.float32)
    rows, counts, lost = [torch.empty(0, BOX_COLUMNS)], [], 0
    for index in indices.tolist():
        own, record = census.boxes[index].copy(), census.records[index]
        own[:, BOX_CLASS] = label[own[:, BOX_CLASS].astype(np.int64)]
        shape = int(record["height"]), int(record["width"])
        moved = BOXES.fitted(torch.from_numpy(own)[None], shape, size, resize)[0]
        kept = moved[moved[:, BOX_CLASS] != NO_BOX]
        lost += len(own) - len(kept)
        rows.append(kept)
        counts.append(len(kept))
    return in_table(torch.cat(rows), torch.tensor(counts)), lost
