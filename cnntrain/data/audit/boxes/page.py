"""One page of HTML: images of each class with their boxes drawn, a legend, and what else was found."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping

import numpy as np
from PIL import Image

from cnntrain.annotations.boxes.inventory import BoxInventory
from cnntrain.annotations.regions import BOX_CLASS, BOX_IGNORED
from cnntrain.data.audit.boxes.result import BoxAudit
from cnntrain.data.audit.findings_text import NAME
from cnntrain.data.audit.masks_page import Key
from cnntrain.data.audit.page import Picture, Row, laid_out, names_of
from cnntrain.drawing.boxes import color_of, over
from cnntrain.drawing.masks import GREY, css
from cnntrain.image_folder.decode import decode
from cnntrain.image_folder.findings import FINDINGS
from cnntrain.image_folder.opening import Decoding, UnreadableImage
from cnntrain.text import printable

OF_A_CLASS = 6  # images, a row on a wide screen
SIDE = 200  # of an image on the page, in pixels
LINE = 2  # pixels; the width of a box's edges


def page(root: str, inventory: BoxInventory, result: BoxAudit, facts: Mapping[str, str]) -> str:
    """Return the page, which refers to no other file.

    Args:
        root: the folder, as typed.
        inventory: its images.
        result: what was found.
        facts: the facts about all images together.
    """
    findings = [(kind, result.findings.get(kind, ())) for kind in FINDINGS]
    return laid_out(
        root,
        facts,
        vars(result),
        SIDE,
        legend=legend(result),
        classes=[] if result.refusal else rows(inventory),
        findings=[names_of(kind, items) for kind, items in findings if items],
    )


def legend(result: BoxAudit) -> list[Key]:
    """Return the classes with their colours and numbers of boxes, and what is ignored."""
    keys = [
        Key(printable(name), css(color_of(label)), f"{sum(of.boxes.values()):,} boxes")
        for label, (name, of) in enumerate(result.classes.items())
    ]
    ignored = sum(of.ignored for of in result.classes.values())
    return [*keys, Key("ignored", css(GREY), f"{ignored:,} boxes")] if ignored else keys


def rows(inventory: BoxInventory) -> list[Row]:
    """Return images with boxes of each class, evenly spread."""
    found = []
    good = np.flatnonzero(inventory.readable).tolist()
    for label, name in enumerate(inventory.scheme.names):
        members = [index for index in good if (inventory.boxes[index][:, BOX_CLASS] == label).any()]
        places = np.linspace(0, len(members) - 1, min(len(members), OF_A_CLASS)).astype(int)
        images = [drawn(inventory, members[place]) for place in np.unique(places)]
        about = f"{len(images)} of {len(members):,} images"
        found.append(Row(printable(name, NAME), about, images, is_named=True))
    return found


def drawn(inventory: BoxInventory, index: int) -> Picture:
    """Return an image with its boxes; of a file that has gone since, an empty one."""
    entry, record = inventory.table.entries[index], inventory.records[index]
    name, size = printable(entry.image), (int(record["width"]), int(record["height"]))
    path = inventory.listing.root / entry.image
    try:
        image = decode(path, Decoding(inventory.max_megapixels), SIDE).image.convert("RGB")
    except UnreadableImage:
        return Picture(name, "data:,")
    scale = SIDE / max(size)
    small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    canvas = image.resize(small, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BILINEAR)
    boxes = inventory.boxes[index]
    labels = [None if row[BOX_IGNORED] else int(row[BOX_CLASS]) for row in boxes]
    file = io.BytesIO()
    over(canvas, scale * boxes[:, :BOX_CLASS], labels, LINE).save(file, "JPEG", quality=85)
    return Picture(name, f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}")
