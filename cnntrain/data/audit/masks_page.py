"""One page of HTML: images of each class with their masks over them, a legend, and what else was found."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from cnntrain.annotations.facts import AnnotatedInventory
from cnntrain.annotations.mask_file import unpacked
from cnntrain.annotations.mask_reader import MaskReader
from cnntrain.annotations.regions import IGNORED
from cnntrain.data.audit.findings_text import NAME
from cnntrain.data.audit.page import Picture, Row, laid_out, names_of
from cnntrain.drawing import masks
from cnntrain.image_folder.decode import decode
from cnntrain.image_folder.findings import FINDINGS
from cnntrain.image_folder.opening import Decoding, UnreadableImage
from cnntrain.text import printable

if TYPE_CHECKING:
    from cnntrain.data.audit.masks_result import MaskAudit

OF_A_CLASS = 6  # images, a row on a wide screen
SIDE = 160  # of an image on the page, in pixels


class Key(NamedTuple):
    """A class in the legend."""

    name: str
    color: str
    pixels: str


def page(
    root: str, inventory: AnnotatedInventory, result: MaskAudit, counts: np.ndarray, facts: Mapping[str, str]
) -> str:
    """Return the page, which refers to no other file.

    Args:
        root: the folder, as typed.
        inventory: its images.
        result: the results of the audit.
        counts: pixels of each label in each mask, int64 (N, 256).
        facts: the facts about all images together.
    """
    palette = colors_of(inventory)
    findings = [(kind, vars(result).get(kind, ())) for kind in FINDINGS]
    return laid_out(
        root,
        facts,
        vars(result),
        SIDE,
        legend=legend(result, palette),
        classes=[] if result.refusal else rows(inventory, counts, palette),
        findings=[names_of(kind, items) for kind, items in findings if items],
    )


def colors_of(inventory: AnnotatedInventory) -> np.ndarray:
    """Return a colour for each label, uint8 (256, 3): that of coloured masks, else one of its own."""
    palette = masks.palette().copy()
    for value, label in (inventory.scheme.classes.colors or {}).items():
        palette[label] = unpacked(value)
    return palette


def legend(result: MaskAudit, palette: np.ndarray) -> list[Key]:
    """Return the classes with their colours and shares, and what is ignored."""
    keys = [
        Key(printable(name), masks.css(palette[label]), f"{share:.2%}")
        for label, (name, share) in enumerate(result.pixels.items())
    ]
    return (
        [*keys, Key("ignored", masks.css(palette[IGNORED]), f"{result.ignored:.2%} of all")] if keys else []
    )


def rows(inventory: AnnotatedInventory, counts: np.ndarray, palette: np.ndarray) -> list[Row]:
    """Return images that show each class but the first, evenly spread."""
    reader = MaskReader.from_inventory(inventory, Decoding(inventory.max_megapixels))
    found = []
    for label, name in enumerate(inventory.scheme.names[1:], 1):
        members = np.flatnonzero(counts[:, label] > 0)
        some = np.unique(np.linspace(0, len(members) - 1, min(len(members), OF_A_CLASS)).astype(int))
        images = [overlay(inventory, int(members[place]), reader, palette) for place in some]
        about = f"{len(images)} of {len(members):,} images"
        found.append(Row(printable(name, NAME), about, images, is_named=True))
    return found


def overlay(inventory: AnnotatedInventory, index: int, reader: MaskReader, palette: np.ndarray) -> Picture:
    """Return an image with its mask over it; of a file that has gone since, an empty one."""
    entry, record = inventory.table.entries[index], inventory.records[index]
    name, size = printable(entry.image), (int(record["width"]), int(record["height"]))
    try:
        image = decode(inventory.listing.root / entry.image, reader.decoding, SIDE).image.convert("RGB")
        mask = Image.fromarray(reader.read(entry, size, inventory.lies.get(index, "")))
    except UnreadableImage:
        return Picture(name, "data:,")
    scale = SIDE / max(size)
    small = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    enlarged = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR
    pixels = np.asarray(image.resize(small, enlarged))
    labels = np.asarray(mask.resize(small, Image.Resampling.NEAREST))
    file = io.BytesIO()
    Image.fromarray(masks.over(pixels, labels, palette)).save(file, "JPEG", quality=85)
    return Picture(name, f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}")
