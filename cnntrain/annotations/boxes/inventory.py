"""What is known of a folder of images with boxes before it is trained on: found without torch, and once."""

from __future__ import annotations

import functools
import hashlib
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cnntrain.annotations.boxes import formats
from cnntrain.annotations.boxes.rows import TWICE, checked, turned
from cnntrain.annotations.checks import compare_sizes, infer_orientations, shown
from cnntrain.annotations.class_map import ClassMap
from cnntrain.annotations.facts import ALIKE, EITHER, UPRIGHT, AnnotatedInventory, AnnotatedListing
from cnntrain.annotations.label_scheme import AnnotationOptions, LabelScheme
from cnntrain.annotations.mask_file import orientation_of
from cnntrain.annotations.table import Table
from cnntrain.errors import UserError
from cnntrain.image_folder import duplicates
from cnntrain.image_folder.decode import SWAPPING
from cnntrain.image_folder.inventory import Inventory
from cnntrain.image_folder.scan import scan
from cnntrain.image_folder.walk import absolute
from cnntrain.runtime.console import Console, count
from cnntrain.text import printable, some

MALFORMED, UNKNOWN = "malformed_boxes", "unknown_classes"  # kinds of findings, beside those of rows.py
NAMED = 3  # faults of a kind that a warning lists


@dataclass(kw_only=True)
class BoxInventory(AnnotatedInventory):
    """The images of a folder and their boxes.

    Args:
        boxes: the boxes of each image, float32 (M, 6): left, top, right, bottom in pixels of the image as it
            is seen, class, and 1 if it is ignored.
        kinds: what is wrong with single boxes, by the kind of finding.
    """

    boxes: list[np.ndarray] = field(default_factory=list)
    kinds: dict[str, list[str]] = field(default_factory=dict)

    @property
    def targets(self) -> str:
        """What is known of each image, as ``data.targets`` says it."""
        return formats.BOXES

    @property
    def resize(self) -> str:
        """How images are adapted to the network's proportions: no object is cut off."""
        return "pad"

    @property
    def faults(self) -> list[str]:
        """What is wrong with single boxes, except for copies of others, which change nothing."""
        return [line for kind, lines in self.kinds.items() if kind != TWICE for line in lines]

    def in_words(self) -> dict[str, str]:
        """Return how the folder was read, by what each line is about."""
        facts = {"format": f"{self.table.format}, {formats.FORMATS[self.table.format]}"}
        facts["classes"] = some(self.scheme.names)
        good = np.flatnonzero(self.readable).tolist()
        boxes = [self.boxes[index] for index in good]
        empty, ignored = (sum(not len(of) for of in boxes), sum(int(of[:, 5].sum()) for of in boxes))
        text = f"{sum(map(len, boxes)):,} in {count(len(good), 'image')}, {empty:,} of them without any"
        facts["boxes"] = text + (f"; {ignored:,} ignored (crowd or difficult)" if ignored else "")
        if self.table.notes:
            facts["read as"] = "; ".join(self.table.notes)
        if self.lies:
            lies = list(self.lies.values())
            alike = f"; boxes of {lies.count(ALIKE):,} were made on the unturned image and are turned with it"
            facts["EXIF"] = f"{count(len(lies), 'image')} turned{alike if ALIKE in lies else ''}"
        return facts

    def warnings(self, most: int) -> list[str]:
        """Return what to warn of before training, the first few of each kind by name.

        Args:
            most: the greatest number of them to name.
        """
        summaries = []
        for lines, what in (
            (self.bad, f"left out {count(len(self.bad), 'image')} that can't be used"),
            (self.faults, f"wrong boxes, {len(self.faults):,}, left out, or clipped if partly inside"),
            (self.kinds.get(TWICE, []), f"copies of boxes, {len(self.kinds.get(TWICE, [])):,}, left out"),
            (self.table.orders, "the files name the classes in different orders"),
        ):
            if lines:
                summaries.append(f"{what}: {'; '.join(lines[:most])}{'; ...' if len(lines) > most else ''}")
        return summaries

    def digest(self, indices: np.ndarray) -> str:
        """Return a hash of the names and the contents of some images and of their boxes."""
        hasher = hashlib.sha256(Inventory.digest(self, indices).encode())
        hasher.update(repr(self.scheme.names).encode())
        for index in indices.tolist():
            hasher.update(str(len(self.boxes[index])).encode() + self.boxes[index].tobytes())
        return hasher.hexdigest()


@dataclass(frozen=True)
class Request:
    """A folder to look through: the same whatever way it was typed."""

    path: str
    format: str
    max_megapixels: float
    typed: str = field(compare=False)
    verbose: int = field(compare=False)


def box_inventory(
    root: str, asked: AnnotationOptions, max_megapixels: float, verbose: int = 1
) -> BoxInventory:
    """Look at every image of a folder, with a progress bar, or at what the cache knows of it, and its boxes.

    A process does so once for a folder.

    Args:
        root: the folder.
        asked: what the user says about it.
        max_megapixels: millions of pixels that an image may have.
        verbose: as in :class:`Console`.

    Raises:
        UserError: there is no such folder.
    """
    kind = formats.format_of(root, asked.format)
    return build_inventory(Request(str(absolute(root)), kind, max_megapixels, str(root), verbose))


@functools.lru_cache(maxsize=4)
def build_inventory(request: Request) -> BoxInventory:
    """Return the inventory of a folder, see :func:`box_inventory`."""
    table = formats.read(request.typed, request.format)
    images = [entry.image for entry in table.entries]
    name = printable(Path(request.path).name)
    with Console(request.verbose).bar(len(images), 0, f"looking at {name}", unit="image") as bar:
        records = scan(table.root, images, bar.update, request.max_megapixels)
    listing = AnnotatedListing(
        table.root,
        classes=list(table.names),
        files=images,
        labels=[0] * len(images),
        parts=[entry.part for entry in table.entries],
        found=table.found,
        orphan_images=table.orphan_images,
        orphan_masks=table.orphan_masks,
    )
    inventory = BoxInventory(
        listing,
        records,
        duplicates.near_duplicate_groups(records["pixels"], records["look"]),
        request.max_megapixels,
        table=table,
        masks=[None] * len(images),
        scheme=LabelScheme(table.names, ClassMap(len(table.names)), refusal=why_not_trainable(table)),
    )
    examine(inventory)
    return inventory


box_inventory.cache_clear = build_inventory.cache_clear  # type: ignore[attr-defined]  # for tests, which change folders


def why_not_trainable(table: Table) -> str:
    """Return why the classes of a folder can't be determined; empty if they can."""
    return "" if table.names else "no annotation names a class"


def examine(inventory: BoxInventory) -> None:
    """Find what is wrong with each image and its boxes, and bring the boxes into the image as it is seen."""
    table, unknown = inventory.table, set(inventory.table.unknown)
    malformed = [line for line in table.faults if line not in unknown]
    kinds = {UNKNOWN: list(table.unknown), MALFORMED: malformed}
    for index, entry in enumerate(table.entries):
        error = str(inventory.records["error"][index])
        if error:
            inventory.wrong[index] = f"{shown(entry.image)}: {printable(error)}"
        elif entry.broken:
            inventory.wrong[index] = f"{shown(entry.mask)}: {entry.broken}"
        elif entry.size is not None:
            compare_sizes(inventory, index, entry.size, f"annotation of {shown(entry.image)}")
        elif bool(inventory.records["is_turned"][index]):
            inventory.lies[index] = UPRIGHT if entry.in_shares else EITHER
    infer_orientations(inventory)
    for index in range(len(table.entries)):
        boxes, faults = boxes_of(inventory, index)
        inventory.boxes.append(boxes)
        for kind, line in faults:
            kinds.setdefault(kind, []).append(line)
    inventory.kinds = {kind: lines for kind, lines in kinds.items() if lines}


def boxes_of(inventory: BoxInventory, index: int) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """Return the boxes of an image that can be used, float32 (M, 6), and what is wrong with the others."""
    entry, record = inventory.table.entries[index], inventory.records[index]
    if index in inventory.wrong or not len(entry.boxes):
        return np.zeros((0, 6), np.float32), []
    size = int(record["width"]), int(record["height"])
    orientation = 1
    if inventory.lies.get(index) == ALIKE:
        orientation = orientation_of(inventory.table.root / entry.image)
    stored = size[::-1] if orientation in SWAPPING else size
    boxes = entry.boxes * ([*stored, *stored, 1, 1] if entry.in_shares else 1)
    found, faults = checked(boxes, entry.places, stored)
    return (turned(found, orientation, stored) if orientation != 1 else found), faults


def usable_inventory(
    root: str, asked: AnnotationOptions, on_bad_image: str, max_megapixels: float, verbose: int = 1
) -> BoxInventory:
    """Return the inventory of a folder that is to be trained on.

    Raises:
        UserError: its classes can't be determined; or an image can't be used and ``on_bad_image`` is
            ``stop``; or a box can't and ``asked.on_bad_box`` is.
    """
    inventory = box_inventory(root, asked, max_megapixels, verbose)
    if inventory.scheme.refusal:
        raise UserError(f"data.root={printable(root)}: {inventory.scheme.refusal}")
    audit = printable(shlex.join(["cnntrain", "data", root]), 1000)
    denied, lines = inventory.listing.found.denied, []
    if on_bad_image == "stop" and denied:
        lines.append(f"{count(len(denied), 'folder')} that may not be read: {some(denied)}")
    if on_bad_image == "stop" and inventory.wrong:
        lines.append(first_of(root, list(inventory.wrong.values())))
    if lines:
        raise UserError(
            f"{'; '.join(lines)}\ndata.on_bad_image=skip leaves such images out; to list them all: {audit}"
        )
    if asked.on_bad_box == "stop" and inventory.faults:
        raise UserError(
            f"{first_of(root, inventory.faults)}\ndata.on_bad_box=skip leaves such boxes out, and clips "
            f"those that are partly inside; to list them all: {audit}"
        )
    return inventory


def first_of(root: str, faults: list[str]) -> str:
    """Return the first of some faults in words, and how many there are."""
    of = f"{len(faults):,} faults, the first is " if len(faults) > 1 else ""
    return f"{of}{printable(root)}/{faults[0]}"
