"""What was found in a folder of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Audit:
    """What was found in a folder of images. Names of files are relative to it.

    Args:
        counts: images of each class in each part.
        sizes: the commonest ``WIDTHxHEIGHT`` and how many have them.
        modes: Pillow's modes, such as RGB or CMYK, and how many have them.
        unreadable: files that can't be read, and why.
        denied: folders that may not be read.
        others: files in class folders that are not images by their extension.
        loose: images that lie in no class folder.
        empty: folders without images, which are not classes.
        unused: folders beside ``train/`` that are not a part.
        runs: folders that cnntrain has written.
        loops: links to folders that are looked into already.
        special: pipes, sockets and devices.
        links: linked folders that are looked into.
        hidden: folders that are not looked into, by their names.
        tiny: images far smaller than the others, with their sizes.
        few_tested: classes with few test images, and how many.
        converted: images that are not seen as they are in the file, and what is done to them.
        copies: images that show the same, pixel for pixel, within a class and a part.
        near_copies: images that look the same, except for size, brightness or compression.
        across_classes: copies, exact or near, that lie in several classes.
        leaks: copies, exact or near, that lie in several parts.
        left_out: share of the median image that ``data.resize=crop`` leaves out.
        facts: the values that ``auto`` stands for.
        split: how the images were split, in words.
        command: the command that trains on the folder; empty if ``train`` would refuse it.
        refusal: why it would.
    """

    counts: dict[str, dict[str, int]]
    sizes: dict[str, int]
    modes: dict[str, int]
    unreadable: list[str]
    denied: list[str]
    others: list[str]
    loose: list[str]
    empty: list[str]
    unused: list[str]
    runs: list[str]
    loops: list[str]
    special: list[str]
    links: list[str]
    hidden: list[str]
    tiny: list[str]
    few_tested: list[str]
    converted: list[str]
    copies: list[list[str]]
    near_copies: list[list[str]]
    across_classes: list[list[str]]
    leaks: list[list[str]]
    left_out: float
    facts: dict[str, Any]
    split: str
    command: str
    refusal: str
