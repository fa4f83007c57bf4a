"""Parameters that stay as they are, for the whole run or for its first epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from torch import nn

from cnntrain.errors import UserError
from cnntrain.optim.param_names import matching

Batch = TypeVar("Batch")


class Freezing:
    """Some parameters of a model, and the running statistics of its norms, that training leaves alone.

    A frozen parameter asks for no gradient, which makes the backward pass shorter, and every optimizer leaves
    out what has none. Batch norm layers among them use their running statistics and do not change those, as
    in evaluation.

    Args:
        model: the model, which is frozen at once. Later it is passed again, as layers may have been replaced.
        patterns: patterns of names, see :func:`cnntrain.optim.param_names.matching`.
        unfreeze_epoch: the first epoch, counted from 1, that trains all of it; None: never.
        num_classes: number of classes.

    Raises:
        UserError: a pattern matches nothing, or nothing is left to train.
    """

    def __init__(
        self, model: nn.Module, patterns: Sequence[str], unfreeze_epoch: int | None, num_classes: int
    ) -> None:
        self.unfreeze_epoch = unfreeze_epoch
        found = set().union(*(matching(model, pattern, num_classes, "freeze") for pattern in patterns))
        trainable = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
        self.names = [name for name in trainable if name in found]
        self.norms = [name for name, module in model.named_modules() if is_frozen(module, name, found)]
        if trainable and len(self.names) == len(trainable):
            raise UserError(
                f"freeze={','.join(patterns)} leaves nothing to train: freeze less, such as backbone"
            )
        self.total = sum(p.numel() for p in model.parameters())
        self.trained = sum(size for name, size in trainable.items() if name not in found)
        self.is_frozen = False
        self.begin_epoch(model, 0)

    def begin_epoch(self, model: nn.Module, epoch: int) -> bool:
        """Freeze what is frozen in an epoch, counted from 0, and free it again in a later one.

        Returns:
            Whether that has changed.
        """
        frozen = bool(self.names) and (self.unfreeze_epoch is None or epoch + 1 < self.unfreeze_epoch)
        if frozen == self.is_frozen:
            return False
        for name in self.names:
            model.get_parameter(name).requires_grad_(not frozen)
        self.is_frozen = frozen
        return True

    def keep(self, model: nn.Module, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches of an epoch, the frozen norms having been put into evaluation mode.

        That is so late because the loop begins by putting the whole model into training mode.
        """
        for name in self.norms if self.is_frozen else ():
            model.get_submodule(name).eval()
        yield from batches

    def __str__(self) -> str:
        """Return how many parameters are trained, in words."""
        if not self.names:
            return f"{self.total:,} parameters"
        later = f"; all from epoch {self.unfreeze_epoch}" if self.unfreeze_epoch else ""
        return f"{self.trained:,} of {self.total:,} parameters are trained{later}"


def is_frozen(module: nn.Module, name: str, frozen: set[str]) -> bool:
    """Return whether the running statistics of a module are frozen: by a pattern, or as its weights are."""
    prefix = f"{name}." if name else ""
    if getattr(module, "running_mean", None) is None:
        return False
    own = [f"{prefix}{parameter}" for parameter, _ in module.named_parameters(recurse=False)]
    return f"{prefix}running_mean" in frozen or (bool(own) and frozen.issuperset(own))
