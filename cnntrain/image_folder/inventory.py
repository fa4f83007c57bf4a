"""All that is known about a folder of images before it is trained on: found without torch, and once."""

from __future__ import annotations

import functools
import hashlib
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnntrain.errors import UserError
from cnntrain.image_folder import duplicates
from cnntrain.image_folder.depth import LUMA, infer_value_range, scaled_statistics
from cnntrain.image_folder.listing import Listing, list_folder
from cnntrain.image_folder.scan import scan
from cnntrain.image_folder.walk import absolute
from cnntrain.runtime.console import Console, count
from cnntrain.text import printable, some

LARGEST = 224  # side, in pixels, that image_size=auto takes at most
TEST_SALT = "test"  # so that the test images are the same whatever the seed of a run is
TEST_SEED = 0  # of the choice by index, for runs that have no record of their split
SMALL, STEP = 64, 32  # image_size=auto is a multiple of STEP above SMALL, as networks halve it five times


@dataclass
class Inventory:
    """The images of a folder, what each is, and which of them show the same.

    Args:
        listing: where each image is, and its class.
        records: what each is, of dtype ``scan.RECORD``.
        groups: number of the group of like images, int64 (N,).
        max_megapixels: millions of pixels that an image may have.
        known_parts: what :meth:`parts` has returned, by its arguments.
    """

    listing: Listing
    records: np.ndarray
    groups: np.ndarray
    max_megapixels: float
    known_parts: dict[tuple[float, bool], np.ndarray] = field(default_factory=dict, repr=False)

    @property
    def targets(self) -> str:
        """What is known of each image, as ``data.targets`` says it."""
        return "classes"

    @property
    def resize(self) -> str:
        """How images are adapted to the network's proportions, as ``data.resize`` says it."""
        return "crop"

    @property
    def readable(self) -> np.ndarray:
        """Which images can be read, bool (N,)."""
        readable: np.ndarray = self.records["error"] == ""
        return readable

    @property
    def bad(self) -> list[str]:
        """Each file that can't be read, and why."""
        return self.bad_files(np.arange(len(self.records)))

    def bad_files(self, indices: np.ndarray) -> list[str]:
        """Return each file among some that can't be read, printable, and why."""
        wrong = indices[~self.readable[indices]]
        return [
            f"{printable(self.listing.files[i], 1000)}: {printable(self.records['error'][i])}" for i in wrong
        ]

    def class_of(self, index: int) -> str:
        """Return the name of the class of an image."""
        return self.listing.classes[self.listing.labels[index]]

    def digest(self, indices: np.ndarray) -> str:
        """Return a hash of the names and the contents of some images, in their order."""
        hasher = hashlib.sha256()
        for index in indices.tolist():
            hasher.update(os.fsencode(self.listing.files[index]) + b"\0" + self.records["content"][index])
        return hasher.hexdigest()

    def parts(self, test_fraction: float, by_index: bool = False) -> np.ndarray:
        """Return the part of each image that can be read, ``train``, ``val`` or ``test``; else empty. (N,).

        Args:
            test_fraction: share of the training images held out for testing, where there is no test part.
            by_index: choose them as runs did that have no record of their split.
        """
        asked = (test_fraction, by_index)
        if asked in self.known_parts:
            return self.known_parts[asked].copy()
        parts = np.array([part or "train" for part in self.listing.parts], dtype="U5")
        parts[~self.readable] = ""
        if "test" not in parts:
            mine = np.flatnonzero(parts == "train")
            parts[mine[self.held_out(mine, test_fraction, TEST_SALT, TEST_SEED if by_index else None)]] = (
                "test"
            )
        self.known_parts[asked] = parts
        return parts.copy()

    def held_out(
        self, mine: np.ndarray, fraction: float, salt: str, index_seed: int | None = None
    ) -> np.ndarray:
        """Return which of some images are held out, bool (M,).

        Args:
            mine: indices of the images, int64 (M,).
            fraction: share of each class.
            salt: see :func:`duplicates.held_out`.
            index_seed: the seed of a choice by index, for a run that has no record of its split; else None.
        """
        labels, groups = np.array(self.listing.labels)[mine], self.groups[mine]
        if index_seed is not None:
            return duplicates.held_out_by_index(labels, groups, fraction, index_seed)
        return duplicates.choose_held_out(labels, groups, self.records["content"][mine], fraction, salt)

    def facts(
        self,
        test_fraction: float,
        channels: int | str = "auto",
        value_range: Sequence[float] | str | None = "auto",
    ) -> dict[str, Any]:
        """Return what ``auto`` stands for: classes, channels, size, and mean and deviation of the train part.

        Args:
            test_fraction: share held out for testing, where there is no test part.
            channels: what the images are converted to; ``auto``: 1 if all are grey, else 3.
            value_range: values that are black and white in images of more than 8 bits; ``auto``: found in the
                training images.

        Raises:
            UserError: images of more than 8 bits have no scale in common.
        """
        seen = self.records[self.readable]
        if channels == "auto":
            channels = 1 if seen["is_grey"].all() else 3
        train = self.records[self.parts(test_fraction) == "train"]
        if value_range == "auto":
            value_range = infer_value_range(train, seen)
        mean, square = scaled_statistics(train, value_range)
        std = np.sqrt(np.maximum(square - mean**2, 1e-6))
        if channels == 1:  # luma of the means; of the deviations it is near enough
            mean, std = LUMA @ mean[:, None], LUMA @ std[:, None]
        return {
            "targets": self.targets,
            "resize": self.resize,
            "num_classes": len(self.listing.classes),
            "channels": channels,
            "value_range": value_range,
            "image_size": suggest_image_size(float(np.median(np.minimum(seen["width"], seen["height"])))),
            "mean": [round(float(value), 4) for value in mean],
            "std": [round(float(value), 4) for value in std],
        }


def why_not_trainable(parts: np.ndarray) -> str:
    """Return why a folder can't be trained on, from the parts of its images; empty if it can."""
    if not (parts == "test").any():
        return (
            "no image is left to test with: classes need at least two images that differ, or a folder test/"
        )
    return "" if (parts == "train").any() else "no image is left to train on"


def suggest_image_size(side: float) -> int:
    """Return the size of a network's images for files of a shorter side, in pixels."""
    if side <= SMALL:
        return int(side)
    return int(min(LARGEST, max(SMALL, STEP * round(side / STEP))))


@dataclass(frozen=True)
class Request:
    """A folder to look through: the same whatever way it was typed."""

    path: str
    max_megapixels: float
    typed: str = field(compare=False)
    verbose: int = field(compare=False)


def inventory(root: str, max_megapixels: float, verbose: int = 1) -> Inventory:
    """Look at every image of a folder, with a progress bar, or at what the cache knows of it.

    A process does so once for a folder.

    Raises:
        UserError: it is not a folder of images, or none of a class can be read.
    """
    return build_inventory(Request(str(absolute(root)), max_megapixels, str(root), verbose))


@functools.lru_cache(maxsize=4)
def build_inventory(request: Request) -> Inventory:
    """Return the inventory of a folder, see :func:`inventory`."""
    listing, shown = list_folder(request.typed), printable(request.typed)
    name = printable(Path(request.path).name)
    with Console(request.verbose).bar(len(listing.files), 0, f"looking at {name}", unit="image") as bar:
        records = scan(listing.root, listing.files, bar.update, request.max_megapixels)
    found = Inventory(
        listing,
        records,
        duplicates.near_duplicate_groups(records["pixels"], records["look"]),
        request.max_megapixels,
    )
    labels = np.array(listing.labels)
    for label, class_name in enumerate(listing.classes):
        if not found.readable[labels == label].any():
            why = found.bad_files(np.flatnonzero(labels == label))[0]
            raise UserError(f"data.root={shown}: no image of class {class_name} can be read: {why}")
    return found


inventory.cache_clear = build_inventory.cache_clear  # type: ignore[attr-defined]  # for tests, which change folders


def usable_inventory(root: str, on_bad_image: str, max_megapixels: float, verbose: int = 1) -> Inventory:
    """Return the inventory of a folder that is to be trained on.

    Raises:
        UserError: an image or a folder can't be read, and ``on_bad_image`` is ``stop``.
    """
    found = inventory(root, max_megapixels, verbose)
    denied = found.listing.found.denied
    if (not found.bad and not denied) or on_bad_image == "skip":
        return found
    lines = [f"{count(len(denied), 'folder')} that may not be read: {some(denied)}"] if denied else []
    if found.bad:
        first = f"{printable(root)}/{found.bad[0]}"
        of = f"{len(found.bad):,} of {count(len(found.listing.files), 'image')} can't be read, the first is "
        lines.append(f"{of if len(found.bad) > 1 else ''}{first}")
    raise UserError(
        f"{'; '.join(lines)}\ndata.on_bad_image=skip leaves them out; to list them all: "
        f"{printable(shlex.join(['cnntrain', 'data', root]), 1000)}"
    )
