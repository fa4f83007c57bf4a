"""Boxes in text files of PASCAL Annotation 1.00: ``PNGImages`` and ``Annotation``, as Penn-Fudan has them.

Source: the readme of cis.upenn.edu/~jshi/ped_html; the first PASCAL challenge, of 2005, had such files.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from cnntrain.annotations.readers.pairs import IMAGES, Pair, join, pairs
from cnntrain.annotations.readers.yolo import lines_of
from cnntrain.annotations.table import Entry, Table
from cnntrain.image_folder.listing import LONGEST_NAME
from cnntrain.image_folder.opening import UnreadableImage
from cnntrain.text import printable

OF_IMAGES, ANNOTATIONS = ("pngimages", *IMAGES), ("annotation", "annotations")
HEAD = "# Compatible with PASCAL Annotation"
SIZE = re.compile(r"Image size .*: *(\d{1,9}) x (\d{1,9})\b")
ORIGIN = re.compile(r"# *Top left pixel co-ordinates *: *\((\d{1,9}), *(\d{1,9})\)")
OBJECT = re.compile(r'Bounding box for object \d+ "([^"]*)".*: *(.*)')
EDGES = re.compile(r"\((-?\d{1,9}), *(-?\d{1,9})\) *- *\((-?\d{1,9}), *(-?\d{1,9})\)")


def is_text(name: str) -> bool:
    """Return whether a file may describe an image."""
    return name.lower().endswith(".txt")


def pairs_of(root: Path) -> list[Pair]:
    """Return the folders of images with those of their annotations, whose first file has the right head."""
    return [pair for pair in pairs(root, ANNOTATIONS, is_text, OF_IMAGES) if has_head(root / pair.masks)]


def has_head(folder: Path) -> bool:
    """Return whether the first text file of a folder begins as such annotations do."""
    first = min((path for path in folder.rglob("*") if is_text(path.name)), default=None)
    try:
        return first is not None and any(line.startswith(HEAD) for line in lines_of(first)[:1])
    except UnreadableImage:
        return False


def read(root: Path) -> Table:
    """Return the table of a folder; its classes are those that occur, in the alphabet's order."""
    table = Table(root, "pascal")
    for pair in pairs_of(root):
        table.orphan_images += join(table, pair, is_text)
    named = {entry.image: add(table, entry) for entry in table.entries}
    table.names = sorted({name for names in named.values() for name in names})
    for entry in table.entries:
        entry.boxes[:, 4] = [table.names.index(name) for name in named[entry.image]]
    return table


def add(table: Table, entry: Entry) -> list[str]:
    """Add its size and its boxes to an image, note what is wrong with others, and return their classes."""
    try:
        lines = lines_of(table.root / entry.mask)
    except UnreadableImage as error:
        entry.broken = str(error)
        return []
    x, y = 1, 1
    boxes, places, names = [], [], []
    for number, line in enumerate(lines, 1):
        if size := SIZE.match(line):
            entry.size = int(size[1]), int(size[2])
        elif origin := ORIGIN.match(line):
            x, y = int(origin[1]), int(origin[2])
        elif found := OBJECT.match(line):
            place, edges = f"{entry.mask}, row {number}", EDGES.fullmatch(found[2].strip())
            if edges is None:
                table.faults.append(
                    f"{place}: {printable(found[2], 40)} is not a box, (LEFT, TOP) - (RIGHT, BOTTOM)"
                )
                continue
            left, top, right, bottom = map(int, edges.groups())
            # The last pixel is a part of the box.
            boxes.append((left - x, top - y, right - x + 1, bottom - y + 1, 0, 0))
            places.append(place)
            names.append(printable(found[1], LONGEST_NAME))
    entry.boxes, entry.places = np.array(boxes, dtype=np.float64).reshape(-1, 6), places
    return names
