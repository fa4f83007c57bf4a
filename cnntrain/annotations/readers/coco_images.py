"""Where COCO's JSON files lie in a folder, and the images that they name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from cnntrain.annotations.readers import voc
from cnntrain.annotations.readers.pairs import IMAGES, MASKS, base
from cnntrain.annotations.table import Entry, Table
from cnntrain.image_folder.layout import PARTS, class_names
from cnntrain.image_folder.listing import is_image
from cnntrain.image_folder.walk import walk
from cnntrain.runtime.regular_files import open_regular
from cnntrain.text import printable

ROBOFLOW = "_annotations.coco.json"
FOLDER = "annotations"
OBJECTS = "instances"  # how COCO's and CVAT's files of objects begin
NAMED = re.compile(rb'"file_name"\s*:\s*"([^"\\]+)"')
AT_ONCE, LONGEST, SOME = 2**24, 512, 100  # bytes that are searched, those of a name, and names
OTHER_TASKS = ("captions", "person_keypoints", "image_info", "panoptic")


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
    """Return whether an image lies in a folder that is named like a folder of masks."""
    return any(folder.lower() in MASKS or folder in voc.MASKS for folder in name.split("/")[:-1])


class ImageIndex:
    """The images of a folder, found by the names that a JSON file has for them.

    Args:
        files: the files, relative to the root.
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


def files_of(root: Path) -> dict[str, str]:
    """Return the part of each JSON file of a folder, ``""`` if its name says nothing; relative to the root.

    A single JSON file beside a folder of images counts if it names images that are there.
    """
    found = {}
    if (root / ROBOFLOW).is_file():
        found[ROBOFLOW] = ""
    for name in class_names(root):
        if name.lower() in PARTS and (root / name / ROBOFLOW).is_file():
            found[f"{name}/{ROBOFLOW}"] = PARTS[name.lower()]
    if found:
        return found
    if not (root / FOLDER).is_dir():
        alone = beside_images(root)
        return {alone: part_in(alone)} if alone else {}
    names = sorted(path.name for path in (root / FOLDER).glob("*.json") if path.is_file())
    objects = [name for name in names if name.startswith(OBJECTS)]
    chosen = objects or [name for name in names if not name.startswith(OTHER_TASKS)]
    return {f"{FOLDER}/{name}": part_in(name) for name in chosen}


def beside_images(root: Path) -> str:
    """Return the only JSON file of a folder with images in a folder of their own, if it names one of them."""
    tops = class_names(root)
    if len(tops) != 1 or not (tops[0].lower() in IMAGES or tops[0] == voc.IMAGES):
        return ""
    files = list(islice((path for path in root.glob("*.json") if path.is_file()), 2))
    folders = ["", tops[0], *(f"{tops[0]}/{name}" for name in class_names(root / tops[0]))]
    if len(files) != 1 or not names_image(files[0], [root / folder for folder in folders]):
        return ""
    return files[0].name


def names_image(path: Path, folders: Sequence[Path]) -> bool:
    """Return whether one of the first images that a file of COCO's names is in one of some folders."""
    rest, seen = b"", 0
    try:
        with open_regular(path) as file:
            while part := file.read(AT_ONCE):
                for name in NAMED.findall(rest + part):
                    seen += 1
                    own = name.decode(errors="replace").replace("\\", "/")
                    if any((folder / own).is_file() for folder in folders):
                        return True
                    if seen >= SOME:
                        return False
                rest = part[-LONGEST:]
    except (OSError, ValueError):  # a name that no file can have, say
        return False
    return False


def part_in(name: str) -> str:
    """Return the part that a file's name says, ``train`` of ``instances_train2017.json``; else empty."""
    words = re.findall("[a-z]+", name.lower())
    return next((PARTS[word] for word in words if word in PARTS), "")
