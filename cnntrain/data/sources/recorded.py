"""Images whose files a run records by name, so that it knows later which of them it was trained on.

A folder of images is the one such source. To ask whether a data set is one takes this class alone, not the 80
modules that read a folder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from cnntrain.image_folder.inventory import Inventory
    from cnntrain.image_folder.members import Member, RunSplit


class RecordedImages(Dataset[tuple[Tensor, int | Tensor]], ABC):
    """One part of images that lie in files.

    Attributes:
        inventory: what is known of all images, those of other parts too.
        indices: which of those are here, int64 (N,).
        run_split: the split of the run whose checkpoint it is.
        classes: the name of each class.
        digest: a checksum of the files.
        skipped: why files can't be read, by their names.
        held_back: number of images that are left out, because the model was trained on them.
    """

    inventory: Inventory
    indices: np.ndarray
    run_split: RunSplit
    classes: list[str]
    digest: str
    skipped: list[str]
    held_back: int

    @abstractmethod
    def split(self, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
        """Return the indices of the training and of the validation part, int64."""

    @abstractmethod
    def members(self, parts: Mapping[int, str]) -> list[Member]:
        """Return the record of the images, in their order, from the part of each by its index."""
