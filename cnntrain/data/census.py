"""All that is known of a folder of images before it is trained on: found without torch, and once."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.console import Console
from cnntrain.data import duplicates
from cnntrain.data.scan import scan
from cnntrain.data.tree import Tree, look
from cnntrain.errors import UserError

LARGEST = 224  # side, in pixels, that image_size=auto takes at most
LUMA = np.array([0.299, 0.587, 0.114])  # of ITU-R 601
TEST_SEED = 0  # so that the test images are the same whatever the seed of a run is


@dataclass
class Census:
    """The images of a folder, what each is, and which of them show the same.

    Args:
        tree: where each image is, and its class.
        records: what each is, of dtype ``scan.RECORD``.
        groups: number of the group of like images, int64 (N,).
    """

    tree: Tree
    records: np.ndarray
    groups: np.ndarray

    @property
    def readable(self) -> np.ndarray:
        """Which images can be read, bool (N,)."""
        return self.records["error"] == ""

    @property
    def bad(self) -> list[str]:
        """Each file that can't be read, and why."""
        return [f"{self.tree.files[i]}: {self.records['error'][i]}" for i in np.flatnonzero(~self.readable)]

    @property
    def digest(self) -> str:
        """A hash of the names of all images that can be read, and of what tells that one has changed."""
        facts = ("pixels", "length", "changed")
        told = [
            (self.tree.files[i], *(self.records[fact][i].item() for fact in facts))
            for i in np.flatnonzero(self.readable)
        ]
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def parts(self, test_fraction: float) -> np.ndarray:
        """Return the part of each image that can be read, ``train``, ``val`` or ``test``; else empty. (N,).

        Args:
            test_fraction: share of the training images held out for testing, where there is no test part.
        """
        parts = np.array([part or "train" for part in self.tree.parts], dtype="U5")
        parts[~self.readable] = ""
        if "test" not in parts:
            mine = np.flatnonzero(parts == "train")
            labels = np.array(self.tree.labels)[mine]
            test = duplicates.held_out(labels, self.groups[mine], test_fraction, TEST_SEED)
            parts[mine[test]] = "test"
        return parts

    def facts(self, test_fraction: float, channels: int | str = "auto") -> dict[str, Any]:
        """Return what ``auto`` stands for: classes, channels, size, and mean and deviation of the train part.

        Args:
            test_fraction: share held out for testing, where there is no test part.
            channels: to which the images are converted; ``auto``: 1 if all are grey, else 3.
        """
        seen = self.records[self.readable]
        if channels == "auto":
            channels = 1 if seen["is_grey"].all() else 3
        train = self.records[self.parts(test_fraction) == "train"]
        mean, square = train["mean"].mean(0), train["square"].mean(0)
        std = np.sqrt(np.maximum(square - mean**2, 1e-6))
        if channels == 1:  # luma of the means; of the deviations it is near enough
            mean, std = LUMA @ mean[:, None], LUMA @ std[:, None]
        return {
            "num_classes": len(self.tree.classes),
            "channels": channels,
            "image_size": int(min(LARGEST, np.median(np.minimum(seen["width"], seen["height"])))),
            "mean": [round(float(value), 4) for value in mean],
            "std": [round(float(value), 4) for value in std],
        }


@functools.lru_cache(maxsize=4)
def census(root: str, verbose: int = 1) -> Census:
    """Look at every image of a folder, with a progress bar, or at what the cache knows of it.

    Raises:
        UserError: it is no folder of images, or none of a class can be read.
    """
    tree = look(root)
    with Console(verbose).bar(len(tree.files), 0, f"looking at {Path(root).name}", unit="image") as bar:
        records = scan(tree.root, tree.files, bar.update)
    found = Census(tree, records, duplicates.alike(records["pixels"], records["look"]))
    for label, name in enumerate(tree.classes):
        if not found.readable[np.array(tree.labels) == label].any():
            raise UserError(f"data.root={root}: no image of class {name} can be read: {found.bad[0]}")
    return found


def usable(root: str, on_bad_image: str, verbose: int = 1) -> Census:
    """Return the census of a folder that is to be trained on.

    Raises:
        UserError: an image can't be read, and ``on_bad_image`` is ``stop``.
    """
    found = census(root, verbose)
    if found.bad and on_bad_image == "stop":
        more = f", and {len(found.bad) - 1} more" if len(found.bad) > 1 else ""
        raise UserError(
            f"{found.tree.root / found.bad[0]}{more}\n"
            f"data.on_bad_image=skip leaves such files out; cnntrain data {root} names them all"
        )
    return found
