"""The optimizer and the schedule that the configuration names, tried before any data is read."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from cnntrain.config.instantiate import build
from cnntrain.config.sections import OptimizerSettings
from cnntrain.errors import UserError, describe_error
from cnntrain.optim import schedule_free
from cnntrain.optim.schedules import groups_of, scale_learning_rates
from cnntrain.runtime.torch_private import steps_without_compiler, without_compiler
from cnntrain.training.components.components import build_task

USUAL = tuple(f"torch.optim.{name}" for name in ("SGD", "Adam", "AdamW", "RMSprop"))  # known to step


def build_optimizer(settings: OptimizerSettings, trust: Sequence[str] | None, model: nn.Module) -> Optimizer:
    """Build the optimizer over the model's parameters, and check that it can step."""
    without_compiler()
    params: list[Any] = list(model.parameters())
    if settings.lr_scale or settings.freezes:
        params = groups_of(model, settings.lr_scale, settings.model.num_classes)
    optimizer: Optimizer = build("optim", settings.optim, Optimizer, trust, params=params)
    name = type(optimizer).__name__
    if settings.lr_scale:
        scale_learning_rates(optimizer)  # after the optimizer has filled in a learning rate of its own
        check_schedule(settings, trust)
    steps_without_compiler(type(optimizer))
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise UserError(f"optim: {name} computes the loss several times a step, which this loop does not do")
    if settings.ema is not None and schedule_free.has_modes(optimizer):
        raise UserError(f"ema={settings.ema:g}: {name} averages the weights already: leave ema out")
    check_step(settings.optim, trust, model)
    schedule_free.begin(optimizer)
    return optimizer


def without_fused(optim: Mapping[str, Any], model: nn.Module) -> Mapping[str, Any]:
    """Return an optimizer's node without ``fused`` if a parameter is complex, which it can't be then."""
    is_complex = optim.get("fused") and any(p.is_complex() for p in model.parameters())
    return {**optim, "fused": False} if is_complex else optim


def check_step(optim: Mapping[str, Any], trust: Sequence[str] | None, model: nn.Module) -> None:
    """Check that an optimizer of others can step, on copies of the smallest parameters of each dimension."""
    parameters = sorted(model.parameters(), key=lambda p: p.numel(), reverse=True)
    smallest = {p.dim(): p for p in parameters if p.requires_grad and p.numel()}
    copies = [nn.Parameter(p.detach().clone()) for p in smallest.values()]
    if optim["_target_"] in USUAL or not copies:
        return
    optimizer: Optimizer = build("optim", optim, Optimizer, trust, params=copies)
    schedule_free.begin(optimizer)
    for copy_of in copies:
        copy_of.grad = torch.full_like(copy_of, 1e-3)
    try:
        with torch.random.fork_rng([]):
            optimizer.step()
    except Exception as error:  # whatever an optimizer of the user's may raise
        name = type(optimizer).__name__
        raise UserError(f"optim: {name} can't step with these gradients: {describe_error(error)}") from error


def build_schedule(
    settings: OptimizerSettings, trust: Sequence[str] | None, optimizer: Optimizer, steps_per_epoch: int
) -> LRScheduler:
    """Build the learning-rate schedule, for the steps of the whole run."""
    known = {
        "optimizer": optimizer,
        "total_steps": settings.epochs * steps_per_epoch,
        "steps_per_epoch": steps_per_epoch,
    }
    schedule: LRScheduler = build("schedule", settings.schedule, LRScheduler, trust, **known)
    if isinstance(schedule, ReduceLROnPlateau):
        mode = mode_of(settings, trust, type(schedule).__name__)
        schedule = build("schedule", {**settings.schedule, "mode": mode}, LRScheduler, trust, **known)
    return schedule


def mode_of(settings: OptimizerSettings, trust: Sequence[str] | None, name: str) -> str:
    """Return whether the monitored value is better if it is larger, ``max``, or smaller, ``min``.

    Raises:
        UserError: the configuration says the opposite, or there is no validation set.
    """
    monitor, typed = settings.monitor, settings.schedule.get("mode")
    higher_is_better = build_task(settings.model, trust).scores.monitored(monitor).score.higher_is_better
    mode = "max" if higher_is_better else "min"
    if typed not in (None, mode):
        raise UserError(f"schedule.mode={typed} does not fit monitor={monitor}: schedule.mode={mode}")
    if not settings.data.has_validation:
        raise UserError(f"schedule: {name} needs a validation set, and data.val_fraction is 0")
    return mode


def check_schedule(settings: OptimizerSettings, trust: Sequence[str] | None) -> None:
    """Check that a schedule keeps the ratios of learning rates, as cnntrain's own do by construction."""
    if settings.schedule["_target_"].startswith("cnntrain."):
        return
    lr, ratio = settings.optim.get("lr", 1.0), 0.1
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr * scale} for scale in (1.0, ratio)]
    optimizer = torch.optim.SGD(groups, lr, momentum=0.9)
    steps, epochs = 10, settings.epochs
    schedule = build_schedule(settings, trust, optimizer, steps)
    for _ in range(steps * epochs):
        one, other = (group["lr"] for group in optimizer.param_groups)
        if not math.isclose(ratio * one, other, rel_tol=1e-6, abs_tol=1e-12):
            raise UserError(
                f"lr_scale: {type(schedule).__name__} does not keep the ratios of learning rates: take one "
                "of cnntrain's schedules, such as schedule=onecycle"
            )
        optimizer.step()
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(0.0)
        else:
            schedule.step()
