"""What is in a folder of annotated images: its classes, its pixels, and what is wrong with its masks."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import asdict

import numpy as np

from cnntrain.annotations.facts import ALIKE, AnnotatedInventory
from cnntrain.annotations.inventory import annotated_inventory
from cnntrain.annotations.label_scheme import AnnotationOptions, shares, values_in
from cnntrain.annotations.mask_reader import MaskReader
from cnntrain.annotations.regions import IGNORED
from cnntrain.annotations.table import AUTO
from cnntrain.config.conf_files import default
from cnntrain.config.overrides import in_quotes
from cnntrain.data.audit.audit import SIZES, sorted_copies, split_in_words
from cnntrain.data.audit.masks_page import page
from cnntrain.data.audit.masks_result import MaskAudit
from cnntrain.data.audit.masks_text import facts_of, show
from cnntrain.data.audit.recommended import ELONGATED, needs_quotes
from cnntrain.image_folder.inventory import why_not_trainable
from cnntrain.image_folder.opening import Decoding, UnreadableImage
from cnntrain.runs.named_output import json_of, message_console, write
from cnntrain.runtime.console import Console
from cnntrain.text import printable, shown

PARTS = ("train", "val", "test")


def pixels_of(inventory: AnnotatedInventory, console: Console) -> np.ndarray:
    """Return the pixels of each label in each mask, int64 (N, 256), the ignored ones at their place.

    Those of mask files are known; masks of polygons are drawn, one after the other.
    """
    counts = np.zeros((len(inventory.masks), IGNORED + 1), np.int64)
    reader = MaskReader.from_inventory(inventory, Decoding(inventory.max_megapixels))
    good = np.flatnonzero(inventory.readable).tolist()
    with console.bar(len(good), 0, "counting pixels", unit="mask") as bar:
        for index in good:
            record, entry = inventory.masks[index], inventory.table.entries[index]
            if record is not None:
                counts[index] = inventory.scheme.classes.counts(record)[0]
            else:
                size = int(inventory.records["width"][index]), int(inventory.records["height"][index])
                try:
                    mask = reader.read(entry, size, inventory.lies.get(index, ""))
                except UnreadableImage as error:
                    inventory.wrong[index] = f"{printable(entry.mask)}: {error}"
                    continue
                counts[index] = np.bincount(mask.ravel(), minlength=IGNORED + 1)
            bar.update(1)
    return counts


def examine(
    root: str, inventory: AnnotatedInventory, counts: np.ndarray, asked: AnnotationOptions
) -> MaskAudit:
    """Return the facts about a folder, from the pixels of each label in each mask."""
    entries, records, names = inventory.table.entries, inventory.records, inventory.scheme.names
    good = np.flatnonzero(inventory.readable)
    test_fraction = default("source.test_fraction", "data/folder")
    parts = inventory.parts(test_fraction)
    shown_in = {
        name: {part: int((counts[parts == part, label] > 0).sum()) for part in PARTS}
        for label, name in enumerate(names)
    }
    per_class, total = counts[:, : len(names)].sum(0), max(1, int(counts.sum()))
    of_masks = [entry.mask or entry.image for entry in entries]
    known = [record for record in inventory.masks if record is not None and not record.error]
    ids, colors = values_in(known)
    sides = np.stack([records["width"][good], records["height"][good]])
    found, copies = inventory.listing.found, sorted_copies(inventory, good)
    audit = MaskAudit(
        format=inventory.in_words(),
        images={part: int((parts == part).sum()) for part in PARTS},
        counts=shown_in,
        pixels={
            name: round(float(number) / max(1, int(per_class.sum())), 6)
            for name, number in zip(names, per_class, strict=True)
        },
        ignored=round(float(counts[:, IGNORED].sum()) / total, 6),
        values="" if colors or not known else shares(ids),
        sizes=dict(Counter(f"{r['width']}x{r['height']}" for r in records[good]).most_common(SIZES)),
        unusable=inventory.bad,
        wrong=inventory.faults,
        orphan_images=inventory.table.orphan_images,
        orphan_masks=inventory.table.orphan_masks,
        empty_masks=[of_masks[i] for i in good if names and counts[i, 0] and not counts[i, 1:IGNORED].any()],
        ignored_masks=[of_masks[i] for i in good if names and counts[i, IGNORED] == counts[i].sum()],
        absent=[name for name, number in zip(names, per_class, strict=True) if not number],
        lossy=[
            mask
            for mask, record in zip(of_masks, inventory.masks, strict=True)
            if record and record.facts["is_lossy"]
        ],
        turned=[f"{entries[i].image}: its mask is {in_words(how)}" for i, how in inventory.lies.items()],
        copies=copies["copies"],
        near_copies=copies["near_copies"],
        leaks=copies["leaks"],
        denied=found.denied,
        loops=found.loops,
        special=found.special,
        left_out=round(1 - float(np.median(sides.min(0) / sides.max(0))), 4) if len(good) else 0.0,
        split=split_in_words(inventory.listing.parts, test_fraction, of=""),
        refusal=inventory.scheme.refusal or why_not_trainable(parts),
    )
    if not audit.refusal:
        audit.facts = inventory.facts(test_fraction)
        audit.command = command(root, audit, asked)
    return audit


def in_words(lies: str) -> str:
    """Return how a mask lies to an image that EXIF turns."""
    return "turned alike" if lies == ALIKE else "upright already"


def command(root: str, audit: MaskAudit, asked: AnnotationOptions) -> str:
    """Return the command that trains on a folder.

    Args:
        root: the folder, as typed.
        audit: the results of the audit.
        asked: the user's settings of the annotations.
    """
    words = ["cnntrain", "train", "data=folder"]
    words.append(f"data.root={in_quotes(root) if needs_quotes(root) else root}")
    if asked.format != AUTO:
        words.append(f"data.format={asked.format}")
    if asked.ignore != IGNORED:
        words.append(f"data.ignore={asked.ignore}")
    if asked.label_map is not None:
        words.append(f"data.label_map={shown(dict(asked.label_map))}")
    if asked.colors is not None:
        words.append(f"data.colors={shown(dict(asked.colors))}")
    if audit.unusable or audit.wrong or audit.denied:
        words.append("data.on_bad_image=skip")
    if audit.left_out > ELONGATED:
        words.append("data.resize=pad")
    return shlex.join([*words, "model=unet"])


def audit(
    root: str, asked: AnnotationOptions, json_file: str | None, html_file: str | None, verbose: int = 1
) -> MaskAudit:
    """Look at a folder of annotated images, print what was found, and write it to files if they are named.

    Args:
        root: the folder.
        asked: the user's settings of the annotations.
        json_file: the file for all results; ``-`` writes them to standard output, in place of the tables.
        html_file: the web page that shows images of each class with their masks over them.
        verbose: how much to print, as in :class:`Console`.

    Raises:
        UserError: there is no such folder, or a file can't be written.
    """
    console = message_console(json_file, html_file, verbose=verbose)
    inventory = annotated_inventory(root, asked, default("data.max_megapixels"), console.verbose)
    counts = pixels_of(inventory, console)
    result = examine(root, inventory, counts, asked)
    show(console, result)
    if json_file is not None:
        write(json_file, json_of(asdict(result)), console)
    if html_file is not None:
        write(html_file, page(root, inventory, result, counts, facts_of(result)), console)
    return result
