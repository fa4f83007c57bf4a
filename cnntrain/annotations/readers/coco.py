"""COCO's JSON files of objects: polygons and run-length encodings, crowds, categories of any ids.

The files are ``annotations/*.json``, as COCO and CVAT lay them out, or ``PART/_annotations.coco.json``,
as Roboflow does. Source: cocodataset.org, "Data format".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cnntrain.annotations.readers.coco_images import files_of, images_of
from cnntrain.annotations.readers.coco_regions import UnknownCategory, region_of
from cnntrain.annotations.readers.rle import InvalidRLE
from cnntrain.annotations.table import MOST_CLASSES, Entry, Table, with_background
from cnntrain.errors import UserError
from cnntrain.image_folder.listing import LONGEST_NAME
from cnntrain.runtime.regular_files import open_regular
from cnntrain.text import printable, shown_path, some

Item = TypeVar("Item")
# What a row of the list of annotations says, of the labels of the category ids and the size of its image.
ReadRow = Callable[[Mapping[str, Any], Mapping[Any, int], tuple[int, int] | None], Item]


def read(root: Path) -> Table:
    """Return the table of a folder with COCO's files, whose masks are drawn.

    Raises:
        UserError: a file can't be read, or is not one of COCO's, or its classes are not those of training.
    """
    table = Table(root, "coco")
    for entry, of_image in objects_of(table, labels_of, region_of):
        entry.regions = [region for _, region in of_image]
    return table


def objects_of(
    table: Table,
    read_labels: Callable[[Table, Mapping[str, Any]], dict[str, dict[Any, int]]],
    read_row: ReadRow[Item],
) -> Iterator[tuple[Entry, list[tuple[str, Item]]]]:
    """Yield what COCO's files in a table's folder say about each image, each with its place in the file.

    Args:
        table: gets classes, images and faults.
        read_labels: sets the classes, and returns for each file the labels of its category ids.
        read_row: returns what a row says about an object; see :func:`annotations_of`.

    Raises:
        UserError: a file can't be read, or is not one of COCO's, or its classes are not those of training.
    """
    contents = contents_of(table.root)
    labels = read_labels(table, contents)
    for file, entries in images_of(table, contents).items():
        found = annotations_of(table, file, contents[file], entries, labels[file], read_row)
        yield from ((entries[key], of_image) for key, of_image in found.items())


def contents_of(root: Path) -> dict[str, dict[str, Any]]:
    """Return the content of each of COCO's files in a folder, that of the training part first.

    Raises:
        UserError: a file can't be read, or is not one of COCO's.
    """
    parts = files_of(root)
    order = sorted(parts, key=lambda file: ("train", "", "val", "test").index(parts[file]))
    return {file: content_of(root / file) for file in order}


def content_of(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file with images, annotations and categories.

    Raises:
        UserError: it is not one.
    """
    shown = shown_path(path)
    try:
        with open_regular(path) as file:
            content: Any = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UserError(f"{shown} can't be read as JSON: {printable(why)}") from error
    for name in ("images", "annotations", "categories"):
        rows = content.get(name) if isinstance(content, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise UserError(f"{shown} is not a COCO file: it has no list of {name}")
    return dict(content)


def labels_of(table: Table, contents: Mapping[str, Any]) -> dict[str, dict[Any, int]]:
    """Set the classes of a table, and return for each file the labels of its category ids.

    Classes are distinguished by their names, so that files may number them in different ways. Those of the
    first file count, in the order of their ids; what no region covers is class 0.

    Raises:
        UserError: a file has no category, or one that the first file lacks.
    """
    first, labels = next(iter(contents)), {}
    label_of: dict[str, int] = {}
    for file, content in contents.items():
        try:
            named = {row["id"]: printable(row["name"], LONGEST_NAME) for row in content["categories"]}
            ids = sorted(named)
        except (KeyError, TypeError) as error:
            raise UserError(f"{shown_path(table.root / file)}: a category lacks an id or a name") from error
        if file == first:
            names = list(dict.fromkeys(named[key] for key in ids))
            table.names, own = with_background(names)
            label_of = dict(zip(names, own, strict=True))
        unknown = [name for name in named.values() if name not in label_of]
        if unknown or not named or len(table.names) > MOST_CLASSES:
            what = f"has the category {unknown[0]}, which {first} lacks" if unknown else "has no category"
            if not unknown and named:
                what = f"has {len(named):,} categories, and masks have at most {MOST_CLASSES - 1}"
            raise UserError(f"{shown_path(table.root / file)} {what}")
        labels[file] = {key: label_of[name] for key, name in named.items()}
    if any(label != key for of in labels.values() for key, label in of.items()):
        categories = (f"{key} is {table.names[label]}" for key, label in sorted(labels[first].items()))
        table.notes.append(f"categories are identified by name; of the ids in {first}, {some(categories)}")
    return labels


def annotations_of(
    table: Table,
    file: str,
    content: Mapping[str, Any],
    entries: Mapping[Any, Entry],
    labels: Mapping[Any, int],
    read_row: ReadRow[Item],
) -> dict[Any, list[tuple[str, Item]]]:
    """Return what a JSON file says about each image, by the image's id, each with its place in the file.

    Args:
        table: where faults are noted.
        file: the JSON file.
        content: the content of it.
        entries: its images that are there.
        labels: the labels of its category ids.
        read_row: makes something of a row of annotations, the labels and the size of its image, or raises
            InvalidRLE.
    """
    known = {row.get("id") for row in content["images"]}
    found: dict[Any, list[tuple[str, Item]]] = {}
    for row in content["annotations"]:
        key = row.get("image_id")
        where = f"{file}: annotation {printable(row.get('id'), 30)}"
        try:
            if key not in known:
                raise InvalidRLE(f"there is no image {printable(key, 30)}")
            entry = entries.get(key)
            if entry is not None:
                item = read_row(row, labels, entry.size)
                found.setdefault(key, []).append((f"{where} of {entry.image}", item))
        except (InvalidRLE, TypeError) as error:  # a TypeError: an id that is a list, say
            of = f" of {entries[key].image}" if isinstance(key, int | str) and key in entries else ""
            table.faults.append(f"{where}{of}: {error}")
            if isinstance(error, UnknownCategory):
                table.unknown.append(table.faults[-1])
    return found
