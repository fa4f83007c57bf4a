"""The facts about a run that the training doctor and a task exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from cnntrain.config.sections import DoctorSettings
from cnntrain.text import some

Row = Mapping[str, Any]  # of metrics.csv


@dataclass(frozen=True)
class Finding:
    """A problem of a run.

    Args:
        finding: the finding in a few words.
        evidence: the figures.
        fix: the suggested fix: an override, or what to do.
    """

    finding: str
    evidence: str
    fix: str


@dataclass(frozen=True)
class Chance:
    """The loss of a model that knows nothing.

    Args:
        loss: the mean loss.
        words: where it comes from, such as ``ln(10)``.
    """

    loss: float
    words: str


@dataclass(frozen=True)
class MemorizationTest:
    """How to tell whether a network memorises a few examples.

    Args:
        loss: maps outputs and targets to their mean loss, ().
        ignorant: the lowest loss of a model that takes all examples for the same.
        least: the lowest loss of any model.
    """

    loss: Callable[[Tensor, Tensor], Tensor]
    ignorant: float
    least: float


@dataclass(frozen=True)
class Finished:
    """A run that is over, as a task examines it.

    Args:
        settings: the run's settings.
        history: the rows of metrics.csv.
        counts: the number of training targets of each class.
        class_names: the class names of the data.
        train_images: the number of training images.
        val_images: the number of validation images.
        train: what the task's collector kept of training images as they are, by the weights that are kept;
            None if none were looked at.
        val: the same of validation images.
        is_explained: whether a cause is known already, or too few steps were made to tell more.
    """

    settings: DoctorSettings
    history: Sequence[Row]
    counts: Sequence[int]
    class_names: Sequence[str]
    train_images: int
    val_images: int
    train: Any
    val: Any
    is_explained: bool

    def never_there(self, showing: str) -> Finding | None:
        """Name the classes that no training image shows.

        Args:
            showing: what would show them, in a word: ``image`` or ``mask``.
        """
        absent = [name for name, count in zip(self.class_names, self.counts, strict=True) if not count]
        if not absent:
            return None
        evidence = f"no training {showing} shows {some(absent)}: the network can't learn that"
        fix = "more images that show it, or leave it out: check the classes with cnntrain data DIR"
        return Finding("classes are missing in training", evidence, fix)
