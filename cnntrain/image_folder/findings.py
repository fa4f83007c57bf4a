"""The kinds of findings in a folder of images, in words: for the audit, and for what ``train`` leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from cnntrain.image_folder.layout import PARTS
from cnntrain.image_folder.listing import Listing
from cnntrain.runtime.console import count
from cnntrain.text import printable, some

KINDS = 8  # extensions and conversions that are named
# Every kind of finding: the field of Audit, what one is called, and what is wrong; the gravest first.
FINDINGS = {
    "unreadable": ("file", "that can't be read"),
    "unusable": ("image", "left out, since the image or its mask can't be used"),
    "unusable_images": ("image", "left out, since it or its annotation can't be used"),
    "wrong": ("wrong annotation", "whose pixels are ignored"),
    "malformed_boxes": ("annotation", "without a box that can be read"),
    "unknown_classes": ("annotation", "of a class without a name"),
    "inverted_boxes": ("box", "whose right or lower edge comes before the other one"),
    "zero_boxes": ("box", "without width or height"),
    "outside_boxes": ("box", "outside the image"),
    "cut_boxes": ("box", "partly outside the image, by more than a pixel; clipped with data.on_bad_box=skip"),
    "orders": ("file", "that names the classes in another order"),
    "denied": ("folder", "that may not be read"),
    "leaks": ("image", "in several parts (leakage: test scores will be inflated)"),
    "across_classes": ("image", "in several classes"),
    "empty": ("folder", "without readable images, so no class"),
    "unused": ("folder", "beside train/ not used: known names are " + ", ".join(PARTS)),
    "orphan_images": ("image", "without a mask or an annotation, so not used"),
    "orphan_masks": ("annotation", "without an image, so not used"),
    "loose": ("image", "in no class folder, so not used"),
    "others": ("file", "skipped: not an image extension"),
    "special": ("file", "left out: not a regular file, but a pipe, a socket or a device"),
    "loops": ("folder", "left out: a link to a folder that is searched already"),
    "runs": ("folder", "written by cnntrain, so no class and no images to train on"),
    "tiny": ("image", "far smaller than the others"),
    "few_tested": ("class", "with few test images: scores are coarse"),
    "double_boxes": ("box", "that is listed twice; one of them is used"),
    "small_objects": ("class", "with boxes below 8 pixels at the training size, which are hard to find"),
    "absent_boxes": ("class", "without a box"),
    "backgrounds": ("image", "without a box, trained on as background"),
    "empty_masks": ("mask", "that shows nothing but the first class"),
    "ignored_masks": ("mask", "whose pixels are all ignored"),
    "absent": ("class", "in no mask"),
    "lossy": ("mask", "stored as JPEG, which invents values: save it as PNG"),
    "turned": ("image", "turned by EXIF"),
    "copies": ("image", "stored more than once"),
    "near_copies": ("image", "with near-duplicates (other size, brightness or compression)"),
    "links": ("linked folder", "looked into"),
    "hidden": ("folder", "hidden by its name, so no class"),
    "converted": ("image", "converted"),
}
LEFT_OUT = (  # train reports them, too
    *("denied", "orphan_images", "orphan_masks", "empty", "unused", "loose"),
    *("others", "special", "loops", "runs"),
)
SUMMED = ("others", "converted")  # kinds whose findings are summed up by what they have in common


def left_out(listing: Listing) -> list[str]:
    """Return what of a folder is not trained on and might have been meant to be, a sentence for each kind."""
    found = {**vars(listing.found), **vars(listing)}
    present = [(kind, found[kind]) for kind in LEFT_OUT if found.get(kind)]
    return [heading(kind, names) + ("" if kind in SUMMED else f": {some(names)}") for kind, names in present]


def heading(kind: str, items: Sequence[Any]) -> str:
    """Return how many findings of a kind there are, and what is wrong with them."""
    noun, what = FINDINGS[kind]
    return f"{count(len(items), noun)} {what}{f': {kinds_of(kind, items)}' if kind in SUMMED else ''}"


def kinds_of(kind: str, items: Sequence[str]) -> str:
    """Return how many findings there are of each kind: ``.txt (3), .heic (1)``."""
    if kind == "others":
        kinds = Counter(extension(item) for item in items)
    else:
        kinds = Counter(what for item in items for what in item.rpartition(": ")[2].split("; "))
    return ", ".join(f"{name} ({number:,})" for name, number in kinds.most_common(KINDS))


def extension(name: str) -> str:
    """Return the extension of a file, ``.heic``, printable; or another name for its kind."""
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return printable(f".{suffix.lower()}", 20) if dot and stem else "without extension"
