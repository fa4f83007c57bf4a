"""COCO's JSON files of objects: polygons and run-length encodings, crowds, categories of any ids.

The files are ``annotations/*.json``, as COCO and CVAT lay them out, or ``PART/_annotations.coco.json``,
as Roboflow does. Source: cocodataset.org, "Data format".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cnntrain.annotations.readers import voc
from cnntrain.annotations.readers.pairs import MASKS, base
from cnntrain.annotations.readers.rle import InvalidRLE, checked_runs
from cnntrain.annotations.regions import Region
from cnntrain.annotations.table import MOST_CLASSES, Entry, Table, with_background
from cnntrain.errors import UserError
from cnntrain.image_folder.layout import PARTS, class_names
from cnntrain.image_folder.listing import LONGEST_NAME, is_image
from cnntrain.image_folder.walk import walk
from cnntrain.runtime.regular_files import open_regular
from cnntrain.text import printable, shown_path, some

ROBOFLOW = "_annotations.coco.json"
FOLDER = "annotations"
OBJECTS = "instances"  # how COCO's and CVAT's files of objects begin
OTHER_TASKS = ("captions", "person_keypoints", "image_info", "panoptic")
Item = TypeVar("Item")
OUTSIDE = 1.0  # pixels that a corner may lie outside its image: it is rounding, and is cut off


class UnknownCategory(InvalidRLE):
    """An annotation of a category that there is not."""


def files_of(root: Path) -> dict[str, str]:
    """Return the part of each JSON file of a folder, ``""`` if its name tells none; relative to the root."""
    found = {}
    if (root / ROBOFLOW).is_file():
        found[ROBOFLOW] = ""
    for name in class_names(root):
        if name.lower() in PARTS and (root / name / ROBOFLOW).is_file():
            found[f"{name}/{ROBOFLOW}"] = PARTS[name.lower()]
    if found or not (root / FOLDER).is_dir():
        return found
    names = sorted(path.name for path in (root / FOLDER).glob("*.json") if path.is_file())
    objects = [name for name in names if name.startswith(OBJECTS)]
    chosen = objects or [name for name in names if not name.startswith(OTHER_TASKS)]
    return {f"{FOLDER}/{name}": part_in(name) for name in chosen}


def part_in(name: str) -> str:
    """Return the part that a file's name tells, ``train`` of ``instances_train2017.json``; else empty."""
    words = re.findall("[a-z]+", name.lower())
    return next((PARTS[word] for word in words if word in PARTS), "")


def read(root: Path) -> Table:
    """Return the table of a folder with COCO's files, whose masks are drawn.

    Raises:
        UserError: a file can't be read, or is not one of COCO's, or its classes are not those of training.
    """
    table = Table(root, "coco")
    contents = contents_of(root)
    labels = labels_of(table, contents)
    for file, entries in images_of(table, contents).items():
        regions = annotations_of(table, file, contents[file], entries, labels[file], region_of)
        for key, of_image in regions.items():
            entries[key].regions = [region for _, region in of_image]
    return table


def contents_of(root: Path) -> dict[str, dict[str, Any]]:
    """Return the content of each of COCO's files in a folder, that of the training part first.

    Raises:
        UserError: a file can't be read, or is not one of COCO's.
    """
    parts = files_of(root)
    order = sorted(parts, key=lambda file: ("train", "", "val", "test").index(parts[file]))
    return {file: content_of(root / file) for file in order}


def images_of(table: Table, contents: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[Any, Entry]]:
    """Add the images that COCO's files name to a table, and return them by file and by their ids there."""
    parts = files_of(table.root)
    walked = walk(table.root, "", table.found)
    files = {name: None for name in walked if is_image(base(name)) and not is_mask(name)}
    index, named = ImageIndex(files), any(part == "train" for part in parts.values())
    found = {}
    for file, content in contents.items():
        found[file] = added(table, file, content, parts[file] if named else "", index)
        table.entries += found[file].values()
    used = {entry.image for entry in table.entries}
    table.orphan_images = [name for name in files if name not in used]
    return found


def is_mask(name: str) -> bool:
    """Return whether an image lies in a folder that is called as folders of masks are."""
    return any(folder.lower() in MASKS or folder in voc.MASKS for folder in name.split("/")[:-1])


def content_of(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file with images, annotations and categories.

    Raises:
        UserError: it is none.
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

    Classes are told apart by their names, so that files may number them in different ways. Those of the first
    file count, in the order of their ids; what no region covers is class 0.

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
        table.notes.append(f"categories are told apart by name; of the ids in {first}, {some(categories)}")
    return labels


class ImageIndex:
    """The images of a folder, found by the names that a JSON file has for them.

    Args:
        files: relative to the root.
    """

    def __init__(self, files: Mapping[str, None]) -> None:
        self.files = files
        self.by_name: dict[str, list[str]] = {}
        for file in files:
            self.by_name.setdefault(base(file), []).append(file)

    def find(self, name: str, beside: str, part: str) -> str:
        """Return the file of an image; empty if there is none, or several that it may be.

        Args:
            name: the name of the image in a JSON file.
            beside: the folder of that file; empty for the root.
            part: the part that the file describes.
        """
        name = name.replace("\\", "/").removeprefix("./")
        direct = f"{beside}/{name}" if beside else name
        if direct in self.files:
            return direct
        same = [file for file in self.by_name.get(base(name), []) if file.endswith(name)]
        if len(same) > 1:
            same = [file for file in same if part and part_in(file.rpartition("/")[0]) == part]
        return same[0] if len(same) == 1 else ""


def added(
    table: Table, file: str, content: Mapping[str, Any], part: str, index: ImageIndex
) -> dict[Any, Entry]:
    """Return the images of a JSON file by their ids; those that are not there are noted in the table.

    Args:
        table: the table to add to.
        file: the JSON file.
        content: the content of the file.
        part: the part that it describes.
        index: the images of the folder.
    """
    entries: dict[Any, Entry] = {}
    for row in content["images"]:
        name, size = row.get("file_name"), (row.get("width"), row.get("height"))
        image = index.find(name, file.rpartition("/")[0], part) if isinstance(name, str) else ""
        if not image:
            table.orphan_masks.append(f"{file}: {printable(name)}")
            continue
        sizes_known = all(isinstance(side, int) and side > 0 for side in size)
        entries[row.get("id")] = Entry(image, part, size=size if sizes_known else None)
    return entries


def annotations_of(
    table: Table,
    file: str,
    content: Mapping[str, Any],
    entries: Mapping[Any, Entry],
    labels: Mapping[Any, int],
    read_row: Callable[[Mapping[str, Any], Mapping[Any, int], tuple[int, int] | None], Item],
) -> dict[Any, list[tuple[str, Item]]]:
    """Return what a JSON file says of each image, by the image's id, each with its place in the file.

    Args:
        table: where faults are noted.
        file: the JSON file.
        content: of it.
        entries: its images that are there.
        labels: of its category ids.
        read_row: makes something of a row of annotations, the labels and the size of its image, or raises
            BadRuns.
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


def label_of(row: Mapping[str, Any], labels: Mapping[Any, int]) -> int:
    """Return the label of an annotation.

    Raises:
        NoClass: there is no such category.
    """
    if row.get("category_id") not in labels:
        raise UnknownCategory(f"there is no category {printable(row.get('category_id'), 30)}")
    return labels[row["category_id"]]


def region_of(row: Mapping[str, Any], labels: Mapping[Any, int], size: tuple[int, int] | None) -> Region:
    """Return the region of an annotation.

    Args:
        row: a row of the list of annotations.
        labels: the labels of the category ids.
        size: width and height of its image; None if they are not known.

    Raises:
        BadRuns: it outlines none; the text says why.
    """
    label, is_crowd = label_of(row, labels), bool(row.get("iscrowd"))
    node = row.get("segmentation")
    if isinstance(node, dict):
        runs, own_size = checked_runs(node, size)
        return Region(label, runs=runs, size=own_size, is_ignored=is_crowd)
    if not isinstance(node, list) or not node:
        raise InvalidRLE("a box without an outline" if row.get("bbox") else "no outline")
    polygons = tuple(polygon_of(numbers, size) for numbers in node)
    return Region(label, polygons, is_ignored=is_crowd)


def polygon_of(numbers: Sequence[float], size: tuple[int, int] | None) -> np.ndarray:
    """Return the corners of a polygon, float64 (points, 2), from ``[x, y, x, y, ...]``.

    Raises:
        BadRuns: it is no polygon, or lies outside its image.
    """
    try:
        corners = np.array(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidRLE("its polygon is not a list of numbers") from None
    if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2 or not np.isfinite(corners).all():
        raise InvalidRLE(f"{corners.size} coordinates are no polygon, which has three points at least")
    corners = corners.reshape(-1, 2)
    if size is not None:
        low, high = corners.min(0), corners.max(0)
        if (low < -OUTSIDE).any() or (high > np.array(size) + OUTSIDE).any():
            reach = f"x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}"
            raise InvalidRLE(f"its polygon lies outside the image of {size[0]}x{size[1]}: {reach}")
        corners = corners.clip(0, size)
    return corners
