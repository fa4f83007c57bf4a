"""Pascal VOC's folders: ``JPEGImages``, ``SegmentationClass`` and the lists in ``ImageSets/Segmentation``.

CVAT's export "Segmentation mask 1.1" has them too, with colours that ``labelmap.txt`` names. Source:
host.robots.ox.ac.uk/pascal/VOC/voc2012, "Development Kit".
"""

from __future__ import annotations

import re
from pathlib import Path

from cnntrain.annotations.readers.names import text_of
from cnntrain.annotations.readers.pairs import Pair, join, stem
from cnntrain.annotations.table import Table
from cnntrain.errors import UserError
from cnntrain.image_folder.layout import PARTS
from cnntrain.image_folder.listing import is_image
from cnntrain.runtime.console import count
from cnntrain.text import some

IMAGES = "JPEGImages"
MASKS = ("SegmentationClass", "SegmentationClassPNG")  # the second is labelme's
LISTS = "ImageSets/Segmentation"
NAMES = [
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
]


def folder_of_masks(root: Path) -> str:
    """Return the name of the folder of masks that are PNG files; empty if there is none."""
    for name in MASKS:
        if (root / name).is_dir() and any(is_image(path.name) for path in (root / name).iterdir()):
            return name
    return ""


def own_names(root: Path) -> list[str]:
    """Return the classes of VOC, for a folder that is called ``VOC2012`` or the like; none for another."""
    return list(NAMES) if re.fullmatch(r"VOC20\d\d", root.name) else []


def read(root: Path) -> Table:
    """Return the table of a folder of VOC's kind, with masks.

    Raises:
        UserError: a list can't be read.
    """
    table = Table(root, "voc")
    folder = folder_of_masks(root)
    table.orphan_images = join(table, Pair(IMAGES, folder, ""), is_image)
    follow_lists(table, LISTS, f"a mask in {folder}/")
    return table


def follow_lists(table: Table, folder: str, has: str) -> None:
    """Give the images of a table the parts that lists of names say, if there is one for training.

    Args:
        table: the table to be changed; images in no list are left out of it.
        folder: the folder of the lists.
        has: what each image of the table has, in words.

    Raises:
        UserError: a list can't be read, or lists none of the images.
    """
    lists = {
        PARTS[path.stem.lower()]: {line.split()[0] for line in text_of(path).splitlines() if line.strip()}
        for path in sorted((table.root / folder).glob("*.txt"))
        if path.stem.lower() in PARTS
    }
    if "train" not in lists:
        return
    chosen = []
    for part in ("train", "val", "test"):
        for entry in table.entries:
            if stem(entry.image, IMAGES) in lists.get(part, ()):
                entry.part = part
                chosen.append(entry)
    if not chosen:
        raise UserError(f"{folder}/train.txt lists no image that has {has}")
    left = [entry.image for entry in table.entries if not entry.part]
    if left:
        source = has.partition(" in ")[0]
        table.notes.append(
            f"{count(len(left), 'image')} with {source} and in no list of {folder}: {some(left)}"
        )
    table.entries = chosen
