"""The formats of folders of images with boxes, and whether boxes are what a folder is for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from cnntrain.annotations import formats
from cnntrain.annotations.boxes import coco, pascal, voc, yolo
from cnntrain.annotations.label_scheme import AnnotationOptions
from cnntrain.annotations.readers import coco_images, yolo_parts
from cnntrain.annotations.readers import voc as voc_masks
from cnntrain.annotations.readers.yolo import BOX, lines_of
from cnntrain.annotations.table import AUTO, CLASSES, Table
from cnntrain.errors import UserError
from cnntrain.image_folder.opening import UnreadableImage
from cnntrain.image_folder.walk import absolute
from cnntrain.runtime.regular_files import open_regular
from cnntrain.text import printable

READERS = {"coco": coco.read, "yolo": yolo.read, "voc": voc.read, "pascal": pascal.read}
# What each holds, in the order in which they are looked for.
FORMATS: Mapping[str, str] = {
    "coco": "annotations/*.json, */_annotations.coco.json or one *.json beside images/, COCO",
    "yolo": "images/, labels/*.txt and data.yaml, or *.txt beside images and classes.txt, YOLO's boxes",
    "voc": "JPEGImages/ and Annotations/*.xml, or *.xml beside images, Pascal VOC",
    "pascal": "PNGImages/ and Annotation/*.txt, PASCAL Annotation 1.00, as Penn-Fudan has them",
}
BOXES, MASKS = "boxes", "masks"  # values of data.targets
OUTLINE = re.compile(rb'"segmentation"\s*:\s*(\[\s*\[|\{)')  # of polygons, or of a run-length encoding
AT_ONCE, LONGEST = 2**24, 64  # bytes that are searched, and those that an outline's beginning takes
SOME = 200  # files of labels that tell whether they hold polygons


def formats_in(root: Path) -> list[str]:
    """Return the formats that a folder has, the first one first."""
    found = []
    if coco_images.files_of(root):
        found.append("coco")
    if yolo.pairs_of(root):
        found.append("yolo")
    if voc.pairs_of(root):
        found.append("voc")
    if pascal.pairs_of(root):
        found.append("pascal")
    return found


def format_of(root: str | Path, forced: str = AUTO) -> str:
    """Return the format of a folder with boxes, one of :data:`FORMATS`.

    Args:
        root: the folder.
        forced: the format that it must have; ``auto``: the first that it has.

    Raises:
        UserError: it does not have that format, or none.
    """
    folder, shown = absolute(root), printable(root)
    found = formats_in(folder) if folder.is_dir() else []
    if forced in found:
        return forced
    if forced != AUTO and found:
        what = FORMATS.get(forced, "boxes")
        raise UserError(
            f"data.format={forced}: data.root={shown} has no {what}; it looks like data.format={found[0]}"
        )
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise UserError(f"data.root={shown} {what}: give the folder that holds the images")
    if not found:
        formats.check_json_is_read(folder, shown)
        yolo_parts.check_there(folder, yolo_parts.parts_of(folder))
        raise UserError(f"data.root={shown} has no boxes: {'; '.join(FORMATS.values())}")
    return found[0]


def read(root: str | Path, kind: str) -> Table:
    """Return the table of a folder.

    Args:
        root: the folder.
        kind: its format, from :func:`format_of`.

    Raises:
        UserError: it can't be read, or no image has an annotation.
    """
    folder, shown = absolute(root), printable(root)
    try:
        table = READERS[kind](folder)
    except PermissionError as error:
        raise UserError(f"data.root={shown} may not be read: {error.strerror}") from error
    for other in formats_in(folder):
        if other != kind:
            table.notes.append(f"it has {FORMATS[other]}, too: data.format={other} reads that")
    if not table.entries:
        raise UserError(formats.nothing_in(table, root, FORMATS[kind]))
    formats.in_order(table)
    return table


def targets_of(root: str | Path, asked: AnnotationOptions) -> str:
    """Return what is known about the images of a folder, as ``data.targets`` says it.

    A folder that can be read in several ways has masks if its annotations outline things, else boxes.

    Args:
        root: the folder.
        asked: what the user says about it.

    Raises:
        UserError: it does not have the format that the user says.
    """
    folder = absolute(root)
    if asked.targets == BOXES or not folder.is_dir():
        return asked.targets if folder.is_dir() else CLASSES
    try:
        own, found = formats.formats_in(folder), formats_in(folder)
    except OSError:  # it may not be read
        return CLASSES
    kind = own[0] if asked.format == AUTO else asked.format
    if asked.targets != MASKS and kind in found and (kind not in own or not has_outlines(folder, kind)):
        return BOXES
    if asked.format == AUTO and asked.targets == AUTO and own == [CLASSES] and found:
        return BOXES
    return CLASSES if formats.format_of(root, asked.format) == CLASSES else MASKS


def has_outlines(root: Path, kind: str) -> bool:
    """Return whether the annotations of a folder outline things, rather than put boxes around them."""
    if kind == "coco":
        return any(holds_outlines(root / file) for file in coco_images.files_of(root))
    if kind == "yolo":
        return any(
            holds_polygons(path)
            for pair in yolo.pairs_of(root)
            for path in islice((root / pair.masks).rglob("*.txt"), SOME)
        )
    return bool(voc_masks.folder_of_masks(root))


def holds_outlines(path: Path) -> bool:
    """Return whether a file of COCO's outlines anything. Searching it is far faster than parsing it."""
    try:
        with open_regular(path) as file:
            rest = b""
            while part := file.read(AT_ONCE):
                if OUTLINE.search(rest + part):
                    return True
                rest = part[-LONGEST:]
    except OSError:  # whoever parses it says what is wrong
        pass
    return False


def holds_polygons(path: Path) -> bool:
    """Return whether a file of labels has a row of more numbers than a class and a box."""
    try:
        return any(len(line.split()) > BOX + 1 for line in lines_of(path))
    except UnreadableImage:
        return False
