"""What every source of sequences is: samples with a class, and which of them train, validate and test."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnntrain.errors import UserError
from cnntrain.text import printable, some


@dataclass(frozen=True)
class Sample:
    """One sequence before its values are looked at.

    Args:
        name: what messages call it: its file, or its row of a file.
        label: the name of its class.
        part: ``train``, ``val`` or ``test``; empty if its place does not say.
        content: what it holds. Copies have the same content, and go to the same part.
    """

    name: str
    label: str
    part: str
    content: bytes


class Source(ABC):
    """The training and validation part, or the test part, of sequences with classes.

    Args:
        samples: the samples of all parts.
        train: the training and the validation part, or else the test part.
        where: what messages call the whole.
        test_fraction: share of each class that tests, if no sample says that it does; None: some do.
        class_names: those of a checkpoint, in the order of its outputs; None takes those of the samples.

    Attributes:
        classes: the names of the classes.
        files: what each sample is called.
        validates: whether each validates, bool (N,); None: that is for ``data.val_fraction`` to say.

    Raises:
        UserError: a part would be empty, or the model does not know a class.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        train: bool,
        where: str,
        test_fraction: float | None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        found = sorted({sample.label for sample in samples})
        unknown = sorted(set(found) - set(class_names or found))
        if unknown:
            shown, known = printable(unknown[0]), some(class_names or ())
            raise UserError(f"{where} has a class {shown}, which the model does not know: it knows {known}")
        self.classes = list(class_names or found)
        parts = [sample.part or "train" for sample in samples]
        if "test" not in parts and test_fraction is not None:
            held_out = chosen(samples, test_fraction)
            parts = ["test" if index in held_out else part for index, part in enumerate(parts)]
        self.has_own_test = any(sample.part == "test" for sample in samples)
        wanted = ("train", "val") if train else ("test",)
        mine = [index for index, part in enumerate(parts) if part in wanted]
        if not mine:
            kind = "training" if train else "test"
            raise UserError(f"{where}: no sequence is left for the {kind} part: it takes 2 of a class")
        self.samples = [samples[index] for index in mine]
        self.files = [sample.name for sample in self.samples]
        number = {name: label for label, name in enumerate(self.classes)}
        self.labels = [number[sample.label] for sample in self.samples]
        import numpy as np  # half of the time of --help, which knows this class

        validates = np.array([parts[index] == "val" for index in mine])
        self.validates = validates if validates.any() else None

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return one sample, float32 (T, F) or a text, and the number of its class.

        Raises:
            UserError: its file holds no sequence.
        """
        return self.value(self.samples[index]), self.labels[index]

    @abstractmethod
    def value(self, sample: Sample) -> Any:
        """Return what a sample holds: a table, float32 (T, F), or a text."""


def chosen(samples: Sequence[Sample], share: float) -> set[int]:
    """Return the indices of a share of each class, by a hash of the contents, at least one of two."""
    if not 0 < share < 1:
        raise UserError(
            f"data.source.test_fraction={share} is not possible: it takes a number above 0 and below 1"
        )
    found: set[int] = set()
    of_class: dict[str, list[int]] = {}
    for index, sample in enumerate(samples):
        of_class.setdefault(sample.label, []).append(index)
    for members in of_class.values():
        digests = {index: hashlib.sha256(samples[index].content).digest() for index in members}
        ordered = sorted(members, key=lambda index: (digests[index], index))
        count = min(max(1, round(share * len(ordered))), len(ordered) - 1)
        copies = {digests[index] for index in ordered[:count]}
        found |= {index for index in ordered if digests[index] in copies}
    return found
