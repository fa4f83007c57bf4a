"""``cnntrain data DIR``: what is in a folder of images, what is wrong with it, and how to train on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict

import numpy as np

from cnntrain.config.conf_files import default
from cnntrain.data.audit import recommended
from cnntrain.data.audit.findings_text import facts_of, show
from cnntrain.data.audit.page import page
from cnntrain.data.audit.result import Audit
from cnntrain.image_folder import duplicates
from cnntrain.image_folder.inventory import Inventory, inventory, why_not_trainable
from cnntrain.runs.named_output import json_of, message_console, write
from cnntrain.text import together

SIZES = 10  # of images that are shown
TINY = 4  # times smaller than the median's a shorter side counts as too small
FEW = 10  # test images of a class, below which one of them is more than 10 points of its recall
DEEP = ("I", "F")  # how Pillow's modes of more than 8 bits begin


def examine(root: str, found: Inventory) -> Audit:
    """Return the facts about a folder."""
    listing, records, good = found.listing, found.records, np.flatnonzero(found.readable)
    test_fraction = default("source.test_fraction", "data/folder")
    parts = found.parts(test_fraction)
    counts = {name: dict.fromkeys(("train", "val", "test"), 0) for name in listing.classes}
    for index in good:
        counts[listing.classes[listing.labels[index]]][parts[index]] += 1
    sizes = Counter(f"{r['width']}x{r['height']}" for r in records[good])
    facts = found.facts(test_fraction)
    sides = np.stack([records["width"][good], records["height"][good]])
    left_out = 1 - float(np.median(sides.min(0) / sides.max(0)))
    smallest, largest = extremes(counts)
    shorter = np.minimum(records["width"], records["height"])
    tiny = good[(shorter[good] * TINY < np.median(shorter[good])) | (shorter[good] <= 1)]
    return Audit(
        counts=counts,
        sizes=dict(sizes.most_common(SIZES)),
        modes=dict(Counter(records["mode"][good].tolist()).most_common()),
        unreadable=found.bad,
        denied=listing.found.denied,
        others=listing.others,
        loose=listing.loose,
        empty=listing.empty,
        unused=listing.unused,
        runs=listing.found.runs,
        loops=listing.found.loops,
        special=listing.found.special,
        links=listing.found.links,
        hidden=listing.hidden,
        tiny=[f"{listing.files[i]}: {records['width'][i]}x{records['height'][i]}" for i in tiny.tolist()],
        few_tested=[f"{name}: {of['test']}" for name, of in counts.items() if of["test"] < FEW],
        converted=[f"{listing.files[i]}: {what}" for i in good.tolist() if (what := conversion(records[i]))],
        **sorted_copies(found, good),
        left_out=round(left_out, 4),
        facts=facts,
        split=split_in_words(listing.parts, test_fraction),
        command=recommended.command(root, found, facts, parts, left_out, largest / max(1, smallest)),
        refusal=why_not_trainable(parts),
    )


def sorted_copies(found: Inventory, good: np.ndarray) -> dict[str, list[list[str]]]:
    """Return groups of images that show the same, by what is to be said about them.

    Args:
        found: the inventory.
        good: indices of the images that can be read.
    """
    listing = found.listing
    exact = members(duplicates.exact_groups(found.records["pixels"]), good)
    known = {tuple(group) for group in exact}
    like = [group for group in members(found.groups, good) if tuple(group) not in known]
    names = ("copies", "near_copies", "across_classes", "leaks")
    result: dict[str, list[list[str]]] = {name: [] for name in names}
    for number, group in enumerate([*exact, *like]):
        files = [listing.files[index] for index in group]
        labels, parts = ({of[index] for index in group} for of in (listing.labels, listing.parts))
        if len(labels) > 1:
            result["across_classes"].append(files)
        if len(parts) > 1:
            result["leaks"].append(files)
        if len(labels) == len(parts) == 1:
            result["copies" if number < len(exact) else "near_copies"].append(files)
    return result


def split_in_words(parts: list[str], test_fraction: float, of: str = " of each class") -> str:
    """Return how a folder is divided into parts.

    Args:
        parts: the parts that each image's folder says; empty strings if there are none.
        test_fraction: share held out for testing if there is no test part.
        of: what the shares are of.
    """
    held = {"test": test_fraction, "val": default("data.val_fraction")}
    own = [f"{part}/" for part in ("train", "val", "test") if part in parts]
    chosen = [f"{part} {share:.0%}" for part, share in held.items() if part not in parts]
    words = [f"{', '.join(own)} as they are"] if own else []
    if chosen:
        words.append(
            f"{together(chosen)}{of} held out by a hash of each file; duplicates are kept in the same split"
        )
    return "; ".join(words)


def conversion(record: np.void) -> str:
    """Return what is done to an image so that a network sees it as a person does; empty for nothing."""
    mode, done = str(record["mode"]), []
    if record["is_turned"]:
        done.append("EXIF orientation applied")
    if mode == "CMYK":
        done.append("CMYK, becomes RGB")
    if mode.startswith(DEEP):
        bits = "floats" if mode == "F" else f"{16 if mode.startswith('I;16') else 32} bits"
        done.append(f"{bits}, become 8{' bits' if mode == 'F' else ''}")
    if record["is_transparent"]:
        done.append("transparent, composited on white")
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
        json_file: the file for all results; ``-`` writes them to standard output, in place of the tables.
        html_file: the web page that shows images of each class.
        verbose: how much to print, as in :class:`Console`.

    Raises:
        UserError: it is not a folder of images, or a file can't be written.
    """
    console = message_console(json_file, html_file, verbose=verbose)
    found = inventory(root, default("data.max_megapixels"), console.verbose)
    result = examine(root, found)
    show(console, result)
    if json_file is not None:
        write(json_file, json_of(asdict(result)), console)
    if html_file is not None:
        write(html_file, page(root, found, asdict(result), facts_of(result)), console)
    return result
