"""``cnntrain data DIR``: what is in a folder of images, what is wrong with it, and how to train on it."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from cnntrain.config import conf_folder, read_yaml
from cnntrain.console import Console, count
from cnntrain.contact_sheet import page
from cnntrain.data import duplicates
from cnntrain.data.census import LARGEST, Census, census
from cnntrain.output import json_of, screen_beside, write

SHOWN = 10  # of each kind of finding on the screen; all are in the JSON file
UNEVEN = 3  # times as many images as the smallest class has, from which on classes count as uneven
ELONGATED = 0.4  # share of the median image that data.resize=crop leaves out, from which on it is too much
WHOLE = 8 * LARGEST // 7  # side, in pixels, of images from which parts are drawn: 256 for 224
LARGE = 64  # side, in pixels, from which on a ResNet is worth its time
DEEP = ("I", "F")  # how Pillow's modes of more than 8 bits begin


@dataclass
class Audit:
    """What was found in a folder of images. Names of files are relative to it.

    Args:
        counts: images of each class in each part.
        sizes: the commonest ``WIDTHxHEIGHT`` and how many have them.
        modes: Pillow's modes, such as RGB or CMYK, and how many have them.
        unreadable: files that can't be read, and why.
        others: files that are no images by their names.
        empty: folders without images, which are no classes.
        hidden: folders that are not looked into, by their names.
        converted: images that are not seen as they are in the file, and what is done to them.
        copies: images that show the same, pixel for pixel, within a class and a part.
        near_copies: images that look the same, but for size, brightness or compression.
        across_classes: copies, exact or near, that lie in several classes.
        leaks: copies, exact or near, that lie in several parts.
        left_out: share of the median image that ``data.resize=crop`` leaves out.
        facts: what ``auto`` stands for.
        command: that trains on the folder.
    """

    counts: dict[str, dict[str, int]]
    sizes: dict[str, int]
    modes: dict[str, int]
    unreadable: list[str]
    others: list[str]
    empty: list[str]
    hidden: list[str]
    converted: list[str]
    copies: list[list[str]]
    near_copies: list[list[str]]
    across_classes: list[list[str]]
    leaks: list[list[str]]
    left_out: float
    facts: dict[str, Any]
    command: str


def examine(root: str, found: Census) -> Audit:
    """Return what there is to say of a folder."""
    tree, records, good = found.tree, found.records, np.flatnonzero(found.readable)
    test_fraction = read_yaml(conf_folder() / "data" / "folder.yaml")["source"]["test_fraction"]
    parts = tree.parts if any(tree.parts) else found.parts(test_fraction).tolist()
    counts = {name: dict.fromkeys(("train", "val", "test"), 0) for name in tree.classes}
    for index in good:
        counts[tree.classes[tree.labels[index]]][parts[index]] += 1
    exact = members(duplicates.exact(records["pixels"]), good)
    like = members(found.groups, good)
    sorted_out: dict[str, list[list[str]]] = defaultdict(list)
    for group in [*exact, *(group for group in like if group not in exact)]:
        names = [tree.files[index] for index in group]
        if len({tree.labels[index] for index in group}) > 1:
            sorted_out["across_classes"].append(names)
        elif len({tree.parts[index] for index in group}) == 1:
            sorted_out["copies" if group in exact else "near_copies"].append(names)
        if len({tree.parts[index] for index in group}) > 1:
            sorted_out["leaks"].append(names)
    sizes = Counter(f"{r['width']}x{r['height']}" for r in records[good])
    facts = found.facts(test_fraction)
    sides = np.stack([records["width"][good], records["height"][good]])
    left_out = 1 - float(np.median(sides.min(0) / sides.max(0)))
    words = ["cnntrain", "train", "data=folder", f"data.root={root}"]
    smallest, largest = extremes(counts)
    if found.bad:
        words.append("data.on_bad_image=skip")
    if left_out > ELONGATED:
        words.append("data.resize=pad")
    if largest > UNEVEN * smallest:
        words.append("balance_classes=true")
    if facts["image_size"] >= LARGE:
        words.append("model=torchvision")
    if facts["channels"] == 3 and np.median(sides.min(0)) >= WHOLE:
        words += ["augment=imagenet", f"data.resize_size={WHOLE}"]
    elif facts["channels"] == 3:
        words.append("augment=photos")
    return Audit(
        counts=counts,
        sizes=dict(sizes.most_common(SHOWN)),
        modes=dict(Counter(records["mode"][good].tolist()).most_common()),
        unreadable=found.bad,
        others=tree.others,
        empty=tree.empty,
        hidden=tree.hidden,
        converted=[f"{tree.files[i]}: {what}" for i in good.tolist() if (what := conversion(records[i]))],
        copies=sorted_out["copies"],
        near_copies=sorted_out["near_copies"],
        across_classes=sorted_out["across_classes"],
        leaks=sorted_out["leaks"],
        left_out=round(left_out, 4),
        facts=facts,
        command=shlex.join(words),
    )


def conversion(record: np.void) -> str:
    """Return what is done to an image so that a network sees it as a person does; empty for nothing."""
    mode, done = str(record["mode"]), []
    if record["is_turned"]:
        done.append("turned upright, as EXIF says")
    if mode == "CMYK":
        done.append("CMYK, becomes RGB")
    if mode.startswith(DEEP):
        bits = "floats" if mode == "F" else f"{16 if mode.startswith('I;16') else 32} bits"
        done.append(f"{bits}, become 8{' bits' if mode == 'F' else ''}")
    if "A" in mode or "a" in mode:
        done.append("transparent, laid on white")
    return "; ".join(done)


def members(groups: np.ndarray, good: np.ndarray) -> list[list[int]]:
    """Return the indices of the readable images of each group with more than one."""
    found: dict[int, list[int]] = defaultdict(list)
    for index in good.tolist():
        found[int(groups[index])].append(index)
    return [group for group in found.values() if len(group) > 1]


def extremes(counts: dict[str, dict[str, int]]) -> tuple[int, int]:
    """Return how many images the smallest and the largest class have."""
    totals = [sum(of_class.values()) for of_class in counts.values()]
    return min(totals), max(totals)


def audit(root: str, json_file: str | None, html_file: str | None, verbose: int = 1) -> Audit:
    """Look at a folder of images, print what was found, and write it to files if they are named.

    Args:
        root: the folder.
        json_file: for all that was found; ``-`` writes it to standard output, in place of the tables.
        html_file: for images of each class.
        verbose: as of :class:`Console`.

    Raises:
        UserError: it is no folder of images, or a file can't be written.
    """
    console = screen_beside(json_file, html_file, verbose=verbose)
    found = census(root, console.verbose)
    result = examine(root, found)
    show(console, root, result)
    if json_file is not None:
        write(json_file, json_of(asdict(result)), console)
    if html_file is not None:
        write(html_file, page(root, found, asdict(result), facts_of(result)), console)
    return result


def show(console: Console, root: str, result: Audit) -> None:
    """Print what was found."""
    parts = [part for part in ("train", "val", "test") if any(of[part] for of in result.counts.values())]
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("class")
    for part in parts:
        table.add_column(part, justify="right")
    for name, of_class in result.counts.items():
        table.add_row(escape(name), *(f"{of_class[part]:,}" for part in parts))
    totals = (f"{sum(of[part] for of in result.counts.values()):,}" for part in parts)
    table.add_row("[bold]all[/]", *totals)
    console.table(table)
    console.line()
    console.facts(facts_of(result))
    listed(console, "file", "that can't be read", result.unreadable)
    listed(console, "file", "that is no image by its name", result.others)
    listed(console, "folder", "without images, so no class", result.empty)
    listed(console, "folder", "hidden by its name, so no class", result.hidden)
    listed(console, "image", "converted", result.converted)
    listed(console, "image", "in several parts: the test result would be too good", result.leaks)
    listed(console, "image", "in several classes", result.across_classes)
    listed(console, "image", "there more than once", result.copies)
    listed(console, "image", "there more than once, but for size or compression", result.near_copies)
    console.line(f"\nto train: [bold]{escape(result.command)}[/]")


def facts_of(result: Audit) -> dict[str, str]:
    """Return, in words, what there is to say of all images together."""
    smallest, largest = extremes(result.counts)
    facts = result.facts
    held = ""
    if not any(of_class["val"] for of_class in result.counts.values()):
        held = "; validation is taken from train, by index"
    values = {}
    if facts["value_range"] is not None:
        black, white = facts["value_range"]
        values["values"] = (
            f"of more than 8 bits: {black:g} is black, {white:g} is white; "
            f"data.value_range=[{black:g},{white:g}]"
        )
    return {
        "sizes": ", ".join(f"{size} ({number:,})" for size, number in result.sizes.items()),
        "modes": ", ".join(f"{mode} ({number:,})" for mode, number in result.modes.items()),
        **values,
        "balance": f"the largest class has {largest / smallest:.1f} times the images of the smallest",
        "mean, std": f"{facts['mean']}, {facts['std']} of pixels from 0 to 1",
        "auto": f"data.channels={facts['channels']} data.image_size={facts['image_size']}",
        "resize": f"data.resize=crop leaves {result.left_out:.0%} of the median image out",
        "parts": f"like images stay on one side{held}",
    }


def listed(console: Console, noun: str, what: str, items: list[str] | list[list[str]]) -> None:
    """Print findings of one kind, the first few by name."""
    if not items:
        return
    console.line(f"\n[bold yellow]{count(len(items), noun)}[/] {what}")
    for item in items[:SHOWN]:
        console.line(f"  {escape(item if isinstance(item, str) else '  =  '.join(item))}")
    if len(items) > SHOWN:
        console.line(f"  and {len(items) - SHOWN:,} more: --json FILE names them all")
