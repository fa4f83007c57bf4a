"""What was found in a folder of images with boxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ClassBoxes:
    """The boxes of a class.

    Args:
        boxes: how many there are in each part, without those that are ignored.
        images: how many images have one, in all parts.
        ignored: how many are ignored: crowds, and what is difficult.
        width, height: the medians of the sides at the training size, in pixels.
        shortest: the shortest side at the training size.
        small: share of the boxes with a side below a stride there.
    """

    boxes: dict[str, int]
    images: int
    ignored: int
    width: float
    height: float
    shortest: float
    small: float


@dataclass
class BoxAudit:
    """What was found in a folder of images with boxes. Names of files are relative to it.

    Args:
        format: in words, how the folder was read.
        images: the number of images in each part.
        classes: the boxes of each class, by its name.
        per_image: the median and the largest number of boxes of an image.
        sizes: the commonest ``WIDTHxHEIGHT`` and how many images have them.
        unusable_images: images that can't be used, for themselves or their annotations, and why.
        faults: what is wrong with single boxes, by the kind of finding.
        orders: files that name the classes in another order than the one that counts.
        orphan_images: images without an annotation, where those are not background.
        orphan_masks: annotations without an image.
        backgrounds: images without a box.
        small_objects: classes with boxes below a stride at the training size, and how many.
        absent_boxes: classes without a box.
        turned: images that EXIF turns, and how their boxes were made.
        copies, near_copies, leaks: see :class:`cnntrain.data.audit.result.Audit`.
        denied, loops, special: see :class:`cnntrain.data.audit.result.Audit`.
        split: how the parts came about, in words.
        refusal: why ``train`` would refuse the folder; empty if it would not.
        command: the command that trains on the folder; empty if ``train`` would refuse it.
        side: the longer side of images at the training size, in pixels; 0 if ``train`` would refuse them.
        facts: what ``auto`` stands for; empty if ``train`` would refuse the folder.
    """

    format: dict[str, str]
    images: dict[str, int]
    classes: dict[str, ClassBoxes]
    per_image: tuple[float, int]
    sizes: dict[str, int]
    unusable_images: list[str]
    faults: dict[str, list[str]]
    orders: list[str]
    orphan_images: list[str]
    orphan_masks: list[str]
    backgrounds: list[str]
    small_objects: list[str]
    absent_boxes: list[str]
    turned: list[str]
    copies: list[list[str]]
    near_copies: list[list[str]]
    leaks: list[list[str]]
    denied: list[str]
    loops: list[str]
    special: list[str]
    split: str
    refusal: str
    command: str = ""
    side: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def findings(self) -> dict[str, list[Any]]:
        """What was found of each kind, see :data:`cnntrain.image_folder.findings.FINDINGS`."""
        return {**vars(self), **self.faults}
