"""What is known of a folder of annotated images before it is trained on: found without torch, and once."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cnntrain.annotations import formats, mask_scan
from cnntrain.annotations.checks import examine
from cnntrain.annotations.class_map import ClassMap
from cnntrain.annotations.facts import AnnotatedInventory, AnnotatedListing
from cnntrain.annotations.label_scheme import AnnotationOptions, LabelScheme, infer_label_scheme
from cnntrain.annotations.mask_scan import MaskRecord
from cnntrain.annotations.readers import voc
from cnntrain.annotations.readers.names import ClassNames, class_names
from cnntrain.annotations.table import IN_FILES, Table
from cnntrain.errors import UserError
from cnntrain.image_folder import duplicates
from cnntrain.image_folder.opening import Decoding
from cnntrain.image_folder.scan import scan
from cnntrain.image_folder.walk import absolute
from cnntrain.runtime.console import Console, count
from cnntrain.text import printable, some

VALUES = 5  # that a fault lists
UPRIGHT, ALIKE, EITHER = "upright", "alike", "either"  # how a mask lies to an image that EXIF turns


@dataclass(frozen=True)
class Request:
    """A folder to look through: the same whatever way it was typed."""

    path: str
    format: str
    asked: AnnotationOptions
    max_megapixels: float
    typed: str = field(compare=False)
    verbose: int = field(compare=False)


def annotated_inventory(
    root: str, asked: AnnotationOptions, max_megapixels: float, verbose: int = 1
) -> AnnotatedInventory:
    """Look at every image and mask of a folder, with a progress bar, or at what the cache knows of them.

    A process does so once for a folder.

    Args:
        root: the folder, whose format is not ``classes``.
        asked: the user's settings of the annotations.
        max_megapixels: millions of pixels that an image or a mask may have.
        verbose: how much to print, as in :class:`Console`.

    Raises:
        UserError: there is no such folder.
    """
    kind = formats.format_of(root, asked.format)
    return build_inventory(Request(str(absolute(root)), kind, asked, max_megapixels, str(root), verbose))


@functools.lru_cache(maxsize=4)
def build_inventory(request: Request) -> AnnotatedInventory:
    """Return the inventory of a folder, see :func:`annotated_inventory`."""
    table = formats.read(request.typed, request.format)
    images = [entry.image for entry in table.entries]
    files = [entry.mask for entry in table.entries if entry.mask and table.format in IN_FILES]
    name = printable(Path(request.path).name)
    decoding = Decoding(request.max_megapixels)
    with Console(request.verbose).bar(len(images) + len(files), 0, f"looking at {name}", unit="file") as bar:
        records = scan(table.root, images, bar.update, request.max_megapixels)
        by_file = dict(zip(files, mask_scan.scan(table.root, files, bar.update, decoding), strict=True))
    masks = [by_file.get(entry.mask) for entry in table.entries]
    scheme = label_scheme(table, request.asked, [record for record in masks if record and not record.error])
    listing = AnnotatedListing(
        table.root,
        classes=list(scheme.names),
        files=images,
        labels=[0] * len(images),
        parts=[entry.part for entry in table.entries],
        found=table.found,
        orphan_images=table.orphan_images,
        orphan_masks=table.orphan_masks,
    )
    groups = duplicates.near_duplicate_groups(records["pixels"], records["look"])
    inventory = AnnotatedInventory(
        listing, records, groups, request.max_megapixels, table=table, masks=masks, scheme=scheme
    )
    examine(inventory)
    return inventory


annotated_inventory.cache_clear = build_inventory.cache_clear  # type: ignore[attr-defined]  # for tests, which change folders


def label_scheme(table: Table, asked: AnnotationOptions, records: Sequence[MaskRecord]) -> LabelScheme:
    """Return what the classes of a table are."""
    if table.names:  # masks are drawn, with labels of their own
        unused = [name for name in ("label_map", "colors") if getattr(asked, name) is not None]
        if unused:
            raise UserError(
                f"data.{unused[0]} is for masks in files: the classes of data.format={table.format} are "
                f"{some(table.names)}"
            )
        return LabelScheme(table.names, ClassMap(len(table.names)))
    named = class_names(table.root)
    if not named.names and table.format == "voc":
        named = ClassNames(voc.own_names(table.root))
    return infer_label_scheme(asked, named, records)


def usable_inventory(
    root: str, asked: AnnotationOptions, on_bad_image: str, max_megapixels: float, verbose: int = 1
) -> AnnotatedInventory:
    """Return the inventory of a folder that is to be trained on.

    Raises:
        UserError: its classes can't be determined, or something is wrong with an image or its annotation and
            ``on_bad_image`` is ``stop``.
    """
    inventory = annotated_inventory(root, asked, max_megapixels, verbose)
    if inventory.scheme.refusal:
        raise UserError(f"data.root={printable(root)}: {inventory.scheme.refusal}")
    denied = inventory.listing.found.denied
    if on_bad_image == "skip" or not (inventory.wrong or inventory.faults or denied):
        return inventory
    lines = [f"{count(len(denied), 'folder')} that may not be read: {some(denied)}"] if denied else []
    for faults in (list(inventory.wrong.values()), inventory.faults):
        if faults:
            of = f"{len(faults):,} faults, the first is " if len(faults) > 1 else ""
            lines.append(f"{of}{printable(root)}/{faults[0]}")
    audit = printable(shlex.join(["cnntrain", "data", root]), 1000)
    raise UserError(
        f"{'; '.join(lines)}\ndata.on_bad_image=skip leaves such images out and ignores such pixels; to list "
        f"them all: {audit}"
    )
