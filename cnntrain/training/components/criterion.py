"""The criterion that the configuration names, tried before any data is read."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnntrain.config.keys import loss_of
from cnntrain.config.sections import CriterionSettings
from cnntrain.errors import UserError, describe_error
from cnntrain.tasks.base import Task
from cnntrain.tasks.losses import check_mean

WEIGHTED = nn.CrossEntropyLoss | nn.NLLLoss | nn.MultiMarginLoss  # by class; others tell by takes_weights


def build_criterion(settings: CriterionSettings, trust: Sequence[str] | None, task: Task) -> nn.Module:
    """Build the loss, and check that it maps outputs and targets to the mean over the examples."""
    criterion = task.criterion(settings.node, trust)
    output, y = task.noise(2, 0.0, settings.mixes)
    name = type(criterion).__name__
    try:
        with warnings.catch_warnings(action="ignore"):
            loss = criterion(output, y)
    except Exception as error:  # whatever a loss of the user's may raise
        kind = task.learns_from
        raise UserError(
            f"criterion: {name} can't compare {task.compared}: {describe_error(error)}; for {kind} take "
            f"criterion={loss_of(kind)}"
        ) from error
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise UserError(f"criterion: {name} gives {got} for a batch, not one number")
    with torch.random.fork_rng([]), warnings.catch_warnings(action="ignore"):
        check_mean(criterion, task, settings.mixes)
    return criterion


def balanced(criterion: nn.Module, counts: Tensor) -> nn.Module:
    """Return the loss weighted by inverse class frequency, so that all classes count the same.

    See King and Zeng 2001, Logistic Regression in Rare Events Data. It is for training; evaluation keeps to
    the plain one.

    Args:
        criterion: the criterion with a buffer ``weight``, as ``torch.nn.CrossEntropyLoss`` has it.
        counts: how often each class occurs in training, int64 (classes,).

    Raises:
        UserError: the loss has no weights.
    """
    takes = getattr(criterion, "takes_weights", isinstance(criterion, WEIGHTED))
    if not takes:
        raise UserError(
            f"balance_classes=true needs a loss with weights, such as torch.nn.CrossEntropyLoss, and "
            f"{type(criterion).__name__} has none"
        )
    if criterion.weight is not None:
        raise UserError("balance_classes=true and criterion.weight both weight the classes: leave one out")
    weight = int(counts.sum()) / (len(counts) * counts.clamp(min=1).float())
    device = next((p.device for p in criterion.buffers()), counts.device)
    weighted = copy.deepcopy(criterion)
    weighted.weight = weight.to(device)
    return weighted
