"""A folder of images as a data set: ``data=folder data.root=DIR``."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnntrain.annotations.auto import annotation_options, inventory_of
from cnntrain.annotations.boxes.inventory import BoxInventory
from cnntrain.annotations.facts import AnnotatedInventory
from cnntrain.annotations.regions import IGNORED
from cnntrain.annotations.table import AUTO
from cnntrain.config.conf_files import default
from cnntrain.data.image_file import read_sized
from cnntrain.data.resize import sides
from cnntrain.data.sources.folder_boxes import boxes_of
from cnntrain.data.sources.folder_masks import FolderMasks
from cnntrain.data.sources.recorded import RecordedImages
from cnntrain.errors import UserError
from cnntrain.image_folder.duplicates import copies_across
from cnntrain.image_folder.inventory import why_not_trainable
from cnntrain.image_folder.listing import explain_lookalike
from cnntrain.image_folder.matching import check_there, match_members
from cnntrain.image_folder.members import DIGITS, UNUSED, Member, RunSplit
from cnntrain.image_folder.opening import Decoding, UnreadableImage
from cnntrain.text import printable, shown_path, some


class Folder(RecordedImages):
    """The images below ``root/CLASS/`` or ``root/{train,val,test}/CLASS/``, or images with masks or boxes.

    Nothing is copied or moved.

    Each image is scaled to a square as it is read, as ``cnntrain predict`` does it.

    Args:
        root: the folder.
        train: the training and the validation part, or else the test part.
        channels: 1 for grey, 3 for colour.
        image_size: side of the square that each image becomes, or height and width, in pixels.
        resize: how it becomes one of that size, see :func:`cnntrain.data.resize.to_size`.
        on_bad_image: ``stop`` at files that can't be read, or ``skip`` them.
        test_fraction: share of each class that is the test part, if the folder has none of its own; None:
            that of conf/data/folder.yaml.
        max_megapixels: millions of pixels that an image may have; None: as ``conf/train.yaml`` says.
        value_range: values that become black and white in images of more than 8 bits; None knows those of
            16-bit files alone.
        class_names: those of a checkpoint, in the order of its outputs; the folder may have fewer. None takes
            the folder's.
        format: how the folder is laid out, see :data:`cnntrain.annotations.table.FORMATS`; or ``auto``.
        ignore: the value of pixels in mask files that have no class.
        label_map: the class of each value in mask files, where all others are ignored.
        colors: the colour of each class of coloured masks.
        targets: ``classes``, ``masks`` or ``boxes``; ``auto``: what the folder has.
        on_bad_box: ``stop`` at boxes that make no sense, or ``skip`` them.
        run_split: the split of the run whose checkpoint it is, see
            :class:`cnntrain.image_folder.members.RunSplit`. None for a
            new run.

    Raises:
        UserError: an image can't be read, a class is not among ``class_names``, or an image that the run
            needs is not there.
    """

    def __init__(
        self,
        root: str,
        train: bool,
        channels: int,
        image_size: int | Sequence[int],
        resize: str = "crop",
        on_bad_image: str = "stop",
        test_fraction: float | None = None,
        class_names: list[str] | None = None,
        run_split: RunSplit | None = None,
        max_megapixels: float | None = None,
        value_range: list[float] | None = None,
        format: str = AUTO,
        ignore: int = IGNORED,
        label_map: Mapping[int, int] | None = None,
        colors: Mapping[str, Sequence[int]] | None = None,
        targets: str = AUTO,
        on_bad_box: str = "stop",
    ) -> None:
        if test_fraction is None:
            test_fraction = default("source.test_fraction", "data/folder")
        check_options(test_fraction, channels)
        split = run_split or RunSplit()
        if split.members and split.binds:  # a bad file that the run had is missed by check_there
            on_bad_image = on_bad_box = "skip"
        bound = default("data.max_megapixels") if max_megapixels is None else max_megapixels
        said = {"format": format, "ignore": ignore, "label_map": label_map, "colors": colors}
        asked = annotation_options({**said, "targets": targets, "on_bad_box": on_bad_box})
        inventory = inventory_of(root, asked, on_bad_image, bound)
        listing = inventory.listing
        parts = inventory.parts(test_fraction, split.is_by_index).astype("U6")  # in which `unused` fits
        self.inventory, self.run_split = inventory, split
        self.root, self.channels, self.resize = listing.root, channels, resize
        self.image_size = sides(image_size)
        self.decoding = Decoding(bound, value_range, lock())
        self.classes = list(class_names or listing.classes)
        self.held_back = 0  # images of the test or of the validation part that the run was trained on
        self.found = match_members(inventory, parts, split.members) if split.members else None
        parts, order = self.parts_in_run(parts, root, train)
        mine = order[np.isin(parts[order], ["test"] if not train else ["train", "val", UNUSED])]
        if not len(mine):
            why = why_not_trainable(parts) or "no image is left"
            raise UserError(f"data.root={printable(shown_path(root))}: {why}")
        self.files = [listing.files[index] for index in mine]
        self.masks: FolderMasks | None = None
        self.targets: list[int] | Tensor = []
        self.boxes_lost = 0  # that data.resize leaves out of sight
        self.read_targets(mine)
        self.parts = parts[mine]
        self.indices = mine
        self.digest = inventory.digest(mine)
        self.skipped = inventory.bad
        self.has_own_test = "test" in listing.parts
        self.copies = copies_across(listing.files, inventory.groups, parts)

    def parts_in_run(self, parts: np.ndarray, root: str, train: bool) -> tuple[np.ndarray, np.ndarray]:
        """Return what each image of the folder does in this run, and the order of the images.

        Args:
            parts: the part of each image by the rule of the split, (N,).
            root: the folder as typed.
            train: whether this is the training part, not the test part.
        """
        split = self.run_split
        if self.found is not None and split.binds:
            check_there(self.found, split, root)
            return self.found.parts()
        is_trained = np.isin(parts, split.guarded) & split.has_trained(self.inventory)
        self.held_back = int((is_trained & (parts == ("val" if train else "test"))).sum())
        parts[is_trained] = UNUSED
        return parts, np.arange(len(parts))

    def read_targets(self, mine: np.ndarray) -> None:
        """Set the boxes, the masks or the labels of the images whose indices are given, int64 (N,)."""
        listing, inventory = self.inventory.listing, self.inventory
        if isinstance(inventory, BoxInventory):
            labels = self.labels_of(listing.classes)
            self.targets, self.boxes_lost = boxes_of(inventory, mine, labels, self.image_size, self.resize)
        elif isinstance(inventory, AnnotatedInventory):
            self.masks = FolderMasks(inventory, mine, self.labels_of(listing.classes), self.decoding)
        else:
            self.targets = self.labels_of([listing.classes[listing.labels[index]] for index in mine])

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs to read images: not what is known about the whole folder."""
        return {
            name: value
            for name, value in vars(self).items()
            if name not in ("inventory", "run_split", "found")
        }

    @property
    def groups(self) -> np.ndarray:
        """The number of the group of like images of each, int64 (N,)."""
        own: np.ndarray = self.inventory.groups[self.indices]
        return own

    def labels_of(self, names: list[str]) -> list[int]:
        """Return the labels of images from the names of their classes.

        Raises:
            UserError: the model does not know a class.
        """
        index = {name: label for label, name in enumerate(self.classes)}
        unknown = sorted(set(names) - index.keys())
        if unknown:
            why = explain_lookalike(unknown[0], self.classes)
            shown = printable(shown_path(self.root))
            raise UserError(
                f"data.root={shown} has a class {unknown[0]}, which the model does not know: "
                f"it knows {some(self.classes)}{'; ' if why else ''}{why}"
            )
        return [index[name] for name in names]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int | Tensor]:
        """Return one image, uint8 (channels, height, width), and its label, its mask, or its boxes."""
        path = self.root / self.files[index]
        try:
            image = read_sized(path, self.channels, self.image_size, self.resize, self.decoding)
            if self.masks is None:
                return image, self.targets[index]
            path = self.masks.file(index)
            return image, self.masks.read(index, self.image_size, self.resize)
        except UnreadableImage as error:
            raise UserError(f"{path} can't be read any more: {error}") from error

    def split(self, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
        """Return the indices of the training and of the validation part, int64.

        A validation part of the folder's own, or that of the run, is taken as it is. Else a share of each
        class is held out by a hash of each image, with copies on one side.

        Args:
            val_fraction: share of each class.
            seed: another seed gives another choice.
        """
        chosen = self.parts == "val"
        if not chosen.any() and not (self.found is not None and self.run_split.binds):
            index_seed = seed if self.run_split.is_by_index else None
            chosen = self.inventory.held_out(self.indices, val_fraction, f"val {seed}", index_seed)
            if "val" in self.run_split.guarded:
                is_trained = self.run_split.has_trained(self.inventory)[self.indices]
                self.held_back += int((chosen & is_trained).sum())
                chosen &= ~is_trained
        trains = ~chosen & (self.parts != UNUSED)
        return torch.from_numpy(np.flatnonzero(trains)), torch.from_numpy(np.flatnonzero(chosen))

    def members(self, parts: Mapping[int, str]) -> list[Member]:
        """Return the record of the images, in their order.

        Args:
            parts: the parts of each image, by its index here; those that it lacks are unused.
        """
        contents = self.inventory.records["content"][self.indices].tolist()
        classes = map(self.inventory.class_of, self.indices.tolist())
        return [
            Member(parts.get(place, UNUSED), name, content[:DIGITS].decode(), file)
            for place, (name, content, file) in enumerate(zip(classes, contents, self.files, strict=True))
        ]


def check_options(test_fraction: float, channels: int) -> None:
    """Check that a share is between 0 and 1, and that images are grey or coloured.

    Raises:
        UserError: one of them is not.
    """
    if not 0 < test_fraction < 1:
        raise UserError(
            f"data.source.test_fraction={test_fraction} is not possible: it takes a number above 0 and "
            "below 1"
        )
    if channels not in (1, 3):
        raise UserError(f"data.channels={channels} is not possible: it takes 1 (grey) or 3 (colour)")


def lock() -> Any:
    """Return a lock that the processes which load images share; of this one alone where there is no such."""
    with contextlib.suppress(OSError, ImportError):
        return multiprocessing.Lock()
    return threading.Lock()
