"""From ``data=...`` to the pictures that train, validate and test: in memory or, if too large, streamed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from torch import Tensor
from torch.utils.data import Dataset

from cnntrain import memory
from cnntrain.build import build, check_trusted, locate
from cnntrain.console import Console, bytes_in_words, count
from cnntrain.data.kept import kept
from cnntrain.data.pictures import Pictures, fit
from cnntrain.data.sources import DataMissing
from cnntrain.data.splits import limited, stratified_split
from cnntrain.data.streamed import Streamed, read_all
from cnntrain.errors import UserError
from cnntrain.parts import Config

SHARE = 0.5  # of the free memory that data may take


@dataclass
class Data:
    """The pictures of a run, which do what, in words where they are and why, and what was left out."""

    train: Pictures | Streamed
    test: Pictures | Streamed
    train_indices: Tensor
    val_indices: Tensor
    path: str
    skipped: list[str]


class Reader:
    """Reads the training and the test part of the configured data set.

    Args:
        data: the group ``data`` of the configuration.
        workers: processes that decode.
        console: for the progress of long reading.
        trust: packages that a checkpoint's configuration may name; None for what the user typed.
    """

    def __init__(self, data: Config, workers: int, console: Console, trust: Sequence[str] | None) -> None:
        self.data = data
        self.workers = workers
        self.console = console
        self.trust = trust
        names = ("root", "channels", "image_size", "num_classes", "on_bad_image")
        self.known: dict[str, Any] = {name: data.get(name) for name in names}
        self.notes: list[str] = []
        self.opened: dict[bool, Any] = {}  # what was built, by whether it is the training part

    def read(self, is_train: bool) -> Pictures | Streamed:
        """Return one part, in memory if it is to be there.

        Raises:
            DataMissing: it could be downloaded.
            UserError: it can't be read, or does not fit the configuration.
        """
        files = self.files(is_train)
        if self.data["in_memory"] is not False and files:
            facts = {"source": self.data["source"], "train": is_train, **self.shape()}
            pictures, from_cache = kept(facts, files, lambda: self.in_memory(self.build(is_train)))
            self.notes = ["from the cache"] if from_cache else []
            return self.checked(pictures)
        dataset = self.opened[is_train] = self.build(is_train)
        if self.data["in_memory"] is False:
            self.notes = ["data.in_memory=false"]
            return self.checked(self.streamed(dataset))
        return self.checked(self.in_memory_if_it_fits(dataset, is_train))

    def build(self, is_train: bool) -> Any:
        """Build the data set that the configuration names."""
        return build("data.source", self.data["source"], Dataset, self.trust, train=is_train, **self.known)

    def files(self, is_train: bool) -> list[Path]:
        """Return the files that a part is made of, if its class can tell them by a method ``files``."""
        node = self.data["source"]
        check_trusted("data.source", node, Dataset, self.trust)
        tell = getattr(locate("data.source", node["_target_"]), "files", None)
        if tell is None:
            return []
        names = inspect.signature(tell).parameters
        given = {**self.known, **node, "train": is_train}
        return list(tell(**{name: given[name] for name in names if name in given}))

    def shape(self) -> dict[str, int]:
        """Return the shape to which pictures are brought."""
        return {"channels": self.data["channels"], "image_size": self.data["image_size"]}

    def in_memory(self, dataset: Any) -> Pictures:
        """Return all pictures of a data set, decoded."""
        if isinstance(dataset, Pictures):
            return fit(dataset, **self.shape())
        streamed = Streamed(dataset, **self.shape())
        with self.console.bar(len(streamed), 0, f"reading {streamed.name}", unit="picture") as bar:
            return read_all(streamed, self.workers, bar.update)

    def in_memory_if_it_fits(self, dataset: Any, is_train: bool) -> Pictures | Streamed:
        """Return all pictures decoded, or to be decoded batch by batch if they would not fit."""
        if isinstance(dataset, Pictures):
            return self.in_memory(dataset)
        size, free = Streamed(dataset, **self.shape()).size, memory.free()
        if size <= SHARE * free and hasattr(dataset, "digest"):  # of a folder, whose files are known by then
            facts = {
                "source": self.data["source"],
                "train": is_train,
                "digest": dataset.digest,
                **self.shape(),
            }
            facts["classes"] = dataset.classes
            pictures, from_cache = kept(facts, [], lambda: self.in_memory(dataset))
            self.notes = ["from the cache"] if from_cache else []
            return pictures
        if size <= SHARE * free:
            return self.in_memory(dataset)
        words = f"{bytes_in_words(size)} of pictures, {bytes_in_words(free)} of memory free"
        if self.data["in_memory"] is True and size > free:
            raise UserError(f"data.in_memory=true is not possible: {words}; data.in_memory=auto streams them")
        if self.data["in_memory"] is True:
            return self.in_memory(dataset)
        self.notes = [words]
        return self.streamed(dataset)

    def streamed(self, dataset: Any) -> Streamed:
        """Return a data set to be decoded batch by batch, with its labels."""
        streamed = Streamed(dataset, **self.shape())
        with self.console.bar(len(streamed), 0, f"labels of {streamed.name}", unit="picture") as bar:
            streamed.find_labels(self.workers, bar.update)
        return streamed

    def checked(self, pictures: Pictures | Streamed) -> Pictures | Streamed:
        """Check that the data have the classes that the configuration says."""
        told, found = self.data["num_classes"], len(pictures.class_names)
        if found != told:
            raise UserError(
                f"data.num_classes={told}, but the data have {found} classes: data.num_classes={found}"
            )
        return pictures


def open_data(
    config: Config,
    device: torch.device,
    console: Console,
    trust: Sequence[str] | None,
    class_names: Sequence[str] | None = None,
) -> Data:
    """Read or open the training and the test pictures and split off the validation set.

    Args:
        config: of the run.
        device: on which the batches are wanted.
        console: told before anything is downloaded.
        trust: packages that a checkpoint's configuration may name; None for what the user typed.
        class_names: in the order of a trained model's outputs; None for a new one.
    """
    data, workers = config["data"], config["workers"]
    reader = Reader(data, workers, console, trust)
    reader.known["class_names"] = None if class_names is None else list(class_names)
    try:
        train, test = reader.read(True), reader.read(False)
    except DataMissing as missing:
        console.warn(f"{missing.what}: downloading it to {missing.root}")
        reader.known["download"] = True
        train, test = reader.read(True), reader.read(False)
    folder: Any = reader.opened.get(True)
    if hasattr(folder, "split"):
        indices, val_indices = folder.split(data["val_fraction"], data["split_seed"])
        reader.notes += remarks(reader, console)
    else:
        indices, val_indices = stratified_split(train.labels, data["val_fraction"], data["split_seed"])
    train_indices = limited(indices, config["limit"], data["split_seed"])
    if isinstance(train, Pictures) and isinstance(test, Pictures):
        train, test, where = placed(train, test, device, workers)
        where += f", {bytes_in_words(train.size + test.size)}"
    else:
        where = f"streamed by {count(workers, 'worker') if workers else 'the main process'}"
    words = "; ".join([where, *reader.notes])
    return Data(train, test, train_indices, val_indices, words, getattr(folder, "skipped", []))


def remarks(reader: Reader, console: Console) -> list[str]:
    """Return what to say of a folder of pictures; warn of what makes its results wrong."""
    train, test = reader.opened[True], reader.opened[False]
    if train.skipped:
        console.warn(f"left out {count(len(train.skipped), 'file')} that can't be read: {train.skipped[0]}")
        for name in train.skipped[1:]:
            console.line(f"  {escape(name)}", level=2)
    if train.leaked:
        console.warn(
            f"{count(len(train.leaked), 'picture')} of the training part are in the test part, too, "
            f"so that its result is too good: {train.leaked[0]}; cnntrain data names them all"
        )
    return [test.remark] if test.remark else []


def placed(
    train: Pictures, test: Pictures, device: torch.device, workers: int
) -> tuple[Pictures, Pictures, str]:
    """Move pictures to the accelerator, unless workers gather the batches or it lacks the memory."""
    train.fingerprint  # noqa: B018  # while they are here
    if device.type == "cpu" or workers > 0:
        return train, test, "in memory"
    if device.type == "cuda" and train.size + test.size > SHARE * torch.cuda.mem_get_info(device)[0]:
        return train, test, f"in memory, since {device} has too little"
    return train.to(device), test.to(device), f"on {device}"


def check_same_data(state: Mapping[str, Any], data: Data) -> None:
    """Raise a UserError if the training pictures are not those that the run began with."""
    if state["data_fingerprint"] != data.train.fingerprint:
        raise UserError(
            "the training data are not those that this run began with: resume needs the same files "
            "(data.root=DIR), or start a new run"
        )
