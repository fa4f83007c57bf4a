"""From ``data=...`` to the images that train, validate and test: in memory or, if too large, streamed."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnntrain.config.sections import DataSettings
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.reader import SHARE, Reader
from cnntrain.data.sources.builtin import DataMissing
from cnntrain.data.sources.recorded import RecordedImages
from cnntrain.data.splits import limited
from cnntrain.data.streaming import StreamingDataset
from cnntrain.data.trained_on import (
    Images,
    PreviousRun,
    is_same_images,
    split_indices,
    without_trained_images,
)
from cnntrain.errors import UserError
from cnntrain.image_folder.members import FILE, Member, RunSplit, pack
from cnntrain.runtime.console import Console, count, format_bytes
from cnntrain.text import shown_path


@dataclass
class Data:
    """The images of a run, which do what, in words where they are and why, and what was left out.

    ``train_files`` and ``test_files`` name the file of each image; None where images have none.
    ``held_back`` counts the images that are left out of validation, because the model was trained on them.
    ``split`` is the ``val_fraction`` and the ``split_seed`` that the parts follow.
    """

    train: InMemoryDataset | StreamingDataset
    test: InMemoryDataset | StreamingDataset
    train_indices: Tensor
    val_indices: Tensor
    path: str
    skipped: list[str]
    members: list[Member] | None = None  # of a folder: which image does what
    train_files: Sequence[str] | None = None
    test_files: Sequence[str] | None = None
    held_back: int = 0
    split: tuple[float, int] = (0.0, 0)

    @functools.cached_property
    def record(self) -> bytes | None:
        """``members`` as they are written into the run folder; None if the data are no folder."""
        return None if self.members is None else pack(self.members)


def open_data(
    settings: DataSettings,
    device: torch.device,
    console: Console,
    trust: Sequence[str] | None,
    class_names: Sequence[str] | None = None,
    run_split: RunSplit | None = None,
    earlier: PreviousRun | None = None,
) -> Data:
    """Read or open the training and the test images and split off the validation set.

    Args:
        settings: the data set, and how it is read.
        device: on which the batches are wanted.
        console: where downloads are announced.
        trust: packages that a checkpoint's configuration may name; None for what the user typed.
        class_names: the class names in the order of a trained model's outputs; None for a new one.
        run_split: the split of the run whose model it is, from
            :func:`cnntrain.image_folder.members.recorded_split`.
        earlier: the run that trained the weights, which are evaluated or trained further. None of its
            training images is to validate.

    Raises:
        UserError: the data can't be read, or are not those that the run needs.
    """
    reader = Reader(settings, console, trust)
    reader.known["class_names"] = None if class_names is None else list(class_names)
    reader.known["run_split"] = run_split or (earlier.guard() if earlier is not None else None)
    train, test = read_train_and_test(reader, console, trust)
    folder: Any = reader.opened.get(True)
    indices, val_indices = split_indices(folder, train, settings.val_fraction, settings.split_seed)
    held_back = folder.held_back if isinstance(folder, RecordedImages) else 0
    if isinstance(folder, RecordedImages):
        from cnntrain.data.sources.folder_remarks import remarks  # and with it what reads a folder

        reader.notes += remarks(reader.opened[True], reader.opened[False], console)
    if earlier is not None:
        chosen = len(val_indices)
        parts = indices, val_indices
        (indices, val_indices), settings = without_trained_images(
            earlier, settings, folder, train, parts, console
        )
        held_back += 0 if earlier.goes_on else chosen - len(val_indices)
    train_indices = limited(indices, settings.limit, settings.split_seed)
    train, test, where = move_to_device(train, test, device, settings.workers, reader.on_disk)
    words = "; ".join([where, *reader.notes])
    data = Data(train, test, train_indices, val_indices, words, getattr(folder, "skipped", []))
    data.held_back, data.split = held_back, (settings.val_fraction, settings.split_seed)
    data.members = members_of(reader, data, run_split)
    data.train_files = files_of(folder, len(train))
    data.test_files = files_of(reader.opened.get(False), len(test))
    return data


def read_train_and_test(
    reader: Reader, console: Console, trust: Sequence[str] | None
) -> tuple[Images, Images]:
    """Read or open the training and the test images; what the user typed is downloaded if it is missing."""
    try:
        return reader.read(True), reader.read(False)
    except DataMissing as missing:
        if trust is not None:
            raise UserError(
                f"{missing.what}, and a data set that a checkpoint names is not downloaded\n"
                "name the folder that holds it, data.root=DIR, or download it by cnntrain train data=NAME"
            ) from missing
        console.warn(f"{missing.what}: downloading it to {shown_path(missing.root)}")
        reader.known["download"] = True
        return reader.read(True), reader.read(False)


def members_of(reader: Reader, data: Data, run_split: RunSplit | None) -> list[Member] | None:
    """Return which image of a folder does what; None for other data."""
    folder: Any = reader.opened.get(True)
    if not isinstance(folder, RecordedImages):
        return None
    if run_split is not None and run_split.binds and run_split.members is not None:
        return run_split.members  # whatever files are called by now
    tested = dict.fromkeys(range(len(data.test)), "test")
    trained = dict.fromkeys(data.train_indices.tolist(), "train")
    trained |= dict.fromkeys(data.val_indices.tolist(), "val")
    return [*folder.members(trained), *reader.opened[False].members(tested)]


def files_of(dataset: Any, number: int) -> list[str] | None:
    """Return the file of each image: what ``Folder`` and torchvision's folders know; None for other data."""
    files = getattr(dataset, "files", None)
    if files is None and isinstance(samples := getattr(dataset, "samples", None), list):
        files = [sample[0] for sample in samples if isinstance(sample, tuple)]
    if not isinstance(files, list | tuple) or len(files) != number:
        return None
    return [str(file) for file in files]


def move_to_device(
    train: Images, test: Images, device: torch.device, workers: int, on_disk: bool
) -> tuple[Images, Images, str]:
    """Move images to the accelerator, unless workers gather the batches or it lacks the memory.

    Returns:
        The images, and in words where they are.
    """
    if not isinstance(train, InMemoryDataset) or not isinstance(test, InMemoryDataset):
        return train, test, f"streamed by {count(workers, 'worker') if workers else 'the main process'}"
    size = train.whole.size + test.whole.size
    where, room = "on disk" if on_disk else "in memory", format_bytes(size)
    if device.type == "cpu" or workers > 0:
        return train, test, f"{where}, {room}"
    if device.type == "cuda" and size > SHARE * torch.cuda.mem_get_info(device)[0]:
        return train, test, f"{where}, since {device} has too little, {room}"
    return train.to(device), test.to(device), f"on {device}, {room}"


def is_same_data(state: Mapping[str, Any], data: Data) -> bool:
    """Return whether the training images are those that a checkpoint's run began with."""
    return is_same_images(state, data.train)


def warn_of_no_record(
    run_split: RunSplit, state: Mapping[str, Any], data: Data, root: str, console: Console
) -> None:
    """Warn that a run of a folder has no record of its split, and that its training images may be here."""
    if not run_split.binds:
        console.warn(
            f"there is no record of which images the run was trained on ({FILE}): if they are among these "
            "data, the scores are inflated"
        )
        return
    same = "which are those of the run, as far as a checksum of labels and samples tells"
    other = "which are not those of the run: the images evaluated may be ones that it was trained on"
    console.warn(
        f"there is no record of which images the run held out ({FILE}); they are chosen by its rule from "
        f"those of data.root={shown_path(root)}, {same if is_same_data(state, data) else other}"
    )


def warn_of_other_data(console: Console) -> None:
    """Warn that the data are not those that a run began with."""
    console.warn(
        "the training data are not those that the run began with, so the data evaluated may be others too; "
        "if that is not meant, name the folder that holds them: data.root=DIR"
    )


def check_same_data(state: Mapping[str, Any], data: Data) -> None:
    """Raise a UserError if the training images are not those that the run began with."""
    if not is_same_data(state, data):
        raise UserError(
            "the training data are not those that this run began with: resume needs the same files "
            "(data.root=DIR), or start a new run"
        )
