"""The one table into which all formats of annotations are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cnntrain.annotations.regions import IGNORED, Region
from cnntrain.image_folder.walk import WalkResult

AUTO = "auto"
CLASSES = "classes"  # a folder for each class: classification
# What each holds, in the order in which they are looked for.
FORMATS: Mapping[str, str] = {
    "voc": "JPEGImages/ and SegmentationClass/, Pascal VOC",
    "masks": "images/ and masks/",
    "coco": "annotations/*.json, */_annotations.coco.json or one *.json beside images/, COCO",
    "yolo": "images/, labels/*.txt and data.yaml, YOLO's polygons",
    CLASSES: "a folder of images for each class",
}
IN_FILES = ("masks", "voc")  # formats whose masks are image files
BACKGROUND = "background"  # the class of what no region covers
MOST_CLASSES = IGNORED  # of masks, whose labels are bytes below it

Color = tuple[int, int, int]


def with_background(names: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return the classes of drawn masks, the background first, and the label of each name.

    A class that is called so itself is the background.
    """
    own = [name for name in names if name.strip("_").lower() == BACKGROUND]
    classes = [*(own[:1] or [BACKGROUND]), *(name for name in names if name not in own)]
    return classes, [0 if name in own else classes.index(name) for name in names]


@dataclass
class Entry:
    """An annotated image. Names of files are relative to the folder.

    Args:
        image: its file.
        part: ``train``, ``val`` or ``test``; empty if the folder has no parts.
        mask: the file of its mask, or of its polygons; empty if the regions are known.
        regions: the regions in the image, where one file describes many images.
        size: width and height that the annotation states; None if it does not.
        boxes: the boxes as the annotation states them, float64 (M, 6): left, top, right, bottom, class, and 1
            if it is ignored, else 0.
        places: where each of them stands, in words.
        in_shares: whether the boxes are shares of the width and the height, rather than pixels.
        broken: why the file of the annotation can't be read; empty if it can.
    """

    image: str
    part: str
    mask: str = ""
    regions: Sequence[Region] = ()
    size: tuple[int, int] | None = None
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 6)))
    places: Sequence[str] = ()
    in_shares: bool = False
    broken: str = ""


@dataclass
class Table:
    """The annotated images of a folder.

    Args:
        root: the folder.
        format: its name, of :data:`FORMATS`.
        names: the names of the classes, in the order of their labels; empty until the masks are read.
        labels: the labels of the numbers that classes have in files of polygons.
        entries: the entries in the order of the parts and of the names.
        orphan_images: images without an annotation.
        orphan_masks: annotations without an image.
        faults: the faults of single annotations, each with the file and its place in it.
        unknown: those of the faults that name a class that does not exist.
        orders: files that name the classes in another order than the one that counts.
        notes: what was found out about the format, in words.
        found: what the walk through the folder met.
    """

    root: Path
    format: str
    names: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    orphan_images: list[str] = field(default_factory=list)
    orphan_masks: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    found: WalkResult = field(default_factory=WalkResult)
