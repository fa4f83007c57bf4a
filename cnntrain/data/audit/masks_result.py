"""What was found in a folder of annotated images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class MaskAudit:
    """What was found in a folder of annotated images. Names of files are relative to it.

    Args:
        format: in words, how the folder was read.
        images: the images in each part.
        counts: images of each part that show a class, by its name.
        pixels: share of the pixels of all masks that each class has; they sum to 1 without those ignored.
        ignored: share of the pixels that have no class.
        values: the commonest values of mask files and their shares, in words; empty if masks are drawn or
            coloured.
        sizes: the commonest ``WIDTHxHEIGHT`` and how many images have them.
        unusable: images that can't be used, for themselves or their masks, and why.
        wrong: annotations and values without a class, whose pixels are ignored.
        orphan_images: images without an annotation.
        orphan_masks: annotations without an image.
        empty_masks: masks that show the first class alone.
        ignored_masks: masks whose pixels are all ignored.
        absent: classes that no mask shows.
        lossy: masks that are JPEG files.
        turned: images that EXIF turns, and how their masks lie.
        copies, near_copies, leaks: see :class:`cnntrain.data.audit.result.Audit`.
        denied, loops, special: see :class:`cnntrain.data.audit.result.Audit`.
        left_out: share of the median image that ``data.resize=crop`` leaves out.
        facts: the values that ``auto`` stands for; empty if ``train`` would refuse the folder.
        split: how the images were split, in words.
        command: the command that trains on the folder; empty if ``train`` would refuse it.
        refusal: why it would.
    """

    format: dict[str, str]
    images: dict[str, int]
    counts: dict[str, dict[str, int]]
    pixels: dict[str, float]
    ignored: float
    values: str
    sizes: dict[str, int]
    unusable: list[str]
    wrong: list[str]
    orphan_images: list[str]
    orphan_masks: list[str]
    empty_masks: list[str]
    ignored_masks: list[str]
    absent: list[str]
    lossy: list[str]
    turned: list[str]
    copies: list[list[str]]
    near_copies: list[list[str]]
    leaks: list[list[str]]
    denied: list[str]
    loops: list[str]
    special: list[str]
    left_out: float
    split: str
    refusal: str
    command: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
