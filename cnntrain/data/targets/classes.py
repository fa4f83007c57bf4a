"""The number of each image's class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cnntrain.data.targets.base import Targets
from cnntrain.errors import UserError


class Classes(Targets):
    """The number of each image's class: int64 (N,)."""

    name, word, words, is_dense, dtype = "classes", "label", "labels", False, torch.int64

    def of_item(self, value: Any, shape: Sequence[int], size: tuple[int, int], resize: str) -> Tensor:
        """Return a class number, int64 ()."""
        return torch.tensor(int(value))

    def empty(self, count: int, size: tuple[int, int]) -> Tensor:
        """Return room for labels, int64 (count,)."""
        return torch.empty(count, dtype=torch.int64)

    def check(self, targets: Tensor, class_names: Sequence[str]) -> None:
        """Raise a UserError if a label has no class."""
        if len(targets) and not 0 <= int(targets.min()) <= int(targets.max()) < len(class_names):
            wrong = int(targets.max()) if int(targets.min()) >= 0 else int(targets.min())
            raise UserError(f"label {wrong} is outside the {len(class_names)} classes")

    def for_fingerprint(self, targets: Tensor, places: Tensor) -> Tensor:
        """Return all labels."""
        return targets

    def strata(self, targets: Tensor) -> Tensor | None:
        """Return the labels: a split takes the same share of each class."""
        return targets

    def counts(self, targets: Tensor, num_classes: int) -> Tensor:
        """Return the number of images of each class."""
        return targets.bincount(minlength=num_classes)
