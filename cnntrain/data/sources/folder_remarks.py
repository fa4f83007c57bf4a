"""What a run says about a folder of images as it begins: files that are left out, leaks between its parts."""

from __future__ import annotations

from cnntrain.annotations.facts import AnnotatedInventory
from cnntrain.data.sources.folder import Folder
from cnntrain.image_folder.findings import heading, left_out
from cnntrain.runtime.console import Console, count
from cnntrain.text import argument, printable, shown_path, some

SKIPPED = 3  # files that can't be read and are named at once; the others with verbose=2
NAMES = {"train": "training", "val": "validation", "test": "test"}


def remarks(train: Folder, test: Folder, console: Console) -> list[str]:
    """Warn of what is left out and of what makes results wrong; return what to say about the images.

    Args:
        train: the part for training and validation.
        test: the test part.
        console: where it is said.
    """
    root = shown_path(train.root)
    for line in left_out(train.inventory.listing):
        console.warn(line)
    links = train.inventory.listing.found.links
    if links:
        console.line("{}: {}", heading("links", links), some(links))
    if isinstance(train.inventory, AnnotatedInventory):
        for name, fact in train.inventory.in_words().items():
            console.line("{}: {}", name, fact)
        for line in train.inventory.warnings(SKIPPED):
            console.warn(line)
        if train.boxes_lost:
            console.warn(
                f"{count(train.boxes_lost, 'object')} out of sight by data.resize={train.resize}: "
                "data.resize=pad keeps all of an image"
            )
    elif train.skipped:
        console.warn(
            f"skipped {count(len(train.skipped), 'file')} that can't be read: "
            f"{'; '.join(train.skipped[:SKIPPED])}{'; ...' if len(train.skipped) > SKIPPED else ''}"
        )
        for name in train.skipped[SKIPPED:]:
            console.line("  {}", name, level=2)
    for (part, other), files in train.copies.items():
        console.warn(
            f"leakage: {count(len(files), 'image')} of the {NAMES[part]} part also in the {NAMES[other]} "
            f"part, as exact or near copies ({printable(files[0])}): "
            f"{NAMES[other]} scores will be inflated; to list them all: "
            f"cnntrain data {argument(train.root)}"
        )
    split = train.run_split
    if train.found is not None and split.binds and train.found.in_words():
        console.warn(f"{root} since the run: {train.found.in_words()}; the run's own images are used")
    elif train.found is not None and test.held_back:
        console.warn(
            f"{count(test.held_back, 'image')} of the test part left out: the model was trained on them"
        )
    return [] if test.has_own_test else [f"{len(test):,} held out for testing, by a hash of each file"]
