"""A run as its report sees it: its folder, its model, and the images on which that was evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cnntrain.compute.precision import Precision
from cnntrain.config.schema import Config
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.loader import Normalize
from cnntrain.data.streaming import StreamingDataset
from cnntrain.runs.records import RunSummary
from cnntrain.runtime.console import count
from cnntrain.tasks.classification.predictions import Verdicts
from cnntrain.text import argument

NUMBERED = "image "  # of a data set whose images have no files


@dataclass
class Evaluated:
    """The images on which a model was evaluated, and what came of it.

    Args:
        split: ``test`` or ``validation``.
        dataset: that holds the images.
        indices: which of them were evaluated, int64 (N,).
        result: of the evaluation.
        verdicts: on each image, in the order of the indices.
        files: of the data set's images; None where they have none.
    """

    split: str
    dataset: InMemoryDataset | StreamingDataset
    indices: Tensor
    result: Any
    verdicts: Verdicts
    files: Sequence[str] | None = None

    def name_of(self, index: int) -> str:
        """Return how the image with an index among the evaluated ones is found: its file, or its number."""
        place = int(self.indices[index])
        return self.files[place] if self.files is not None else f"{NUMBERED}{place}"


@dataclass
class Shown:
    """A run, and its model with the weights that its report shows.

    Args:
        folder: of the run.
        config: of the run.
        summary: what ``summary.json`` says; None while the run is not finished.
        versions: on which the result depends.
        history: the rows of metrics.csv.
        best: the epoch that validation chose; None if there was nothing to choose by.
        class_names: the name of each class.
        model: on its device, not compiled.
        normalize: turns bytes into what the model wants.
        precision: the number format of the forward pass.
        evaluated: None if there is nothing to evaluate on.
        sizes: images of the training, the validation and the test set.
        patience: how many times as long the report may take as at the end of a training.
    """

    folder: Path
    config: Config
    summary: RunSummary | None
    versions: Mapping[str, str]
    history: Sequence[Mapping[str, Any]]
    best: int | None
    class_names: Sequence[str]
    model: nn.Module
    normalize: Normalize
    precision: Precision
    evaluated: Evaluated | None
    sizes: tuple[int, int, int]
    patience: float = 1.0


def unfinished(run: Shown) -> str:
    """Say what is not there yet."""
    done, measured = f"{len(run.history)} of {run.config['epochs']}", "Nothing is measured yet"
    if run.evaluated is not None:
        measured = "What follows is measured on the validation set"
    return (
        f"This run is not finished: {done} epochs are done. {measured}, "
        "since the test set is touched once, when a run ends. "
        f"To go on: cnntrain resume {argument(run.folder)}"
    )


def data_of(run: Shown) -> str:
    """Return the data set, what its images are, and how many of them train, validate and test, in words."""
    data, source = run.config["data"], run.config["data"]["source"]
    name = source.get("dataset", source["_target_"].rpartition(".")[2])
    where = f" {data['root']}" if name == "Folder" else ""
    train, val, test = run.sizes
    kind = "grey" if data["channels"] == 1 else "colour" if data["channels"] == 3 else "multi-channel"
    return (
        f"{name}{where}: {train:,} train, {val:,} validation and {test:,} test images, "
        f"{data['image_size']}×{data['image_size']} {kind}, {len(run.class_names)} classes"
    )


def epochs_of(run: Shown) -> str:
    """Return how long the run trained, and which epoch is shown, in words."""
    seconds = sum(row["seconds"] for row in run.history)
    words = f"{count(len(run.history), 'epoch')} in {seconds:,.1f} s of training"
    if run.best is not None:
        words += f"; shown is epoch {run.best}, the best by {run.config['monitor']}"
    return words


def environment(run: Shown) -> dict[str, str]:
    """Return where the run was made, as names and values."""
    summary: Mapping[str, Any] = run.summary or {}
    config = run.config
    layout = ", channels last" if config["channels_last"] is True else ""
    return {
        "command, as typed": summary.get("command", ""),
        "git commit": summary.get("git_commit") or "",
        "device": summary.get("device", ""),
        "machine": summary.get("machine", ""),
        "precision": f"{config['precision']}{layout}; threads: {config['threads']}",
        **run.versions,
        "run folder": str(run.folder.absolute()),
    }
