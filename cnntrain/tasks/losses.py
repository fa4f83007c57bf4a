"""Losses: each is a mean over the examples of a batch, so that nothing depends on how a batch is cut."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cnntrain.compute.ddp import Shard
from cnntrain.errors import UserError
from cnntrain.tasks.base import Task
from cnntrain.text import shown

Weigh = Callable[[Tensor], "float | Tensor"]
EXAMPLES = 12  # of a trial batch
CUTS = slice(None), slice(None), slice(4), slice(4, None)  # all of it, twice, and two unequal parts
SCALES = (1.0, 30.0)  # of the logits; the second for losses that are 0 below a threshold


def weigher(criterion: nn.Module) -> Weigh:
    """Return a function from labels to what their batch counts in a mean over several batches.

    That is the number of examples. A loss with class weights is a weighted mean, which torch divides by the
    weights of the labels in the batch; there it is their sum. Shares of the classes, float (N, classes), are
    divided by the number of examples even so. A loss that counts otherwise has a method ``weigh`` of its own.
    """
    own: Weigh | None = getattr(criterion, "weigh", None)
    if own is not None:
        return own
    weights = getattr(criterion, "weight", None)
    if not isinstance(criterion, nn.CrossEntropyLoss | nn.NLLLoss) or weights is None:
        return len
    return lambda y: weights[y].sum() if y.dim() == 1 else len(y)


def check_mean(criterion: nn.Module, task: Task, mixes: bool) -> None:
    """See that the loss of a batch is the mean of its parts' losses, each by its number of examples.

    Args:
        criterion: maps outputs and targets to one number.
        task: gives both.
        mixes: whether the targets are those of mixed images.

    Raises:
        UserError: it is not.
    """
    name = type(criterion).__name__
    check_weights(criterion, task.num_classes)
    weigh, tried = weigher(criterion), copy.deepcopy(criterion)  # which may keep statistics
    for scale in SCALES:
        output, y = task.noise(EXAMPLES, scale, mixes)
        try:
            whole, again, *parts = [float(tried(output[cut], y[cut])) for cut in CUTS]
        except Exception:  # it wants something other than such outputs; the model's output may be that
            return
        if whole != again or not math.isfinite(whole):  # it draws at random, or is not defined here
            return
        if whole != 0:
            break
    else:  # zeros are their own sum and their own mean: nothing can be concluded
        return
    if math.isclose(whole, sum(parts), rel_tol=1e-4):
        raise UserError(
            f"criterion: {name} is a sum over the examples, so that losses and steps depend on how a batch "
            "is cut: take the mean (criterion.reduction=mean)"
        )
    weights = [float(weigh(y[cut])) for cut in CUTS[2:]]
    mean = sum(weight * part for weight, part in zip(weights, parts, strict=True)) / sum(weights)
    if not math.isclose(whole, mean, rel_tol=1e-4, abs_tol=1e-6):
        raise UserError(
            f"criterion: {name} is not a mean over the examples: {whole:.4g} for a batch, {mean:.4g} for the "
            "mean of its parts; for class weights take torch.nn.CrossEntropyLoss with +criterion.weight=[...]"
        )


def check_weights(criterion: nn.Module, num_classes: int) -> None:
    """Refuse losses that leave out whole classes: a batch that holds nothing else would have no mean."""
    if not isinstance(criterion, nn.CrossEntropyLoss | nn.NLLLoss):
        return
    if 0 <= criterion.ignore_index < num_classes:
        raise UserError(
            f"criterion.ignore_index={criterion.ignore_index} leaves out a class, and a batch of it alone "
            "has no loss: leave its images out of the data"
        )
    if criterion.weight is not None and not bool((criterion.weight > 0).all()):
        raise UserError(f"criterion.weight={criterion.weight.tolist()}: the weights of classes are above 0")


def class_weights(typed: list[Any], num_classes: int) -> Tensor:
    """Return the weights of the classes, float32 (classes,)."""
    are_numbers = all(isinstance(weight, int | float) for weight in typed)
    if not are_numbers or len(typed) != num_classes:
        raise UserError(
            f"criterion.weight={shown(typed)} is not possible: it takes {num_classes} numbers, one per class"
        )
    return torch.tensor(typed, dtype=torch.float32)


def weighed(
    batches: Iterator[tuple[Tensor, Tensor]], weigh: Weigh, shard: Shard
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of an epoch; with class weights, a process's part counts as much as its labels do."""
    for x, y in batches:
        mine = weigh(y)
        if shard.processes > 1 and isinstance(mine, Tensor):
            mine = mine * bool(shard.weight)  # nothing, of a batch that has no example for this process
            whole = mine.clone()
            dist.all_reduce(whole)
            shard.weight = float(mine * shard.processes / whole)
        yield x, y
