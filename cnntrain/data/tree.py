"""A folder of images: which class, and which part of the data, each file belongs to. Opens no file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cnntrain.data.decode import suffixes
from cnntrain.errors import UserError

PARTS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
LAYOUT = "it takes DIR/CLASS/*.jpg or DIR/{train,val,test}/CLASS/*.jpg"


@dataclass
class Tree:
    """The images below a folder, in the order of their names.

    Args:
        root: the folder.
        classes: names, sorted; those of the training part if there are parts.
        files: of the images, relative to the root.
        labels: the class of each, as an index into ``classes``.
        parts: ``train``, ``val`` or ``test`` for each; empty strings if the folder has no parts.
        empty: folders that would be classes, but hold no image.
        others: files among the images that are none, by their names.
        hidden: folders whose names begin with ``.`` or ``__``, which are no classes.
    """

    root: Path
    classes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)


def look(root: str | Path) -> Tree:
    """Find the classes and the images of a folder. Hidden and empty folders are no classes.

    Raises:
        UserError: there is no such folder, it holds fewer than two classes, or a part has a class that the
            training part does not have.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise UserError(f"data.root={root} {what}: give the folder that holds the images; {LAYOUT}")
    tree, top = Tree(folder), subfolders(folder)
    parts = {name: PARTS[name.lower()] for name in top if name.lower() in PARTS}
    if "train" not in parts.values():
        parts = {}
    found: dict[tuple[str, str], list[str]] = {}
    # The training part first, since it says what the classes are.
    for name in sorted(parts, key=lambda name: list(PARTS).index(name.lower())) or [""]:
        tree.hidden += [str(Path(name, other)) for other in subfolders(folder / name, hidden=True)]
        for class_name in subfolders(folder / name):
            files = list(images(folder, folder / name / class_name, tree.others))
            if files:
                found.setdefault((parts.get(name, ""), class_name), []).extend(files)
            else:
                tree.empty.append(str(Path(name, class_name)))
    tree.classes = sorted(name for part, name in found if part in ("", "train"))
    if len(tree.classes) < 2:
        raise UserError(
            f"data.root={root} holds {len(tree.classes)} folders of images, and training takes at least "
            f"two classes: {LAYOUT}"
        )
    index = {name: label for label, name in enumerate(tree.classes)}
    for (part, name), files in found.items():
        if name not in index:
            raise UserError(
                f"{(folder / files[0]).parent}: the training part has no class {name}, only "
                f"{', '.join(tree.classes[:8])}{', ...' if len(tree.classes) > 8 else ''}: rename it"
            )
        tree.files += files
        tree.labels += [index[name]] * len(files)
        tree.parts += [part] * len(files)
    return tree


def subfolders(folder: Path, hidden: bool = False) -> list[str]:
    """Return the names of the folders in a folder, of the hidden or of the others, sorted."""
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.name.startswith((".", "__")) == hidden and e.is_dir())


def images(root: Path, folder: Path, others: list[str]) -> Iterator[str]:
    """Yield the images below a class's folder, relative to the root; add other files to ``others``."""
    for where, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        relative = Path(where).relative_to(root)
        for name in sorted(names):
            path = f"{relative}/{name}"
            if name.startswith("."):
                continue
            if f".{name.rpartition('.')[2].lower()}" in suffixes():
                yield path
            else:
                others.append(path)
