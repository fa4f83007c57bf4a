"""What a network that labels pixels is worth without a part of what its layers get."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

from torch import Tensor, nn

from cnntrain.models.hooks import changed_inputs

Blanks = list[tuple[nn.Module, slice]]  # modules, and the input channels whose information is taken away


def blanked(blanks: Blanks) -> AbstractContextManager[None]:
    """Let modules get, in place of some input maps, their means: what they say about places is lost."""
    return changed_inputs([(module, partial(blank, channels)) for module, channels in blanks])


def blank(channels: slice, x: Tensor) -> Tensor:
    """Return maps, float (N, C, H, W); some of them hold their mean everywhere."""
    x = x.clone()
    x[:, channels] = x[:, channels].mean(dim=(0, 2, 3), keepdim=True)
    return x


def where(confusion: Tensor) -> float:
    """Return the intersection over union of all classes but the first together, from 0 to 1.

    Args:
        confusion: pixels, int64 (classes, classes); row: true class, column: predicted class.
    """
    union = int(confusion.sum()) - int(confusion[0, 0])
    return int(confusion[1:, 1:].sum()) / max(1, union)


def what(confusion: Tensor) -> float:
    """Return the share of the pixels found by :func:`where` whose class is right, from 0 to 1."""
    found = confusion[1:, 1:]
    return int(found.diag().sum()) / max(1, int(found.sum()))
