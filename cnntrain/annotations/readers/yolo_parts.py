"""Which images train, validate and test, as YOLO's ``data.yaml`` says.

``train``, ``val`` and ``test`` are folders of images, ``.txt`` files that list images, or lists of those,
relative to ``path`` or to the file. Source: docs.ultralytics.com, "Dataset YAML", and its
``check_det_dataset``, which skips a ``../`` that leads out of the folder, as this does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from cnntrain.annotations.readers.names import YAML, content_of_yaml, text_of
from cnntrain.annotations.readers.pairs import IMAGES, LABELS, Pair, has, is_label, pairs
from cnntrain.annotations.table import Entry, Table
from cnntrain.errors import UserError
from cnntrain.runtime.console import count
from cnntrain.text import expanded, printable, shown_path, some

KEYS = ("train", "val", "test")
LIST = ".txt"


@dataclass
class Parts:
    """The parts that a ``data.yaml`` names.

    Args:
        file: its name; empty if there is none that names a part.
        places: the folders and lists of each part, relative to the root.
        missing: the parts whose place is not there, each with what the file says.
    """

    file: str = ""
    places: dict[str, list[str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def folders_only(self) -> bool:
        """Whether no part is a list of images."""
        return not any(place.endswith(LIST) for places in self.places.values() for place in places)


def pairs_of(root: Path) -> list[Pair]:
    """Return the folders of images and of labels: those that ``data.yaml`` names, else by their own names."""
    return pairs_named(root) or pairs(root, LABELS, is_label)


def pairs_named(root: Path) -> list[Pair]:
    """Return the folders that ``data.yaml`` names, each with that of its labels; none if it lists images.

    Labels lie in ``labels/`` where their images lie in ``images/``, else beside them.
    """
    try:
        parts = parts_of(root)
    except UserError:  # whoever reads the classes says what is wrong
        return []
    if "train" not in parts.places or not parts.folders_only:
        return []
    found: dict[str, Pair] = {}
    for part, folders in parts.places.items():
        for folder in folders:
            found.setdefault(folder, Pair(folder, labels_beside(folder), part))
    named = [pair for pair in found.values() if (root / pair.masks).is_dir()]
    return named if has(root, (pair.masks for pair in named), is_label) else []


def labels_beside(folder: str) -> str:
    """Return the folder of the labels of a folder of images."""
    names = folder.split("/")
    for place in reversed(range(len(names))):
        if names[place].lower() in IMAGES:
            return "/".join([*names[:place], LABELS[0], *names[place + 1 :]])
    return folder


def parts_of(root: Path) -> Parts:
    """Return the parts that the ``data.yaml`` of a folder names.

    Raises:
        UserError: it can't be read, or a part is neither a name nor a list of names.
    """
    file = next((name for name in YAML if (root / name).is_file()), "")
    content = content_of_yaml(root / file) if file else {}
    if not content.get("train"):
        return Parts()
    parts = Parts(file)
    for part in KEYS:
        for name in names_in(root / file, part, content.get(part)):
            place = place_of(root, content, name)
            if place is None:
                parts.missing[part] = name
            else:
                parts.places.setdefault(part, []).append(place)
    return parts


def names_in(path: Path, part: str, value: Any) -> list[str]:
    """Return the names that a file gives for a part.

    Raises:
        UserError: they are not names.
    """
    names = value if isinstance(value, list) else [value] if value else []
    if not all(isinstance(name, str) and name for name in names):
        raise UserError(
            f"{shown_path(path)}: {part}: {printable(value, 60)} is neither a folder, a .txt file nor a list"
        )
    return names


def place_of(root: Path, content: Mapping[str, Any], name: str) -> str | None:
    """Return a folder or a list relative to the root; None if it is not in there.

    A place that is named as it was elsewhere, such as ``/content/digits/images/train``, is the one that the
    end of its name leads to. A folder's last name alone, such as ``images``, may be that of another folder.
    """
    base = expanded(str(content.get("path") or ""))
    try:
        direct = within(root, root / base / name)
        if direct is not None:
            return direct
        ends = list(ends_of(name))
        telling = [end for end in ends if end == ends[0] or "/" in end or end.endswith(LIST)]
        return next((end for end in telling if (root / end).exists()), None)
    except (OSError, ValueError):  # a name that no file can have
        return None


def within(root: Path, place: Path) -> str | None:
    """Return a place relative to a folder, "" for the folder itself; None if it is not in there.

    Links in the folder stay, since images are named by their way through them.
    """
    real, named = root.resolve(), Path(os.path.normpath(place.absolute()))
    for direct, top in (
        (named, Path(os.path.normpath(root.absolute()))),
        (named, real),
        (named.resolve(), real),
    ):
        if direct.exists() and direct.is_relative_to(top):
            inside = direct.relative_to(top).as_posix()
            return "" if inside == "." else inside
    return None


def ends_of(name: str) -> Iterator[str]:
    """Yield a path and its ends, the longest first: ``a/b/c``, ``b/c``, ``c``."""
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part not in (".", "..", "/")]
    yield from ("/".join(parts[place:]) for place in range(len(parts)))


def check_there(root: Path, parts: Parts) -> None:
    """Raise a UserError if a part that trains or validates is not there."""
    for part in ("train", "val"):
        if part in parts.missing:
            named = printable(parts.missing[part], 60)
            raise UserError(
                f"{shown_path(root / parts.file)}: {part}: {named} is not in this folder: correct that line, "
                "or remove train, val and test, so that the folders' names count"
            )


def follow(table: Table) -> None:
    """Put the images of a table into the parts that ``data.yaml`` names, and leave out those in none.

    Raises:
        UserError: a part is not there, or an image is in several.
    """
    parts = parts_of(table.root)
    if not parts.file:
        return
    check_there(table.root, parts)
    if "test" in parts.missing:
        named = printable(parts.missing["test"], 60)
        table.notes.append(f"{parts.file} names {named} for test, which is not there")
    places = dict(parts.places)
    if sorted(places["train"]) == sorted(places.get("val", [])):
        del places["val"]
        table.notes.append(f"{parts.file} names {some(places['train'])} for train and val: some are held out")
    lists = [name for names in places.values() for name in names if name.endswith(LIST)]
    table.orphan_masks = [name for name in table.orphan_masks if name not in lists]  # nor are they labels
    by_name = {pair.images: pair.part for pair in pairs(table.root, LABELS, is_label)}
    if any(by_name.get(name) != part for part, names in places.items() for name in names) and len(places) > 1:
        table.notes.append(f"the parts are those of {parts.file}")
    assign(table, parts.file, {part: Members(table, names) for part, names in places.items()})


class Members:
    """The images of a part.

    Args:
        table: the images that there are; gets those that a list names and that are not there.
        places: folders and lists, relative to the root.
    """

    def __init__(self, table: Table, places: list[str]) -> None:
        self.folders = tuple(f"{name}/" if name else "" for name in places if not name.endswith(LIST))
        self.listed: set[str] = set()
        known = {entry.image for entry in table.entries}
        for name in places:
            if name.endswith(LIST):
                self.add(table, name, known)

    def add(self, table: Table, file: str, known: set[str]) -> None:
        """Add the images that a file lists."""
        folder = file.rpartition("/")[0]
        for line in filter(None, map(str.strip, text_of(table.root / file).splitlines())):
            beside = f"{folder}/{line.removeprefix('./')}" if folder else line.removeprefix("./")
            image = next((name for name in (beside, *ends_of(line)) if name in known), "")
            if image:
                self.listed.add(image)
            else:
                table.orphan_masks.append(f"{file}: {printable(line, 100)}")

    def __contains__(self, entry: Entry) -> bool:
        """Return whether an image is in the part."""
        return entry.image in self.listed or any(map(entry.image.startswith, self.folders))


def assign(table: Table, file: str, members: Mapping[str, Members]) -> None:
    """Put the images of a table into their parts.

    Raises:
        UserError: an image is in several.
    """
    kept = []
    for entry in table.entries:
        own = [part for part in members if entry in members[part]]
        if len(own) > 1:
            raise UserError(
                f"{shown_path(table.root / file)}: {printable(entry.image)} is in {own[0]} and in {own[1]}: "
                "each image trains, validates or tests"
            )
        if own:
            # Without other parts, training images are held out for them.
            entry.part = own[0] if len(members) > 1 else ""
            kept.append(entry)
    if left := len(table.entries) - len(kept):
        table.notes.append(f"{count(left, 'image')} in no part of {file}, left out")
    table.entries = kept
