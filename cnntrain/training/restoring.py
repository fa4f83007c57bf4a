"""Checks of the state of an optimizer or a schedule in a checkpoint: is it one that such a part can have?

Both take whatever they are given and fail in the first step, or not at all. What a class of torch's would
have is seen from fresh ones: the schedule of the run, and an optimizer of the same kind after a step on tiny
parameters. A class of the user's may keep anything plain, which may grow and begin as None. Whether that can
be read again is checked after the first step of a run, not only when the run is resumed.
"""

from __future__ import annotations

import copy
import io
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cnntrain.errors import CheckpointError, UserError, describe_error
from cnntrain.runs.schema.checkpoints import check_parts
from cnntrain.runs.schema.rules import InvalidValue
from cnntrain.text import printable

# How a step is computed, which the configuration says; an optimizer of torch's changes no other flag either.
FLAGS = ("foreach", "fused", "capturable", "differentiable", "maximize")


class CheckpointMismatch(Exception):
    """A state that its part can't go on from."""

    def __init__(self, where: str, value: str, wanted: str) -> None:
        super().__init__(f"{printable(where, 100)} is {printable(value, 60)}, not {printable(wanted, 60)}")


class Fresh:
    """The state of a run's optimizer and schedule before the first step, to compare other states with.

    Args:
        optimizer: the run's optimizer, before its first step.
        schedule: the run's schedule, before its first step.
        another: makes an optimizer like that of the run for other parameters.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: LRScheduler,
        another: Callable[[list[nn.Parameter]], Optimizer],
    ) -> None:
        self.optimizer, self.schedule, self.another = optimizer, schedule, another
        groups, kept = optimizer.state_dict().get("param_groups", []), schedule.state_dict()
        self.groups = copy.deepcopy(groups) if is_known(optimizer) else groups
        self.kept_by_schedule = copy.deepcopy(kept) if is_known(schedule) else dict(kept)

    def check(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Check the parts ``optimizer`` and ``schedule`` of a checkpoint; return the former with own flags.

        Raises:
            CheckpointError: the run can't go on from it.
        """
        try:
            return self.checked(state)
        except CheckpointMismatch as error:
            raise CheckpointError(f"the checkpoint does not fit its own configuration: {error}") from error

    def check_before_writing(self, state: Mapping[str, Any]) -> None:
        """Check that a state could be read again if it were written, without writing it.

        Raises:
            UserError: it could not.
        """
        try:
            check_parts(state, in_file=False)
            for name, part in state.items():
                check_readable(name, part)
            self.checked(state)
        except (InvalidValue, CheckpointMismatch, RecursionError) as error:
            parts = f"{type(self.optimizer).__name__}, {type(self.schedule).__name__} or the model"
            raise UserError(
                f"{parts} keeps what a checkpoint can't hold, so this run could not be resumed: {error}"
            ) from error

    def checked(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state of the optimizer with its own flags, or raise Misfit."""
        result = self.checked_optimizer(state["optimizer"])
        check_schedule(state["schedule"], self.schedule, self.kept_by_schedule)
        return result

    def checked_optimizer(self, saved: Mapping[str, Any]) -> dict[str, Any]:
        """Return the saved state of the optimizer, with the flags of this one; raise Misfit if it is none."""
        optimizer, groups = self.optimizer, saved["param_groups"]
        if len(groups) != len(self.groups):
            raise CheckpointMismatch("optimizer.param_groups", f"{len(groups)} groups", f"{len(self.groups)}")
        result = []
        for index, (group, own) in enumerate(zip(groups, self.groups, strict=True)):
            where = f"optimizer.param_groups[{index}]"
            if group.get("params") != own["params"]:
                raise CheckpointMismatch(f"{where}.params", "others", "those of the model")
            is_of_torch = type(optimizer).__module__.startswith("torch.optim")
            flags = [
                name for name, v in own.items() if name in FLAGS or (is_of_torch and isinstance(v, bool))
            ]
            group = {**group, **{name: own[name] for name in flags}}
            for name in own:
                if name in group:
                    check = check_like if is_known(optimizer) or name == "lr" else check_kind
                    check(group[name], own[name], f"{where}.{name}")
            result.append(group)
        if is_known(optimizer):
            self.check_entries(saved["state"])
        return {**saved, "param_groups": result}

    def check_entries(self, entries: Mapping[Any, Any]) -> None:
        """Check what an optimizer of torch's keeps for each parameter."""
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        kept = stepped(self.another, {p.dim() for p in parameters})
        for number, entry in entries.items():
            if not isinstance(number, int) or not 0 <= number < len(parameters):
                raise CheckpointMismatch(
                    "optimizer.state", f"for parameter {number}", f"for {len(parameters)}"
                )
            check_entry(entry, parameters[number], kept, f"optimizer.state.{number}")


def is_known(part: object) -> bool:
    """Return whether a part is of a class of torch's or of cnntrain's, whose state is known."""
    return type(part).__module__.partition(".")[0] in ("torch", "cnntrain")


def stepped(
    another: Callable[[list[nn.Parameter]], Optimizer], dimensions: set[int]
) -> dict[int, dict[str, Any]]:
    """Return what an optimizer keeps after a step for a tiny parameter of each number of dimensions.

    Empty if it can't do a step here.
    """
    parameters = [nn.Parameter(torch.ones(tiny_shape(number))) for number in sorted(dimensions)]
    try:
        optimizer = another(parameters)
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        with torch.random.fork_rng([]):
            optimizer.step()
    except Exception:  # whatever an optimizer may refuse
        return {}
    return {parameter.dim(): dict(optimizer.state.get(parameter, {})) for parameter in parameters}


def tiny_shape(dimensions: int) -> tuple[int, ...]:
    """Return the shape of a tiny parameter, each side of another length."""
    return tuple(range(2, 2 + dimensions))


def check_entry(entry: Any, parameter: Tensor, kept: Mapping[int, Mapping[str, Any]], where: str) -> None:
    """Check what is kept for one parameter against what is kept for a tiny one."""
    wanted = kept.get(parameter.dim())
    if wanted is None:
        return
    if not isinstance(entry, Mapping):
        raise CheckpointMismatch(where, repr(entry), "what is kept for a parameter")
    if set(entry) != set(wanted):
        raise CheckpointMismatch(
            where, f"with {', '.join(map(str, entry))}", f"with {', '.join(wanted) or 'nothing'}"
        )
    shapes = {tiny_shape(parameter.dim()): parameter.shape, (): torch.Size(())}
    for name, value in wanted.items():
        check_like(entry[name], value, f"{where}.{name}")
        if isinstance(value, Tensor) and isinstance(entry[name], Tensor):
            shape = shapes.get(tuple(value.shape), entry[name].shape)
            if entry[name].shape != shape:
                raise CheckpointMismatch(
                    f"{where}.{name}", f"of shape {tuple(entry[name].shape)}", f"of {tuple(shape)}"
                )


def check_schedule(saved: Mapping[str, Any], schedule: LRScheduler, fresh: Mapping[str, Any]) -> None:
    """Raise Misfit if the saved state of a schedule, which would take any attributes, is none of its kind."""
    for name, value in saved.items():
        if name in fresh:
            check = check_like if is_known(schedule) else check_kind
            check(value, fresh[name], f"schedule.{name}")
        elif hasattr(schedule, str(name)) and (is_known(schedule) or callable(getattr(schedule, str(name)))):
            raise CheckpointMismatch("schedule", f"with {name}", "what a schedule keeps")


def check_readable(name: str, part: Any) -> None:
    """Raise Misfit if a part of a checkpoint holds subclasses of plain types, which torch would not load."""
    buffer = io.BytesIO()
    try:
        torch.save(without_tensors(part), buffer)
        buffer.seek(0)
        torch.load(buffer, weights_only=True)
    except Exception as error:  # whatever pickle or torch raise
        raise CheckpointMismatch(name, describe_error(error).splitlines()[0], "plain data") from error


def without_tensors(value: Any) -> Any:
    """Return a copy of plain data in which tensors are empty."""
    kind = type(value)
    if isinstance(value, Tensor):
        return torch.empty(0)
    if kind in (dict, OrderedDict):
        return {key: without_tensors(item) for key, item in value.items()}
    return kind(map(without_tensors, value)) if kind in (list, tuple, set) else value


def check_kind(value: Any, example: Any, where: str) -> None:
    """Check that a value of a class of the user's is of the kind of another: a number, text, a list.

    Either may be None, and what a list or a dictionary holds may be anything.
    """
    kinds: Sequence[tuple[type, ...]] = ((bool, int, float, Tensor), (str,), (list, tuple), (dict,))
    kind = next((kind for kind in kinds if isinstance(example, kind)), object)
    if value is not None and not isinstance(value, kind):
        raise CheckpointMismatch(where, repr(value), f"like {example!r}")


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
        raise CheckpointMismatch(where, repr(value), f"like {example!r}")


def is_number(value: Any) -> bool:
    """Return whether a value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)
