"""One page of HTML: images of each class, those stored more than once, and what else was found.

Pages of folders with masks have the same parts, see :mod:`cnntrain.data.audit.masks_page`.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cnntrain.data.audit.findings_text import LINE, NAME, line_of
from cnntrain.image_folder.decode import decode
from cnntrain.image_folder.findings import FINDINGS, heading
from cnntrain.image_folder.inventory import Inventory
from cnntrain.image_folder.opening import Decoding, UnreadableImage
from cnntrain.runs.web_page import web_page
from cnntrain.runtime.console import count
from cnntrain.text import printable

TEMPLATE = Path(__file__).with_name("page.html")
OF_A_CLASS = 22  # images, two rows on a wide screen
GROUPS = 20  # of copies
LISTED = 200  # names
SIDE = 96  # of an image on the page, in pixels
GROUPED = ("leaks", "across_classes", "copies", "near_copies")  # findings that are groups of images
FOLDED = 10  # names of a list, above which it is folded


class Picture(NamedTuple):
    """An image on the page: its name, and its thumbnail as a data address."""

    name: str
    address: str


class Row(NamedTuple):
    """A heading, the facts about it, and images, with their names below them if those matter."""

    title: str
    about: str
    images: list[Picture]
    is_named: bool


class Names(NamedTuple):
    """A heading and a list of names: how many more there are, and whether it is folded."""

    title: str
    names: list[str]
    more: str
    is_folded: bool


def page(root: str, inventory: Inventory, audit: Mapping[str, Any], facts: Mapping[str, str]) -> str:
    """Return the page, which refers to no other file.

    Args:
        root: the folder, as typed.
        inventory: its images.
        audit: the results of the audit, as plain types.
        facts: the facts about all images together.
    """
    return laid_out(
        root, facts, audit, classes=classes(inventory, audit["counts"]), findings=findings(inventory, audit)
    )


def laid_out(
    root: str, facts: Mapping[str, str], audit: Mapping[str, Any], side: int = SIDE, **parts: Any
) -> str:
    """Return the page of an audit.

    Args:
        root: the folder, as typed.
        facts: the facts about all images together.
        audit: the results of the audit, as plain types: the command that trains, or why there is none.
        side: the side of the images, in pixels.
        parts: the rows of ``classes``, the ``findings``, and the ``legend`` of masks.
    """
    return web_page(
        TEMPLATE,
        printable(root, NAME),
        style=f":root {{ --side: {side}px; }}",
        facts=facts,
        command=printable(audit["command"], 4000),
        refusal=printable(audit["refusal"], 2000),
        **parts,
    )


def classes(inventory: Inventory, counts: Mapping[str, Mapping[str, int]]) -> Iterator[Row]:
    """Yield a row of images of each class, evenly spread.

    Args:
        inventory: the images.
        counts: images of each class in each part.
    """
    listing, labels = inventory.listing, np.array(inventory.listing.labels)
    for label, name in enumerate(listing.classes):
        members = np.flatnonzero((labels == label) & inventory.readable)
        some = members[np.unique(np.linspace(0, len(members) - 1, OF_A_CLASS).astype(int))]
        split = ", ".join(f"{of:,} {part}" for part, of in counts[name].items() if of)
        only = f"; {len(some)} of them are shown" if len(some) < len(members) else ""
        about = f"{count(len(members), 'image')}: {split}{only}"
        yield Row(
            printable(name, NAME),
            about,
            pictures(inventory, (listing.files[i] for i in some)),
            is_named=False,
        )


def findings(inventory: Inventory, audit: Mapping[str, Any]) -> Iterator[Row | Names]:
    """Yield what was found of each kind: of images that belong together, the first groups."""
    for kind in FINDINGS:
        if kind not in GROUPED:
            if audit.get(kind):
                yield names_of(kind, audit[kind])
            continue
        groups = audit.get(kind, ())
        for number, names in enumerate(groups[:GROUPS], 1):
            which = f"{number} of {len(groups):,}"
            yield Row(FINDINGS[kind][1], which, pictures(inventory, names), is_named=True)


def names_of(kind: str, items: Sequence[str | Sequence[str]]) -> Names:
    """Return the heading and the names of a finding; those that belong together are on one line."""
    names = [line_of(item) for item in items[:LISTED]]
    more = f"{len(items) - LISTED:,}" if len(items) > LISTED else ""
    return Names(printable(heading(kind, items), LINE), names, more, len(items) > FOLDED)


def pictures(inventory: Inventory, files: Iterable[str]) -> list[Picture]:
    """Return images for the page."""
    return [Picture(printable(name, NAME), thumbnail(inventory, name)) for name in files]


def thumbnail(inventory: Inventory, name: str) -> str:
    """Return an image as a data address; of a file that has gone since, an empty one."""
    try:
        image = decode(inventory.listing.root / name, Decoding(inventory.max_megapixels), SIDE).image
    except UnreadableImage:
        return "data:,"
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    image.save(file, "PNG" if max(image.size) <= 32 else "JPEG", quality=80)
    kind = "png" if max(image.size) <= 32 else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
