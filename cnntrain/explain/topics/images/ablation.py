"""What a network that labels pixels is worth without a part of what its layers get."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

Blanks = list[tuple[nn.Module, slice]]  # modules, and the input channels whose information is taken away


@contextmanager
def blanked(blanks: Blanks) -> Iterator[None]:
    """Let modules get, in place of some input maps, their means: what they tell of places is lost."""

    def hook_of(channels: slice) -> Any:
        def blank(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
            x = args[0].clone()
            x[:, channels] = x[:, channels].mean(dim=(0, 2, 3), keepdim=True)
            return (x,)

        return blank

    hooks = [module.register_forward_pre_hook(hook_of(channels)) for module, channels in blanks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


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
