"""A folder of images as a data set: ``data=folder data.root=DIR``."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cnntrain.data.census import usable
from cnntrain.data.decode import Unreadable
from cnntrain.data.duplicates import held_out
from cnntrain.data.read import read_square
from cnntrain.errors import UserError


class Folder(Dataset[tuple[Tensor, int]]):
    """The images below ``root/CLASS/`` or ``root/{train,val,test}/CLASS/``. Nothing is copied or moved.

    Each image is scaled to a square as it is read, as ``cnntrain predict`` does it.

    Args:
        root: the folder.
        train: the training and the validation part, or else the test part.
        channels: 1 for grey, 3 for colour.
        image_size: height and width, in pixels.
        resize: how it becomes a square, see :func:`cnntrain.data.resize.to_square`.
        on_bad_image: ``stop`` at files that can't be read, or ``skip`` them.
        test_fraction: share of each class that is the test part, if the folder has none of its own.
        class_names: those of a checkpoint, in the order of its outputs; the folder may have fewer. None takes
            the folder's.

    Raises:
        UserError: an image can't be read, or a class is not among ``class_names``.
    """

    def __init__(
        self,
        root: str,
        train: bool,
        channels: int,
        image_size: int,
        resize: str = "crop",
        on_bad_image: str = "stop",
        test_fraction: float = 0.15,
        class_names: list[str] | None = None,
    ) -> None:
        if not 0 < test_fraction < 1:
            raise UserError(
                f"data.source.test_fraction={test_fraction} is not possible: it takes a number above 0 and "
                "below 1"
            )
        if channels not in (1, 3):
            raise UserError(f"data.channels={channels} is not possible: it takes 1 (grey) or 3 (colour)")
        census = usable(root, on_bad_image)
        tree, parts = census.tree, census.parts(test_fraction)
        self.root, self.channels, self.image_size, self.resize = tree.root, channels, image_size, resize
        self.classes = list(class_names or tree.classes)
        unknown = sorted(set(tree.classes) - set(self.classes))
        if unknown:
            raise UserError(
                f"data.root={root} has a class {unknown[0]}, which the model does not know: "
                f"it knows {', '.join(self.classes[:8])}{', ...' if len(self.classes) > 8 else ''}"
            )
        mine = np.flatnonzero((parts == "train") | (parts == "val") if train else parts == "test")
        if not len(mine):
            raise UserError(
                f"data.root={root} leaves no image to {'train on' if train else 'test with'}: "
                "each class needs at least two, or a folder test/ of its own"
            )
        self.files = [tree.files[index] for index in mine]
        self.targets = [self.classes.index(tree.classes[tree.labels[index]]) for index in mine]
        self.groups = census.groups[mine]
        self.is_val = parts[mine] == "val"
        self.digest = census.digest
        self.skipped = census.bad
        self.remark = "" if "test" in tree.parts else f"{len(mine):,} held out for testing, by index"
        if train:
            self.remark = ""
        # An image that is in both parts makes the test result too good; what is held out here never is.
        tested = set(census.groups[parts == "test"].tolist())
        self.leaked = [tree.files[i] for i in np.flatnonzero(parts == "train") if census.groups[i] in tested]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """Return one image, uint8 (channels, image_size, image_size), and its label."""
        path = self.root / self.files[index]
        try:
            image = read_square(path, self.channels, self.image_size, self.resize)
        except Unreadable as error:
            raise UserError(f"{path} can't be read any more: {error}") from error
        return image, self.targets[index]

    def split(self, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
        """Return the indices of the training and of the validation part, int64.

        A validation part of the folder's own is taken as it is. Else a share of each class is held out, with
        like images on one side.
        """
        chosen = self.is_val
        if not chosen.any():
            chosen = held_out(np.array(self.targets), self.groups, val_fraction, seed)
        return torch.from_numpy(np.flatnonzero(~chosen)), torch.from_numpy(np.flatnonzero(chosen))
