"""Checks of annotated images: unreadable files, sizes that differ, values without a class."""

from __future__ import annotations

from cnntrain.annotations.facts import ALIKE, EITHER, UPRIGHT, AnnotatedInventory
from cnntrain.annotations.mask_file import orientation_of, unpacked
from cnntrain.annotations.mask_scan import MaskRecord
from cnntrain.annotations.readers import yolo
from cnntrain.annotations.table import Entry
from cnntrain.image_folder.decode import SWAPPING
from cnntrain.image_folder.opening import UnreadableImage
from cnntrain.runtime.console import count
from cnntrain.text import printable

VALUES = 5  # that a fault lists


def examine(inventory: AnnotatedInventory) -> None:
    """Find what is wrong with each image and its annotation."""
    for index, entry in enumerate(inventory.table.entries):
        error, record = str(inventory.records["error"][index]), inventory.masks[index]
        if error:
            inventory.wrong[index] = f"{shown(entry.image)}: {printable(error)}"
        elif record is not None and record.error:
            inventory.wrong[index] = f"{shown(entry.mask)}: {printable(record.error)}"
        elif record is not None:
            compare_sizes(inventory, index, record.size, shown(entry.mask))
            count_unknown_values(inventory, index, record)
        else:
            note_drawn(inventory, index, entry)
    infer_orientations(inventory)


def compare_sizes(inventory: AnnotatedInventory, index: int, size: tuple[int, int], what: str) -> None:
    """Check whether a mask is as large as its image, as it is shown or as it is stored.

    Args:
        inventory: the inventory to add to.
        index: the index of the image.
        size: width and height of the mask, or those that the annotation states.
        what: the mask's name.
    """
    record, image = inventory.records[index], shown(inventory.table.entries[index].image)
    seen = (int(record["width"]), int(record["height"]))
    is_turned = bool(record["is_turned"])
    if size == seen:
        if is_turned:
            square = seen[0] == seen[1] or not is_swapped(inventory, index)
            inventory.lies[index] = EITHER if square else UPRIGHT
    elif is_turned and size == seen[::-1] and is_swapped(inventory, index):
        inventory.lies[index] = ALIKE
    else:
        sizes = [f"{width}x{height}" for width, height in (size, seen)]
        inventory.wrong[index] = f"{what}: {sizes[0]}, and {image} is {sizes[1]}"


def is_swapped(inventory: AnnotatedInventory, index: int) -> bool:
    """Return whether EXIF swaps the width and the height of an image that it turns."""
    return orientation_of(inventory.table.root / inventory.table.entries[index].image) in SWAPPING


def infer_orientations(inventory: AnnotatedInventory) -> None:
    """Decide the orientation of masks whose sizes leave it open: that of most others, else upright."""
    known = [how for how in inventory.lies.values() if how != EITHER]
    usual = ALIKE if known.count(ALIKE) > known.count(UPRIGHT) else UPRIGHT
    for index, how in inventory.lies.items():
        if how == EITHER:
            inventory.lies[index] = usual


def count_unknown_values(inventory: AnnotatedInventory, index: int, record: MaskRecord) -> None:
    """Record the pixels of a mask whose values or colours have no class."""
    if inventory.scheme.refusal:
        return
    _, unknown = inventory.scheme.classes.counts(record)
    if not unknown:
        return
    is_color = bool(record.facts["are_colors"])
    values = [
        f"{list(unpacked(value)) if is_color else value} ({count(number, 'pixel')})"
        for value, number in list(unknown.items())[:VALUES]
    ]
    more = f" and {len(unknown) - VALUES:,} more" if len(unknown) > VALUES else ""
    what = (
        "colours without a class" if is_color else f"values outside the {len(inventory.scheme.names)} classes"
    )
    name = shown(inventory.table.entries[index].mask)
    inventory.partly[index] = [f"{name}: {what}: {', '.join(values)}{more}"]


def note_drawn(inventory: AnnotatedInventory, index: int, entry: Entry) -> None:
    """Record the faults of an annotation whose mask is drawn."""
    if entry.size is not None:
        compare_sizes(inventory, index, entry.size, f"annotation of {shown(entry.image)}")
    elif bool(inventory.records["is_turned"][index]):
        inventory.lies[index] = EITHER
    if not entry.mask:
        return
    try:
        _, faults = yolo.rows_of(inventory.table.root / entry.mask, len(inventory.table.labels))
    except UnreadableImage as error:
        inventory.wrong[index] = f"{shown(entry.mask)}: {error}"
        return
    if faults:
        inventory.partly[index] = [f"{shown(entry.mask)}, {fault}" for fault in faults]


def shown(name: str) -> str:
    """Return the name of a file, printable."""
    return printable(name, 1000)
