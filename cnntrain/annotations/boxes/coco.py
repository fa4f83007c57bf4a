"""The boxes in COCO's JSON files: categories of any ids, distinguished by name; crowds are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.annotations.readers.coco import objects_of
from cnntrain.annotations.readers.coco_regions import label_of, polygon_of
from cnntrain.annotations.readers.rle import InvalidRLE
from cnntrain.annotations.table import Table
from cnntrain.errors import UserError
from cnntrain.image_folder.listing import LONGEST_NAME
from cnntrain.text import printable, shown_path, some


def read(root: Path) -> Table:
    """Return the table of a folder with COCO's files and the boxes in them.

    Raises:
        UserError: a file can't be read, or is not one of COCO's, or its classes are not those of training.
    """
    table = Table(root, "coco")
    for entry, of_image in objects_of(table, labels_of, box_of):
        entry.places = [place for place, _ in of_image]
        entry.boxes = np.array([row for _, row in of_image])
    return table


def box_of(
    row: Mapping[str, Any], labels: Mapping[Any, int], size: tuple[int, int] | None
) -> tuple[float, ...]:
    """Return left, top, right, bottom, class, and whether it is ignored, of an annotation.

    If it has no box, the box around its outline is used.

    Raises:
        InvalidRLE: it has neither; the text says why.
    """
    label, node = label_of(row, labels), row.get("bbox")
    try:
        left, top, wide, tall = map(float, node) if isinstance(node, list) else around(row)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidRLE):
            raise
        raise InvalidRLE(f"{printable(node, 60)} is not a box, [LEFT, TOP, WIDTH, HEIGHT]") from None
    if not np.isfinite([left, top, wide, tall]).all():
        raise InvalidRLE(f"{printable(node, 60)} is not a box: a number is not finite")
    return left, top, left + wide, top + tall, float(label), float(bool(row.get("iscrowd")))


def around(row: Mapping[str, Any]) -> tuple[float, ...]:
    """Return left, top, width and height of the box around polygons.

    Raises:
        InvalidRLE: there are none.
    """
    node = row.get("segmentation")
    if not isinstance(node, list) or not node:
        raise InvalidRLE("no box")
    corners = np.concatenate([polygon_of(numbers, None) for numbers in node])
    return (*corners.min(0), *np.ptp(corners, axis=0))


def labels_of(table: Table, contents: Mapping[str, Any]) -> dict[str, dict[Any, int]]:
    """Set the classes of a table, and return for each file the labels of its category ids.

    The classes are those of the first file in the order of their ids there, from 0, whatever the ids are.

    Raises:
        UserError: a file has no category, or one that the first file lacks.
    """
    first, named, labels = next(iter(contents)), {}, {}
    for file, content in contents.items():
        named[file] = named_in(table, file, content)
        if file == first:
            table.names = list(dict.fromkeys(named[file].values()))
        label = {name: number for number, name in enumerate(table.names)}
        unknown = [name for name in named[file].values() if name not in label]
        if unknown:
            where = shown_path(table.root / file)
            raise UserError(f"{where} has the category {unknown[0]}, which {first} lacks")
        labels[file] = {key: label[name] for key, name in named[file].items()}
    if any(label != key for of in labels.values() for key, label in of.items()):
        categories = (f"{key} is {table.names[label]}" for key, label in sorted(labels[first].items()))
        table.notes.append(f"categories are identified by name; of the ids in {first}, {some(categories)}")
    others = [file for file in named if named[file] != named[first]]
    if others:
        table.notes.append(f"ids of categories differ between {first} and {some(others)}: names decide")
    return labels


def named_in(table: Table, file: str, content: Mapping[str, Any]) -> dict[Any, str]:
    """Return the names of a file's categories by their ids, in the order of the ids.

    A category that only groups all the others, as Roboflow writes one, is left out.

    Raises:
        UserError: there are none, or one lacks an id or a name.
    """
    rows, where = content["categories"], shown_path(table.root / file)
    used = {str(row.get("category_id")) for row in content["annotations"]}
    try:
        groups = {row.get("supercategory") for row in rows}
        kept = [row for row in rows if row["name"] not in groups or str(row["id"]) in used or len(rows) == 1]
        named = {row["id"]: printable(row["name"], LONGEST_NAME) for row in kept}
        named = {key: named[key] for key in sorted(named)}
    except (KeyError, TypeError) as error:
        raise UserError(f"{where}: a category lacks an id or a name") from error
    if not named:
        raise UserError(f"{where} has no category")
    return named
