"""What is in a folder of images with boxes: its classes, how large objects are, what is wrong with boxes."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict

import numpy as np

from cnntrain.annotations.boxes.inventory import BoxInventory, box_inventory
from cnntrain.annotations.facts import ALIKE
from cnntrain.annotations.label_scheme import AnnotationOptions
from cnntrain.annotations.regions import BOX_CLASS, BOX_IGNORED
from cnntrain.annotations.table import AUTO
from cnntrain.config.conf_files import default
from cnntrain.config.overrides import in_quotes
from cnntrain.data.audit.audit import SIZES, sorted_copies, split_in_words
from cnntrain.data.audit.boxes.page import page
from cnntrain.data.audit.boxes.result import BoxAudit, ClassBoxes
from cnntrain.data.audit.boxes.text import facts_of, show
from cnntrain.data.audit.recommended import needs_quotes
from cnntrain.image_folder.inventory import LARGEST, STEP, why_not_trainable
from cnntrain.runs.named_output import json_of, message_console, write
from cnntrain.text import printable

PARTS = ("train", "val", "test")
STRIDE = 8  # pixels; the finest grid of detectors, below which an object is hardly seen
MANY_SMALL = 0.2  # share of small boxes above which larger images are recommended
WIDEST = 320  # pixels; side of images that a CPU trains on in reasonable time


def examine(root: str, inventory: BoxInventory, asked: AnnotationOptions) -> BoxAudit:
    """Return the facts about a folder."""
    entries, records, table = inventory.table.entries, inventory.records, inventory.table
    good = np.flatnonzero(inventory.readable)
    test_fraction = default("source.test_fraction", "data/folder")
    parts = inventory.parts(test_fraction)
    why = inventory.scheme.refusal or why_not_trainable(parts)
    facts = {} if why else inventory.facts(test_fraction)
    side = training_side(inventory, facts["image_size"]) if facts else 0
    classes = {
        name: class_boxes(inventory, label, parts, side or LARGEST)
        for label, name in enumerate(inventory.scheme.names)
    }
    numbers = [len(inventory.boxes[index]) for index in good.tolist()]
    copies, found = sorted_copies(inventory, good), inventory.listing.found
    audit = BoxAudit(
        format=inventory.in_words(),
        images={part: int((parts == part).sum()) for part in PARTS},
        classes=classes,
        per_image=(float(np.median(numbers or [0])), max(numbers, default=0)),
        sizes=dict(Counter(f"{r['width']}x{r['height']}" for r in records[good]).most_common(SIZES)),
        unusable_images=inventory.bad,
        faults=inventory.kinds,
        orders=table.orders,
        orphan_images=table.orphan_images,
        orphan_masks=table.orphan_masks,
        backgrounds=[entries[index].image for index in good.tolist() if not len(inventory.boxes[index])],
        small_objects=[small for name, of in classes.items() if (small := small_in_words(name, of))],
        absent_boxes=[name for name, of in classes.items() if not of.images],
        turned=[f"{entries[index].image}: {lies_in_words(how)}" for index, how in inventory.lies.items()],
        copies=copies["copies"],
        near_copies=copies["near_copies"],
        leaks=copies["leaks"],
        denied=found.denied,
        loops=found.loops,
        special=found.special,
        split=split_in_words(inventory.listing.parts, test_fraction, of=""),
        refusal=why,
        side=side,
        facts=facts,
    )
    if not why:
        audit.command = command(root, inventory, audit, asked)
    return audit


def training_side(inventory: BoxInventory, automatic: int) -> int:
    """Return the side of the square that images are to be padded to.

    It is what ``auto`` stands for, or more if that would leave many objects smaller than a stride.

    Args:
        inventory: the folder.
        automatic: what ``auto`` stands for.
    """
    seen = inventory.records[inventory.readable]
    longest = int(np.median(np.maximum(seen["width"], seen["height"])))
    wanted = min(WIDEST, STEP * -(-longest // STEP))
    shortest = scaled_sides(inventory, None, automatic).min(1)
    is_small = len(shortest) > 0 and float((shortest < STRIDE).mean()) > MANY_SMALL
    return max(automatic, wanted) if is_small else automatic


def scaled_sides(inventory: BoxInventory, label: int | None, side: int) -> np.ndarray:
    """Return the width and the height of boxes in images padded to a side: float64 (M, 2).

    Args:
        inventory: the folder.
        label: the class; None: all. Boxes that are ignored do not count.
        side: the side of the images then, in pixels.
    """
    found = [np.zeros((0, 2))]
    for index in np.flatnonzero(inventory.readable).tolist():
        own, record = inventory.boxes[index], inventory.records[index]
        own = own[(own[:, BOX_IGNORED] == 0) & ((own[:, BOX_CLASS] == label) | (label is None))]
        found.append((own[:, 2:4] - own[:, :2]) * side / max(int(record["width"]), int(record["height"])))
    return np.concatenate(found)


def class_boxes(inventory: BoxInventory, label: int, parts: np.ndarray, side: int) -> ClassBoxes:
    """Return how many boxes a class has in each part, and how large they are in images padded to a side."""
    numbers, ignored = np.zeros(len(parts), np.int64), 0
    for index in np.flatnonzero(inventory.readable).tolist():
        own = inventory.boxes[index][inventory.boxes[index][:, BOX_CLASS] == label]
        numbers[index] = int((own[:, BOX_IGNORED] == 0).sum())
        ignored += int(own[:, BOX_IGNORED].sum())
    sides = scaled_sides(inventory, label, side)
    known = sides if len(sides) else np.zeros((1, 2))
    width, height = np.median(known, axis=0).round(1).tolist()
    small = float((sides.min(1) < STRIDE).mean()) if len(sides) else 0.0
    return ClassBoxes(
        {part: int(numbers[parts == part].sum()) for part in PARTS},
        int((numbers > 0).sum()),
        ignored,
        width,
        height,
        round(float(known.min()), 1),
        round(small, 4),
    )


def small_in_words(name: str, of: ClassBoxes) -> str:
    """Return how many boxes of a class are smaller than a stride; empty if none is."""
    total = sum(of.boxes.values())
    return f"{printable(name)}: {round(of.small * total):,} of {total:,}" if of.small else ""


def lies_in_words(lies: str) -> str:
    """Return how the boxes of an image that EXIF turns were made."""
    return "its boxes were made on the unturned image" if lies == ALIKE else "its boxes are upright already"


def command(root: str, inventory: BoxInventory, audit: BoxAudit, asked: AnnotationOptions) -> str:
    """Return the command that trains on a folder.

    Args:
        root: the folder, as typed.
        inventory: the folder.
        audit: what was found.
        asked: what the user says about the folder.
    """
    words = ["cnntrain", "train", "data=folder"]
    words.append(f"data.root={in_quotes(root) if needs_quotes(root) else root}")
    if asked.format != AUTO:
        words.append(f"data.format={asked.format}")
    if audit.unusable_images or audit.denied:
        words.append("data.on_bad_image=skip")
    if inventory.faults:
        words.append("data.on_bad_box=skip")
    if audit.side != audit.facts["image_size"]:
        words.append(f"data.image_size={audit.side}")
    return shlex.join([*words, "model=yolo"])


def audit(
    root: str, asked: AnnotationOptions, json_file: str | None, html_file: str | None, verbose: int = 1
) -> BoxAudit:
    """Look at a folder of images with boxes, print what was found, and write it to files if they are named.

    Args:
        root: the folder.
        asked: what the user says about it.
        json_file: the file for all that was found; ``-`` writes it to standard output instead of the tables.
        html_file: the file for images of each class with their boxes drawn.
        verbose: as in :class:`Console`.

    Raises:
        UserError: there is no such folder, or a file can't be written.
    """
    console = message_console(json_file, html_file, verbose=verbose)
    inventory = box_inventory(root, asked, default("data.max_megapixels"), console.verbose)
    result = examine(root, inventory, asked)
    show(console, result)
    if json_file is not None:
        write(json_file, json_of(asdict(result)), console)
    if html_file is not None:
        write(html_file, page(root, inventory, result, facts_of(result)), console)
    return result
