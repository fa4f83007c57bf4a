"""The formats of folders of images, how each is recognised, and its reader."""

from __future__ import annotations

from pathlib import Path

from cnntrain.annotations.readers import coco, coco_images, voc, yolo_parts
from cnntrain.annotations.readers.names import class_names
from cnntrain.annotations.readers.pairs import (
    IMAGES,
    MASKS,
    has,
    is_label,
    join,
    pairs,
    stem,
    without_endings,
)
from cnntrain.annotations.table import (
    AUTO,
    CLASSES,
    FORMATS,
    MOST_CLASSES,
    Entry,
    Table,
    with_background,
)
from cnntrain.errors import UserError
from cnntrain.image_folder.layout import PARTS
from cnntrain.image_folder.layout import class_names as folders_in
from cnntrain.image_folder.listing import is_image
from cnntrain.image_folder.walk import absolute
from cnntrain.text import printable, shown_path, some


def formats_in(root: Path) -> list[str]:
    """Return the formats that a folder has, the first one first; ``classes`` if it has no other."""
    found = []
    if (root / voc.IMAGES).is_dir() and voc.folder_of_masks(root):
        found.append("voc")
    if pairs(root, MASKS, is_image):
        found.append("masks")
    if coco_images.files_of(root):
        found.append("coco")
    if yolo_parts.pairs_of(root):
        found.append("yolo")
    return found or [CLASSES]


def format_of(root: str | Path, forced: str = AUTO) -> str:
    """Return the format of a folder, one of :data:`FORMATS`.

    Args:
        root: the folder.
        forced: the format that it must have; ``auto``: the first that it has.

    Raises:
        UserError: it does not have that format, or has masks without images.
    """
    folder, shown = absolute(root), printable(root)
    if not folder.is_dir():
        return CLASSES if forced == AUTO else forced  # whose reader says what is wrong
    try:
        found = formats_in(folder)
    except OSError:  # it may not be read
        return CLASSES if forced == AUTO else forced
    if forced != AUTO and forced not in (*found, CLASSES):
        instead = f"data.format={found[0]}" if found != [CLASSES] else "data.format=classes"
        raise UserError(
            f"data.format={forced}: data.root={shown} has no {FORMATS[forced]}; it looks like {instead}"
        )
    if forced == AUTO and found == [CLASSES]:
        check_masks_have_images(folder, shown)
        check_json_is_read(folder, shown)
        check_images_have_more(folder, shown)
        check_masks_lie_apart(folder, shown)
    return found[0] if forced == AUTO else forced


def check_masks_have_images(folder: Path, shown: str) -> None:
    """Raise a UserError if a folder holds masks and no folder of images."""
    tops = folders_in(folder)
    masks = [name for name in tops if name in voc.MASKS or name.lower() in ("masks", "mask")]
    others = [name for name in tops if name not in masks]
    has_images = any(name.lower() in IMAGES or name == voc.IMAGES for name in others)
    if masks and not has_images and has(folder, masks, is_image):
        wanted = f"{voc.IMAGES}/" if masks[0] in voc.MASKS else "images/"
        raise UserError(
            f"data.root={shown} holds masks in {masks[0]}/ and no images: put them into {wanted}, each with "
            "the name of its mask"
        )


def only_images(folder: Path) -> str:
    """Return the folder of images in a folder that has no other, and no classes in it; "" otherwise."""
    tops = folders_in(folder)
    if len(tops) != 1 or not (tops[0].lower() in IMAGES or tops[0] == voc.IMAGES):
        return ""
    return tops[0] if not has_classes(folder / tops[0]) and has(folder, tops, is_image) else ""


def check_json_is_read(folder: Path, shown: str) -> None:
    """Raise a UserError if JSON files that are not read lie beside a folder of images."""
    images, files = only_images(folder), sorted(path.name for path in folder.glob("*.json"))
    if images and files:
        why = f"it names none of the images in {images}/ as file_name; if it is COCO's, put it"
        if len(files) > 1:
            why = "only a single file is read there; put COCO's files, with train and val in their names,"
        raise UserError(
            f"data.root={shown} holds {some(files)} beside {images}/: {why} into {shown}/annotations/"
        )


def check_images_have_more(folder: Path, shown: str) -> None:
    """Raise a UserError if a folder holds images in ``images/``, and nothing that says what they show."""
    if images := only_images(folder):
        masks = f"{voc.MASKS[0]}/" if images == voc.IMAGES else "masks/"
        raise UserError(
            f"data.root={shown} holds images in {images}/ and nothing that says what they show: put their "
            f"masks into {masks}, each with the name of its image, or sort them into a folder for each class"
        )


def check_masks_lie_apart(folder: Path, shown: str) -> None:
    """Raise a UserError if a folder without folders holds images and masks beside each other."""
    if folders_in(folder):
        return
    names = sorted(path.name for path in folder.iterdir() if is_image(path.name))
    stems = {stem(name, "") for name in names}
    for name in names:
        *_, bare = without_endings(stem(name, ""))
        if bare != stem(name, "") and bare in stems:
            raise UserError(
                f"data.root={shown} holds {printable(name)} beside its image: put the images into images/, "
                "and the masks into masks/"
            )


def has_classes(images: Path) -> bool:
    """Return whether a folder of images has folders in it that may be classes, which parts are not."""
    inside = folders_in(images)
    return any(name.lower() not in PARTS or folders_in(images / name) for name in inside)


def read(root: str | Path, kind: str) -> Table:
    """Return the table of a folder.

    Args:
        root: the folder.
        kind: its format, from :func:`format_of`, and not ``classes``.

    Raises:
        UserError: it can't be read, or no image has an annotation.
    """
    folder = absolute(root)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise UserError(f"data.root={printable(root)} {what}: give the folder that holds the images")
    try:
        table = READERS[kind](folder)
    except PermissionError as error:
        raise UserError(f"data.root={printable(root)} may not be read: {error.strerror}") from error
    for other in formats_in(folder):
        if other not in (kind, CLASSES):
            table.notes.append(f"it has {FORMATS[other]}, too: data.format={other} reads that")
    if not table.entries:
        raise UserError(nothing_in(table, root, FORMATS[kind]))
    in_order(table)
    return table


def nothing_in(table: Table, root: str | Path, layout: str) -> str:
    """Return the message for a folder with no image that has an annotation."""
    alone = [
        f"{printable(names[0])} has no {partner}"
        for names, partner in (
            (table.orphan_images, "annotation"),
            (table.orphan_masks, "image of that name"),
        )
        if names
    ]
    why = f"; {', and '.join(alone)}" if alone else ""
    return f"data.root={printable(root)}: no image has an annotation ({layout}){why}"


def in_order(table: Table) -> None:
    """Sort the images of a table by their parts and their names."""
    order = {part: place for place, part in enumerate(("train", "", "val", "test"))}
    table.entries.sort(key=lambda entry: (order[entry.part], entry.image))


def read_masks(root: Path) -> Table:
    """Return the table of ``images/`` and ``masks/``."""
    table = Table(root, "masks")
    for pair in pairs(root, MASKS, is_image):
        table.orphan_images += join(table, pair, is_image)
    return table


def read_yolo(root: Path) -> Table:
    """Return the table of ``images/`` and ``labels/``. An image without a file of labels shows background."""
    table = Table(root, "yolo")
    named = class_names(root)
    if not named.names or named.ids is not None:
        raise UserError(
            f"{shown_path(root / 'data.yaml')} must name the classes 0, 1, ... of the labels: "
            "names: [A, B] or names: {0: A, 1: B}"
        )
    if len(named.names) >= MOST_CLASSES:
        raise UserError(
            f"{shown_path(root / named.file)} names {len(named.names):,} classes, and masks have at most "
            f"{MOST_CLASSES - 1}"
        )
    table.names, table.labels = with_background(named.names)
    for pair in yolo_parts.pairs_of(root):
        table.entries += [Entry(image, pair.part) for image in join(table, pair, is_label)]
    yolo_parts.follow(table)
    return table


READERS = {"voc": voc.read, "masks": read_masks, "coco": coco.read, "yolo": read_yolo}
