"""A run as its report sees it: its folder, its model, and the images on which that was evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cnntrain.config.inputs import CALLED, IMAGES
from cnntrain.config.sections import DataSettings, ReportSettings
from cnntrain.data.batches import raise_if_error
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.sequences.words import steps_in_words
from cnntrain.data.streaming import StreamingDataset, batch_of
from cnntrain.runs.records import RunSummary
from cnntrain.runtime.console import count
from cnntrain.tasks.base import Task
from cnntrain.tasks.report import Evaluated, Images
from cnntrain.text import argument


@dataclass
class ReportedRun:
    """A run, and its model with the weights that its report shows.

    Args:
        folder: the run folder.
        settings: what the report says about the run's configuration.
        task: what the model learnt.
        summary: what ``summary.json`` says; None while the run is not finished.
        versions: on which the result depends.
        history: the rows of metrics.csv.
        best: the epoch that validation chose; None if there was nothing to choose by.
        class_names: the class names of the data.
        model: on its device, not compiled.
        evaluated: None if there is nothing to evaluate on.
        sizes: images of the training, the validation and the test set.
    """

    folder: Path
    settings: ReportSettings
    task: Task
    summary: RunSummary | None
    versions: Mapping[str, str]
    history: Sequence[Mapping[str, Any]]
    best: int | None
    class_names: Sequence[str]
    model: nn.Module
    evaluated: Evaluated | None
    sizes: tuple[int, int, int]


def images_in(
    dataset: InMemoryDataset | StreamingDataset,
    indices: Tensor,
    files: Sequence[str] | None,
    inputs: str,
) -> Images:
    """Return the images of an evaluation.

    Args:
        dataset: the data set that holds them.
        indices: which of its images were evaluated, int64 (N,).
        files: the files of all images of the data set; None where they have none.
        inputs: what the network gets, as in ``data.inputs``.
    """

    def name(index: int) -> str:
        place = int(indices[index])
        return f"{CALLED[inputs].word} {place}" if files is None else files[place]

    def load(some: Sequence[int] | Tensor) -> tuple[Tensor, Tensor]:
        return batch_in(dataset, indices[torch.as_tensor(some)])

    are_streamed = isinstance(dataset, StreamingDataset)
    return Images(len(indices), dataset.image_size, load, name, files is not None, are_streamed, inputs)


def images_of(dataset: InMemoryDataset | StreamingDataset, indices: Tensor) -> Tensor:
    """Return some images of a data set, uint8 (N, C, H, W), on the CPU."""
    return batch_in(dataset, indices)[0]


def batch_in(dataset: InMemoryDataset | StreamingDataset, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Return some images of a data set, uint8 (N, C, H, W), and their targets, on the CPU."""
    places = indices.numpy().astype(np.int64)
    if isinstance(dataset, StreamingDataset):
        return batch_of(dataset, places)
    images, targets = raise_if_error(dataset.__getitems__(places))
    return images.cpu(), targets.cpu()


def unfinished(run: ReportedRun) -> str:
    """Describe what is not there yet."""
    done, measured = f"{len(run.history)} of {run.settings.epochs}", "Nothing is measured yet"
    if run.evaluated is not None:
        measured = "What follows is measured on the validation set"
    return (
        f"This run is not finished: {done} epochs are done. {measured}, "
        "since the test set is touched once, when a run ends. "
        f"To go on: cnntrain resume {argument(run.folder)}"
    )


def data_of(data: DataSettings, sizes: tuple[int, int, int], classes: int) -> str:
    """Return the data set, what its images are, and how many of them train, validate and test, in words."""
    name = data.source.get("dataset", data.source["_target_"].rpartition(".")[2])
    where = f" {data.root}" if name == "Folder" else ""
    train, val, test = sizes
    text = f"{name}{where}: {train:,} train, {val:,} validation and {test:,} test {data.called.words}"
    if data.inputs != IMAGES:
        return f"{text}, {steps_in_words(data)}, {classes} classes"
    height, width = data.size
    kind = "grey" if data.channels == 1 else "colour" if data.channels == 3 else "multi-channel"
    return f"{text}, {width}×{height} {kind}, {classes} classes"


def epochs_of(run: ReportedRun) -> str:
    """Return how long the run trained, and which epoch is shown, in words."""
    seconds = sum(row["seconds"] for row in run.history)
    words = f"{count(len(run.history), 'epoch')} in {seconds:,.1f} s of training"
    if run.best is not None:
        words += f"; shown is epoch {run.best}, the best by {run.settings.monitor}"
    return words


def environment(run: ReportedRun) -> dict[str, str]:
    """Return where the run was made, as names and values."""
    summary: Mapping[str, Any] = run.summary or {}
    layout = ", channels last" if run.settings.channels_last is True else ""
    return {
        "command, as typed": summary.get("command", ""),
        "git commit": summary.get("git_commit") or "",
        "device": summary.get("device", ""),
        "machine": summary.get("machine", ""),
        "precision": f"{run.settings.precision}{layout}; threads: {run.settings.threads}",
        **run.versions,
        "run folder": str(run.folder.absolute()),
    }
