"""The mask of an image, of whatever format, as large as the image and upright as a viewer shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cnntrain.annotations.class_map import ClassMap
from cnntrain.annotations.facts import ALIKE, AnnotatedInventory
from cnntrain.annotations.mask_file import orientation_of, read_pixels
from cnntrain.annotations.readers.yolo import regions_of
from cnntrain.annotations.regions import drawn
from cnntrain.annotations.table import IN_FILES, Entry
from cnntrain.image_folder.decode import SWAPPING, TURNS
from cnntrain.image_folder.opening import Decoding


@dataclass(frozen=True)
class MaskReader:
    """Reads or draws the masks of a folder.

    Args:
        root: the folder.
        format: the format of the folder.
        classes: the labels of the values in mask files.
        numbers: the labels of the class numbers in files of polygons.
        decoding: the bounds of decoding.
    """

    root: Path
    format: str
    classes: ClassMap
    numbers: Sequence[int]
    decoding: Decoding

    @classmethod
    def from_inventory(cls, inventory: AnnotatedInventory, decoding: Decoding) -> MaskReader:
        """Return the reader of a folder's masks."""
        table = inventory.table
        return cls(table.root, table.format, inventory.scheme.classes, table.labels, decoding)

    def read(self, entry: Entry, size: tuple[int, int], lies: str) -> np.ndarray:
        """Return a mask, uint8 (H, W): the label of each pixel, 255 where it has none.

        Args:
            entry: the image and its annotation.
            size: width and height of the image as it is seen.
            lies: how the mask lies to an image that EXIF turns; empty for other images.

        Raises:
            UnreadableImage: a file can't be read any more.
        """
        orientation = orientation_of(self.root / entry.image) if lies == ALIKE else 1
        if entry.mask and self.format in IN_FILES:
            mask = self.classes.labels(read_pixels(self.root / entry.mask, self.decoding))
        else:
            stored = size[::-1] if orientation in SWAPPING else size
            regions = entry.regions
            if entry.mask:
                regions = regions_of(self.root / entry.mask, self.numbers, stored)
            mask = drawn(regions, stored)
        if orientation not in TURNS:
            return mask
        return np.asarray(Image.fromarray(mask).transpose(TURNS[orientation]))
