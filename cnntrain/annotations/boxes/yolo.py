"""Boxes in YOLO's manner: ``images/`` and ``labels/*.txt``, rows of ``CLASS X Y WIDTH HEIGHT``.

X and Y are the middle. All are shares of the width and the height of the image as it is seen. A polygon
counts as the box around it. Source: docs.ultralytics.com, "Object Detection Datasets Overview".
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnntrain.annotations.readers import yolo_parts
from cnntrain.annotations.readers.names import LISTS, YAML, ClassNames, class_names
from cnntrain.annotations.readers.pairs import Pair, beside, is_label, join
from cnntrain.annotations.readers.yolo import BOX, UnknownClass, lines_of, numbers_of
from cnntrain.annotations.table import Entry, Table
from cnntrain.errors import UserError
from cnntrain.image_folder.opening import UnreadableImage
from cnntrain.text import shown_path, some

BEYOND = 2.0  # a share above which it is none, but a number of pixels


def read(root: Path) -> Table:
    """Return the table of ``images/`` and ``labels/``. An image without a file of labels shows background.

    Raises:
        UserError: no file names the classes.
    """
    table, found = Table(root, "yolo"), pairs_of(root)
    table.names = names_of(table, found)
    for pair in found:
        table.entries += [Entry(image, pair.part) for image in join(table, pair, is_label)]
    yolo_parts.follow(table)
    for entry in table.entries:
        if entry.mask:
            add(table, entry)
    return table


def pairs_of(root: Path) -> list[Pair]:
    """Return the folders of images with those of their labels; both are the same if they lie together.

    Text beside images is taken for labels only if a file names their classes, as LabelImg writes it.
    """
    found = yolo_parts.pairs_of(root)
    if found:
        return found
    found = beside(root, is_label)
    folders = {root, *(root / pair.masks for pair in found)}
    is_named = any((folder / file).is_file() for folder in folders for file in (*YAML, *LISTS))
    return found if is_named else []


def names_of(table: Table, found: list[Pair]) -> list[str]:
    """Return the classes that a file names: ``data.yaml``, or ``classes.txt`` there or beside the labels.

    Raises:
        UserError: there is no such file, or it does not number them 0, 1, ...
    """
    folders = dict.fromkeys(["", *(folder for pair in found for folder in above(pair))])
    named = {
        f"{folder}/{file}" if folder else file: class_names(table.root / folder, (file,))
        for folder in folders
        for file in (*YAML, *LISTS)
        if (table.root / folder / file).is_file()
    }
    first: ClassNames = next(iter(named.values()), ClassNames())
    if not first.names or first.ids is not None:
        raise UserError(
            f"{shown_path(table.root / 'data.yaml')} must name the classes 0, 1, ... of the labels: "
            "names: [A, B] or names: {0: A, 1: B}"
        )
    file = next(iter(named))
    for other, names in named.items():
        if names.names != first.names:
            text = f"{other} names {some(names.names)}, and {file} {some(first.names)}: {file} counts"
            table.orders.append(text)
    return first.names


def above(pair: Pair) -> list[str]:
    """Return the folders of labels and the one in which a part lies, which may have a file of names."""
    parents = [pair.masks, *(folder.rpartition("/")[0] for folder in (pair.masks, pair.images))]
    return [folder for folder in parents if folder]


def add(table: Table, entry: Entry) -> None:
    """Add the boxes of its file of labels to an image, and note what is wrong with other rows."""
    boxes, places = [], []
    try:
        lines = lines_of(table.root / entry.mask)
    except UnreadableImage as error:
        entry.broken = str(error)
        return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{entry.mask}, row {number}"
        try:
            boxes.append(box_of(line, len(table.names)))
            places.append(place)
        except ValueError as error:
            table.faults.append(f"{place}: {error}")
            if isinstance(error, UnknownClass):
                table.unknown.append(table.faults[-1])
    entry.boxes, entry.places, entry.in_shares = np.array(boxes).reshape(-1, 6), places, True


def box_of(line: str, num_classes: int) -> tuple[float, ...]:
    """Return left, top, right, bottom, class, and 0, of a row.

    Raises:
        UnknownClass: it is of a class that does not exist.
        ValueError: it is not a box; the text says why.
    """
    label, numbers = numbers_of(line, num_classes)
    if len(numbers) != BOX and (len(numbers) < 6 or len(numbers) % 2):
        raise ValueError(
            f"{len(numbers)} numbers are neither a box, which has four, nor a polygon of three points"
        )
    if not np.isfinite(numbers).all() or np.abs(numbers).max() > BEYOND:
        low, high = numbers.min(), numbers.max()
        raise ValueError(f"coordinates from {low:g} to {high:g} are not fractions of the sides, from 0 to 1")
    if len(numbers) == BOX:
        x, y, wide, tall = numbers.tolist()
        return x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2, label, 0.0
    corners = numbers.reshape(-1, 2)
    return (*corners.min(0).tolist(), *corners.max(0).tolist(), label, 0.0)
