"""Whether the state of an optimizer or a schedule in a checkpoint is one that such a part can have.

Both take whatever they are given and fail in the first step, or not at all. What they would have is seen from
fresh ones: the schedule of the run, and an optimizer of the same kind after a step on two tiny parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cnntrain.errors import CheckpointError
from cnntrain.text import printable

# How a step is computed, which the configuration says; an optimizer of torch's changes no other flag either.
FLAGS = ("foreach", "fused", "capturable", "differentiable", "maximize")


class Tiny(nn.Module):
    """A matrix and a vector, the two shapes for which optimizers keep different things."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.ones(2, 3))
        self.vector = nn.Parameter(torch.ones(3))


def stepped(optimizer: Optimizer) -> dict[int, dict[str, Any]]:
    """Let an optimizer over :class:`Tiny` do a step, and return what it keeps for each number of dimensions.

    Empty if it can't do one here, as may be with an optimizer of the user's.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    try:
        optimizer.step()
    except Exception:  # whatever a class of the user's may raise
        return {}
    return {parameter.dim(): dict(optimizer.state.get(parameter, {})) for parameter in parameters}


def check_optimizer(
    saved: Mapping[str, Any], optimizer: Optimizer, kept: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the saved state of an optimizer, with the flags of this one.

    Args:
        saved: from a checkpoint; of the shape that :mod:`cnntrain.state` describes.
        optimizer: of the run, fresh.
        kept: for parameters of one and of two dimensions, from :func:`stepped`.

    Raises:
        CheckpointError: the optimizer can't go on from it.
    """
    fresh = optimizer.state_dict()["param_groups"]
    groups = saved["param_groups"]
    if len(groups) != len(fresh):
        raise unfit("optimizer.param_groups", f"{len(groups)} groups", f"{len(fresh)}")
    result = []
    for index, (group, own) in enumerate(zip(groups, fresh, strict=True)):
        where = f"optimizer.param_groups[{index}]"
        if group.get("params") != own["params"]:
            raise unfit(f"{where}.params", "others", "those of the model")
        is_of_torch = type(optimizer).__module__.startswith("torch.optim")
        flags = [name for name, v in own.items() if name in FLAGS or (is_of_torch and isinstance(v, bool))]
        group = {**group, **{name: own[name] for name in flags}}
        for name in own:
            if name in group:
                check_like(group[name], own[name], f"{where}.{name}")
        result.append(group)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, entry in saved["state"].items():
        if not 0 <= number < len(parameters):
            raise unfit("optimizer.state", f"for parameter {number}", f"for {len(parameters)}")
        check_entry(entry, parameters[number], kept, f"optimizer.state.{number}")
    return {**saved, "param_groups": result}


def check_entry(
    entry: Mapping[str, Any], parameter: Tensor, kept: Mapping[int, Mapping[str, Any]], where: str
) -> None:
    """Check what is kept for one parameter against what is kept for a tiny one."""
    wanted = kept.get(2 if parameter.dim() > 1 else 1)
    if wanted is None:
        return
    if set(entry) != set(wanted):
        raise unfit(where, f"with {', '.join(map(str, entry))}", f"with {', '.join(wanted) or 'nothing'}")
    shapes = {(2, 3): parameter.shape, (3,): parameter.shape, (): torch.Size(())}
    for name, value in wanted.items():
        check_like(entry[name], value, f"{where}.{name}")
        if isinstance(value, Tensor) and isinstance(entry[name], Tensor):
            shape = shapes.get(tuple(value.shape), entry[name].shape)
            if entry[name].shape != shape:
                raise unfit(f"{where}.{name}", f"of shape {tuple(entry[name].shape)}", f"of {tuple(shape)}")


def check_schedule(saved: Mapping[str, Any], schedule: LRScheduler) -> None:
    """Check the saved state of a schedule, which would take any for attributes of its own.

    Raises:
        CheckpointError: the schedule can't go on from it.
    """
    fresh = schedule.state_dict()
    for name, value in saved.items():
        if name in fresh:
            check_like(value, fresh[name], f"schedule.{name}")
        elif hasattr(schedule, str(name)):
            raise unfit("schedule", f"with {name}", "what a schedule keeps")


def check_like(value: Any, example: Any, where: str) -> None:
    """Check that a value is of the kind of another: a number, a flag, text, a tensor, or lists of them."""
    if example is None:
        fits = not isinstance(value, str | dict)
    elif isinstance(example, bool):
        fits = isinstance(value, bool)
    elif isinstance(example, int | float):
        fits = is_number(value) or (isinstance(value, Tensor) and value.numel() == 1)
        fits = fits and (not math.isfinite(example) or not is_number(value) or math.isfinite(value))
    elif isinstance(example, str):
        fits = isinstance(value, str)
    elif isinstance(example, Tensor):
        fits = isinstance(value, Tensor) or (example.numel() == 1 and is_number(value))
    elif isinstance(example, Mapping):
        fits = isinstance(value, Mapping) and set(value) == set(example)
        for name in example if fits else ():
            check_like(value[name], example[name], f"{where}.{name}")
    elif isinstance(example, list | tuple):
        fits = isinstance(value, list | tuple) and len(value) == len(example)
        for index, (item, own) in enumerate(zip(value, example, strict=True) if fits else ()):
            check_like(item, own, f"{where}[{index}]")
    else:
        fits = True
    if not fits:
        raise unfit(where, repr(value), f"like {example!r}")


def is_number(value: Any) -> bool:
    """Say whether a value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def unfit(where: str, value: str, wanted: str) -> CheckpointError:
    """Return the error of a state that does not fit its part."""
    return CheckpointError(
        f"the checkpoint does not fit its own configuration: {printable(where, 100)} is "
        f"{printable(value, 60)}, not {printable(wanted, 60)}"
    )
