"""The masks of a folder of annotated images, resized to the size of the images that the network gets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cnntrain.annotations.facts import AnnotatedInventory
from cnntrain.annotations.mask_reader import MaskReader
from cnntrain.annotations.regions import IGNORED
from cnntrain.data.resize import Size, masks_to_size
from cnntrain.image_folder.opening import Decoding


class FolderMasks:
    """The masks of some images.

    Args:
        inventory: the inventory of the folder.
        indices: the indices of the images in the inventory, int64 (N,).
        labels: the labels that the model has for the classes of the folder.
        decoding: within which bounds files are decoded.
    """

    def __init__(
        self, inventory: AnnotatedInventory, indices: np.ndarray, labels: Sequence[int], decoding: Decoding
    ) -> None:
        chosen = indices.tolist()
        self.reader = MaskReader.from_inventory(inventory, decoding)
        self.entries = [inventory.table.entries[index] for index in chosen]
        self.sizes = np.stack([inventory.records["width"], inventory.records["height"]], axis=1)[indices]
        self.lies = [inventory.lies.get(index, "") for index in chosen]
        self.labels = np.full(IGNORED + 1, IGNORED, np.uint8)
        self.labels[: len(labels)] = labels

    def read(self, index: int, size: Size, resize: str) -> Tensor:
        """Return the mask of an image: uint8 (height, width), scaled by nearest neighbour.

        Args:
            index: the index of the image.
            size: the size of the result.
            resize: how, see :func:`cnntrain.data.resize.to_size`.

        Raises:
            UnreadableImage: its file can't be read any more.
        """
        width, height = self.sizes[index].tolist()
        mask = self.labels[self.reader.read(self.entries[index], (width, height), self.lies[index])]
        return masks_to_size(torch.from_numpy(mask)[None], size, resize, IGNORED)[0]

    def file(self, index: int) -> Path:
        """Return the file of a mask, or of its image if one file describes many masks."""
        entry = self.entries[index]
        path: Path = self.reader.root / (entry.mask or entry.image)
        return path
