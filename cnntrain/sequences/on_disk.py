"""Sequences in files of a kind: one each below a folder for each class, or all in one table."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from cnntrain.sequences.layout import SUFFIXES, is_table, samples_in
from cnntrain.sequences.source import Sample, Source
from cnntrain.text import expanded, printable


class OnDisk(Source):
    """Sequences of a folder or a table. A subclass tells their kind, and reads a table.

    Args:
        root: the folder, or the table.
        train: the training and the validation part, or else the test part.
        test_fraction: share of each class that tests, if there is no test part.
        class_names: those of a checkpoint, in the order of its outputs.

    Raises:
        UserError: a file can't be read; it is named.
    """

    inputs: ClassVar[str]  # a value of data.inputs

    def __init__(
        self, root: str, train: bool, test_fraction: float, class_names: list[str] | None = None
    ) -> None:
        path, suffixes = expanded(root), SUFFIXES[self.inputs]
        samples = self.samples_of_table(path) if is_table(root) else samples_in(root, suffixes)
        super().__init__(samples, train, f"data.root={printable(root)}", test_fraction, class_names)

    @staticmethod
    @abstractmethod
    def samples_of_table(path: Path) -> list[Sample]:
        """Return the sequences of a table in its order."""
