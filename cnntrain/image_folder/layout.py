"""The layout of a folder of images: class folders alone, or within the folders train, val and test."""

from __future__ import annotations

import os
from pathlib import Path

from cnntrain.errors import UserError
from cnntrain.text import printable, some

FOLDER = "cnntrain.data.sources.Folder"  # the class that reads such a folder
# Names of split folders, in any case; huggingface/datasets knows the same.
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
LAYOUT = "it takes DIR/CLASS/*.jpg or DIR/{train,val,test}/CLASS/*.jpg"


def parts_of(folder: Path, top: list[str], shown: str) -> dict[str, str]:
    """Return which part each of the folders ``train/``, ``val/``, ``test/`` is; empty if there are none.

    Raises:
        UserError: they hold images, and no class folders.
    """
    parts = {name: PARTS[name.lower()] for name in top if name.lower() in PARTS}
    trains = [name for name, part in parts.items() if part == "train"]
    if not trains or any(class_names(folder / name) for name in trains):
        return parts if trains else {}
    if len(parts) == len(top) or len(parts) > len(trains):
        raise UserError(
            f"data.root={shown}: {trains[0]}/ contains no class folders, which say what its images show: "
            f"{LAYOUT}"
        )
    return {}  # a class of that name, beside others


def check_no_parts(folder: Path, top: list[str], shown: str) -> None:
    """Refuse class folders that look like parts: all have the same subfolders.

    Raises:
        UserError: they have.
    """
    inside = [class_names(folder / name) for name in top]
    if len(top) > 1 and len(inside[0]) > 1 and all(names == inside[0] for names in inside):
        if all(name.lower() in PARTS for name in inside[0]):
            one, part = printable(top[0]), printable(inside[0][0])
            raise UserError(
                f"data.root={shown}: the parts {some(inside[0])} lie inside each class folder: move "
                f"{one}/{part} to {part}/{one}, and so on; {LAYOUT}"
            )
        known = [name for name in top if name.lower() in PARTS]
        why = f"{some(known)} without train/" if known else "as parts of a data set would"
        raise UserError(
            f"data.root={shown}: {some(top)} all have the same subfolders {some(inside[0])}, {why}; rename "
            "them train, val, test; or, if they are the classes, take their images out of the subfolders"
        )


def class_names(folder: Path) -> list[str]:
    """Return the names of the folders in a folder that may be classes; none if it may not be read."""
    try:
        return subfolders(folder)[0]
    except OSError:
        return []


def subfolders(folder: Path) -> tuple[list[str], list[str]]:
    """Return the names of the folders in a folder, sorted, and of those that are hidden."""
    names: tuple[list[str], list[str]] = ([], [])
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_folder(entry):
                names[entry.name.startswith((".", "__"))].append(entry.name)
    return sorted(names[0]), sorted(names[1])


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False
