"""Folders of images beside folders of masks or labels, and the files in them that belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from cnntrain.annotations.table import Entry, Table
from cnntrain.image_folder.layout import PARTS, class_names
from cnntrain.image_folder.listing import is_image
from cnntrain.image_folder.walk import walk

IMAGES = ("images", "image", "imgs", "img")
MASKS = ("masks", "mask", "labels", "annotations", "segmentations")
LABELS = ("labels",)
# What some tools add to the name of an image to name its mask, such as Carvana's: cat.jpg, cat_mask.gif.
ENDINGS = ("_mask", "-mask", "_label", "_seg", "_gt")


@dataclass(frozen=True)
class Pair:
    """Two folders whose files belong together, relative to the root.

    Args:
        images: the folder of the images.
        masks: the folder of their masks or labels.
        part: ``train``, ``val`` or ``test``; empty if there are no parts.
    """

    images: str
    masks: str
    part: str


def is_label(name: str) -> bool:
    """Return whether a file may hold polygons of YOLO."""
    return name.lower().endswith(".txt") and name.lower() != "classes.txt"


def pairs(
    root: Path, names: Iterable[str], fits: Callable[[str], bool], of_images: Iterable[str] = IMAGES
) -> list[Pair]:
    """Return the pairs of folders: flat, or of parts, ``images/train`` or ``train/images``.

    Args:
        root: the folder to look into.
        names: the names that the folder of masks or labels may have, in small letters.
        fits: whether a file there is one of them, by its name.
        of_images: the names that the folder of images may have, in small letters.
    """
    tops = class_names(root)
    found = []
    for images, masks in both(root, "", names, of_images):
        parts = {PARTS[name.lower()]: name for name in class_names(root / masks) if name.lower() in PARTS}
        of_parts = [
            Pair(f"{images}/{name}", f"{masks}/{parts[PARTS[name.lower()]]}", PARTS[name.lower()])
            for name in class_names(root / images)
            if PARTS.get(name.lower()) in parts
        ]
        found = of_parts if any(pair.part == "train" for pair in of_parts) else [Pair(images, masks, "")]
        if has(root, (pair.masks for pair in found), fits):
            return found
    found = [
        Pair(images, masks, PARTS[top.lower()])
        for top in tops
        if top.lower() in PARTS
        for images, masks in both(root, top, names, of_images)
        if has(root, [masks], fits)
    ]
    return found if any(pair.part == "train" for pair in found) else []


def both(root: Path, top: str, names: Iterable[str], of_images: Iterable[str]) -> list[tuple[str, str]]:
    """Return the folders of images, each with one of masks, that lie in a folder of the root."""
    inside = {name.lower(): f"{top}/{name}" if top else name for name in class_names(root / top)}
    images = next((inside[name] for name in of_images if name in inside), None)
    return [] if images is None else [(images, inside[name]) for name in names if name in inside]


def beside(root: Path, fits: Callable[[str], bool]) -> list[Pair]:
    """Return the folders whose images have a file of a kind beside them: those of parts, or the root.

    Args:
        root: the folder to look into.
        fits: whether a file is one of them, by its name.
    """
    parts = {name: PARTS[name.lower()] for name in class_names(root) if name.lower() in PARTS}
    found = [Pair(name, name, part) for name, part in parts.items() if has_both(root / name, fits)]
    if any(pair.part == "train" for pair in found):
        return found
    return [Pair("", "", "")] if has_both(root, fits) else []


def has_both(folder: Path, fits: Callable[[str], bool]) -> bool:
    """Return whether an image in a folder has a file of a kind beside it, of the same name."""
    names = [path.name for path in folder.iterdir()]
    stems = {name.rpartition(".")[0] for name in names if is_image(name)}
    return any(name.rpartition(".")[0] in stems for name in names if fits(name))


def has(root: Path, folders: Iterable[str], fits: Callable[[str], bool]) -> bool:
    """Return whether there is a file of a kind in some folders, or in their subfolders."""
    for folder in folders:
        try:
            if any(path.is_file() and fits(path.name) for path in (root / folder).rglob("*")):
                return True
        except OSError:
            continue
    return False


def join(table: Table, pair: Pair, fits: Callable[[str], bool]) -> list[str]:
    """Add the files of two folders that belong together to a table, and note those without a partner.

    Args:
        table: the table to add to.
        pair: the folders.
        fits: whether a file is a mask or a label, by its name.

    Returns:
        The images without a partner.
    """
    images = {name: stem(name, pair.images) for name in walk(table.root, pair.images, table.found)}
    masks = {name: stem(name, pair.masks) for name in walk(table.root, pair.masks, table.found)}
    stems = {own for name, own in images.items() if is_image(base(name))}
    by_stem: dict[str, str] = {}
    for name, own in masks.items():
        if not fits(base(name)):
            continue
        key = next((bare for bare in without_endings(own) if bare in stems), own)
        if key in stems and key not in by_stem:
            by_stem[key] = name
        else:
            table.orphan_masks.append(name)
    alone = []
    for name, own in images.items():
        if not is_image(base(name)):
            continue
        if own in by_stem:
            table.entries.append(Entry(name, pair.part, by_stem[own]))
        else:
            alone.append(name)
    return alone


def without_endings(own: str) -> list[str]:
    """Return a stem, and what is left of it without an ending that marks masks."""
    return [own, *(own[: -len(ending)] for ending in ENDINGS if own.lower().endswith(ending))]


def stem(name: str, folder: str) -> str:
    """Return the name of a file without its extension, relative to a folder that it lies in."""
    own = name[len(folder) + 1 :] if folder else name
    return own.rpartition(".")[0]


def base(name: str) -> str:
    """Return the name of a file without its folders."""
    return name.rpartition("/")[2]
