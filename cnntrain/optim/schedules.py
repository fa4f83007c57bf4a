"""Learning-rate schedules, and groups of parameters with a learning rate of their own.

A schedule multiplies all of the optimizer's learning rates by the same factor. It is stepped once a batch and
is a pure function of the step, so a resumed run continues exactly where it was, and a longer run
(``resume RUN epochs=20``) is scheduled for its new length.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from cnntrain.errors import UserError
from cnntrain.optim.param_names import matching

SCALE = "lr_scale"  # of a group of parameters, beside its lr: how that differs from optim.lr


class Schedule(LambdaLR):
    """A multiple of the optimizer's own learning rate, with a linear warm-up from 0.

    Args:
        optimizer: the optimizer whose learning rate is scheduled.
        total_steps: steps of the whole run.
        steps_per_epoch: steps of one epoch.
        warmup: epochs over which the learning rate rises linearly; fractions count.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup: float) -> None:
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch
        self.warmup_steps = round(warmup * steps_per_epoch)
        super().__init__(optimizer, lambda step: self._warmup_factor(step) * self.factor(step))

    def factor(self, step: int) -> float:
        """Return the multiple of the learning rate at ``step``, counted from 0, warm-up aside."""
        return 1.0

    def progress(self, step: int) -> float:
        """Return how much of the run after the warm-up lies behind ``step``, from 0 to 1."""
        scheduled = max(1, self.total_steps - self.warmup_steps)
        return min(1.0, max(0.0, (step - self.warmup_steps) / scheduled))

    def state_dict(self) -> dict[str, int]:
        """Return the position in the schedule; all else follows from the configuration."""
        return {"step": self.last_epoch}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Restore the position that ``state_dict`` holds and set the learning rates that belong to it."""
        self.last_epoch = state_dict["step"]
        groups = zip(self.optimizer.param_groups, self.base_lrs, self.lr_lambdas, strict=True)
        for group, base, factor in groups:  # what get_lr does, which warns outside of step
            group["lr"] = base * factor(self.last_epoch)

    def get_last_lr(self) -> list[float | Tensor]:
        """Return the learning rate of each group of parameters, which ``load_state_dict`` sets, too."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def _warmup_factor(self, step: int) -> float:
        return min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0


class Constant(Schedule):
    """The learning rate stays as it is."""


class Step(Schedule):
    """The learning rate is multiplied by ``gamma`` every ``every`` epochs."""

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        steps_per_epoch: int,
        warmup: float,
        every: float,
        gamma: float,
    ) -> None:
        self.every = every
        self.gamma = gamma
        super().__init__(optimizer, total_steps, steps_per_epoch, warmup)

    def factor(self, step: int) -> float:
        """Return gamma to the power of the number of times that ``every`` epochs have passed."""
        return self.gamma ** (step // max(1, round(self.every * self.steps_per_epoch)))


class MultiStep(Schedule):
    """The learning rate is multiplied by ``gamma`` at the end of some epochs, the milestones."""

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        steps_per_epoch: int,
        warmup: float,
        milestones: Sequence[float],
        gamma: float,
    ) -> None:
        self.milestones = milestones
        self.gamma = gamma
        super().__init__(optimizer, total_steps, steps_per_epoch, warmup)

    def factor(self, step: int) -> float:
        """Return gamma to the power of the number of milestones that have passed."""
        return self.gamma ** sum(step >= round(each * self.steps_per_epoch) for each in self.milestones)


class Cosine(Schedule):
    """The learning rate falls along half a cosine to ``final`` times itself (SGDR without restarts)."""

    def __init__(
        self, optimizer: Optimizer, total_steps: int, steps_per_epoch: int, warmup: float, final: float
    ) -> None:
        self.final = final
        super().__init__(optimizer, total_steps, steps_per_epoch, warmup)

    def factor(self, step: int) -> float:
        """Return a value that falls from 1 to ``final``, which it reaches when the run is over."""
        return cosine(1.0, self.final, self.progress(step))


class OneCycle(Schedule):
    """The learning rate rises from ``start`` times itself and falls to ``final`` times itself.

    Super-Convergence (Smith and Topin 2019), with cosines as in torch's OneCycleLR; momentum stays.

    Args:
        optimizer: the optimizer whose learning rate is scheduled; its own value is the peak.
        total_steps: steps of the whole run.
        steps_per_epoch: steps of one epoch.
        warmup: epochs of linear warm-up before the cycle.
        rise: share of the run over which the learning rate rises.
        start: multiple at the first step.
        final: multiple at the end of the run; the last step comes close to it.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        steps_per_epoch: int,
        warmup: float,
        rise: float,
        start: float,
        final: float,
    ) -> None:
        self.rise = rise
        self.start = start
        self.final = final
        super().__init__(optimizer, total_steps, steps_per_epoch, warmup)

    def factor(self, step: int) -> float:
        """Return a value that goes from ``start`` over 1 to ``final``."""
        progress = self.progress(step)
        if progress < self.rise:
            return cosine(self.start, 1.0, progress / self.rise)
        return cosine(1.0, self.final, (progress - self.rise) / max(1e-12, 1.0 - self.rise))


def cosine(begin: float, end: float, progress: float) -> float:
    """Return the point between ``begin`` and ``end`` on half a cosine, for a progress from 0 to 1."""
    return end + (begin - end) * (1.0 + math.cos(math.pi * progress)) / 2.0


def groups_of(model: nn.Module, scales: Mapping[str, float], num_classes: int) -> list[dict[str, Any]]:
    """Return a model's parameters in groups by the multiple of the learning rate that each gets.

    Args:
        model: the model whose parameters are grouped.
        scales: a multiple for each pattern of names, see :func:`cnntrain.optim.param_names.matching`; where
            several match, the last one counts.
        num_classes: number of classes.

    Raises:
        UserError: a pattern matches no parameter.
    """
    scale_of = dict.fromkeys((name for name, _ in model.named_parameters()), 1.0)
    for pattern, scale in scales.items():
        found = matching(model, pattern, num_classes, SCALE)
        scale_of.update((name, scale) for name in found & scale_of.keys())
    # Frozen parameters are a group of their own: torch's fused SGD refuses momentum for a part of a group.
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        groups.setdefault((scale_of[name], parameter.requires_grad), []).append(parameter)
    return [{"params": params, SCALE: scale} for (scale, _), params in groups.items()]


def scale_learning_rates(optimizer: Optimizer) -> None:
    """Multiply the learning rate of each group by its own scale, before a schedule takes it as its base."""
    for group in optimizer.param_groups:
        if "lr" not in group:
            raise UserError(f"lr_scale: {type(optimizer).__name__} has no learning rate to multiply")
        group["lr"] *= group[SCALE]


def lr_of(optimizer: Optimizer) -> float:
    """Return the learning rate of a parameter that has no scale of its own: optim.lr times the schedule."""
    group = optimizer.param_groups[0]
    return float(group["lr"]) / float(group.get(SCALE, 1.0))
