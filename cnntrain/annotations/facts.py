"""The facts about a folder of annotated images, and which of them can be used."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from cnntrain.annotations.label_scheme import LabelScheme
from cnntrain.annotations.mask_scan import MaskRecord
from cnntrain.annotations.table import FORMATS, Table
from cnntrain.image_folder.inventory import Inventory
from cnntrain.image_folder.listing import Listing
from cnntrain.runtime.console import count
from cnntrain.text import some

UPRIGHT, ALIKE, EITHER = "upright", "alike", "either"  # how a mask lies to an image that EXIF turns


@dataclass
class AnnotatedListing(Listing):
    """The annotated images below a folder; all have the label 0.

    Args:
        orphan_images: images without an annotation.
        orphan_masks: annotations without an image.
    """

    orphan_images: list[str] = field(default_factory=list)
    orphan_masks: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class AnnotatedInventory(Inventory):
    """The annotated images of a folder: what each is, and what is wrong with its annotation.

    Args:
        table: the table of the images and their annotations.
        masks: the record of each mask's file, in the order of the table; None where there is none.
        scheme: the classes.
        wrong: why an image can't be used, by its place; such images are left out.
        partly: what is wrong with some pixels, by the place of the image; they are ignored.
        lies: how each mask lies to an image that EXIF turns, by its place.
    """

    table: Table
    masks: list[MaskRecord | None]
    scheme: LabelScheme
    wrong: dict[int, str] = field(default_factory=dict)
    partly: dict[int, list[str]] = field(default_factory=dict)
    lies: dict[int, str] = field(default_factory=dict)

    def class_of(self, index: int) -> str:
        """Return an empty text: an image has pixels of several classes."""
        return ""

    @property
    def targets(self) -> str:
        """What is known of each image, as ``data.targets`` says it."""
        return "masks"

    @property
    def readable(self) -> np.ndarray:
        """Which images can be used, bool (N,)."""
        readable = super().readable.copy()
        readable[list(self.wrong)] = False
        return readable

    def bad_files(self, indices: np.ndarray) -> list[str]:
        """Return each image among some that can't be used, printable, and why."""
        return [self.wrong[index] for index in indices.tolist() if index in self.wrong]

    @property
    def faults(self) -> list[str]:
        """What is wrong with single annotations and pixels, each with its file."""
        return [
            *self.table.faults,
            *(line for lines in self.partly.values() for line in lines),
        ]

    def in_words(self) -> dict[str, str]:
        """Return how the folder was read, by what each line is about."""
        facts = {"format": f"{self.table.format}, {FORMATS[self.table.format]}"}
        facts["classes"] = some(self.scheme.names)
        if self.table.notes or self.scheme.notes:
            facts["read as"] = "; ".join([*self.scheme.notes, *self.table.notes])
        lies = list(self.lies.values())
        if lies:
            masks = [f"{lies.count(ALIKE):,} turned alike"] if ALIKE in lies else []
            masks += [f"{lies.count(UPRIGHT):,} upright already"] if UPRIGHT in lies else []
            facts["EXIF"] = f"{count(len(lies), 'image')} turned; masks: {', '.join(masks)}"
        return facts

    def warnings(self, most: int) -> list[str]:
        """Return what to warn of before training, the first few of each kind by name.

        Args:
            most: the greatest number of them to name.
        """
        warnings = []
        for lines, what in (
            (self.bad, "left out {}, since the image or its mask can't be used"),
            (self.faults, "wrong annotations, {}, are ignored"),
        ):
            if lines:
                number = count(len(lines), "image") if lines == self.bad else f"{len(lines):,}"
                more = "; ..." if len(lines) > most else ""
                warnings.append(f"{what.format(number)}: {'; '.join(lines[:most])}{more}")
        return warnings

    def digest(self, indices: np.ndarray) -> str:
        """Return a hash of the names and the contents of some images and of their annotations."""
        hasher = hashlib.sha256(super().digest(indices).encode())
        hasher.update(repr((self.scheme.classes, self.scheme.names)).encode())
        for index in indices.tolist():
            entry, record = self.table.entries[index], self.masks[index]
            hasher.update(repr((self.lies.get(index), entry.size)).encode())
            if record is not None:
                hasher.update(record.facts["content"].tobytes())
            elif entry.mask:
                hasher.update((self.table.root / entry.mask).read_bytes())
            for region in entry.regions:
                hasher.update(repr((region.label, region.is_ignored, region.size)).encode())
                hasher.update(b"".join(corners.tobytes() for corners in region.polygons))
                hasher.update(b"" if region.runs is None else region.runs.tobytes())
        return hasher.hexdigest()
