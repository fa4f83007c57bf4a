"""How much of an image each class covers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def areas(counts: Tensor, class_names: Sequence[str], most: int) -> tuple[tuple[str, float], ...]:
    """Return the classes that are there and the share of the pixels of each, the largest first.

    Args:
        counts: pixels of each class, (classes,).
        class_names: of the model.
        most: how many classes at most.
    """
    ordered = (counts.double() / counts.sum()).sort(descending=True, stable=True)
    pairs = zip(ordered.indices[:most].tolist(), ordered.values[:most].tolist(), strict=True)
    return tuple((class_names[index], share) for index, share in pairs if share > 0)
