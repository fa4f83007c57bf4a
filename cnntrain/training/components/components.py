"""The parts of a run that the configuration names. Each is tried before any data is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cnntrain.config.inputs import CALLED
from cnntrain.config.instantiate import build
from cnntrain.config.keys import data_with
from cnntrain.config.sections import ModelSettings
from cnntrain.errors import CheckpointError, UserError, describe_error
from cnntrain.optim.freezing import Freezing
from cnntrain.runtime.torch_private import has_compiler
from cnntrain.tasks.base import Task

SMALL, SMALL_IMAGE = 5_000_000, 3 * 256 * 256  # parameters, and values of an image, that are soon computed


def build_task(settings: ModelSettings, trust: Sequence[str] | None) -> Task:
    """Build the task for the shape and the classes of the data.

    Raises:
        UserError: it learns from other targets than the data have.
    """
    task: Task = build(
        "task", settings.task, Task, trust, input_shape=settings.shape, num_classes=settings.num_classes
    )
    if task.learns_from != settings.targets:
        raise UserError(
            f"task: {type(task).__name__} learns from {task.learns_from}, and these data have "
            f"{settings.targets} (data.targets): take {data_with(task.learns_from)}, or another task or model"
        )
    task.called = CALLED[settings.inputs]
    return task


def build_model(settings: ModelSettings, trust: Sequence[str] | None) -> nn.Module:
    """Build the network for the shape and the classes of the data, and check its output on zeros."""
    model = untried(settings, trust)
    check_takes(model, build_task(settings, trust), "cpu")
    return model


def describe_model(settings: ModelSettings, trust: Sequence[str] | None) -> nn.Module:
    """Build the network for its shapes alone: without memory, unless it is small or ``needs_values``.

    On the meta device, torch takes 2 s to import its compiler for the first layer that it calls.
    """
    with torch.device("meta"):
        model = untried(settings, trust)
    device = "meta"
    sizes = [math.inf if is_lazy(p) else p.numel() for p in model.parameters()]
    is_small = sum(sizes) <= SMALL and math.prod(settings.shape) <= SMALL_IMAGE
    needs_values = getattr(model, "needs_values", False)
    if needs_values and settings.node.get("weights"):  # any values do: none are downloaded
        settings = replace(settings, node={**settings.node, "weights": None})
    if (is_small and not has_compiler()) or needs_values:
        with torch.random.fork_rng(devices=[]):
            model, device = untried(settings, trust), "cpu"
    check_takes(model, build_task(settings, trust), device)
    return model


def untried(settings: ModelSettings, trust: Sequence[str] | None) -> nn.Module:
    """Build the network for the shape and the classes of the data."""
    known = build_task(settings, trust).model_inputs()
    known |= {"inputs": settings.inputs, "vocabulary": settings.token_count}
    model: nn.Module = build("model", settings.node, nn.Module, trust, **known)
    return model


def check_takes(model: nn.Module, task: Task, device: str) -> None:
    """See that a network takes images of the data's shape and gives what its task wants.

    Args:
        model: the network, which is left in evaluation mode.
        task: what it is to learn.
        device: the device of the network.

    Raises:
        UserError: it does not.
    """
    shape, name = task.input_shape, type(model).__name__
    model.eval()  # so that the trial below draws nothing and changes no statistics
    with torch.device(device):
        try:
            with torch.no_grad():
                output = model(torch.zeros(2, *shape))
        except Exception as error:  # whatever a network of the user's may raise
            size = "x".join(map(str, shape))
            what = f"{task.called.words} of {size}"
            raise UserError(f"model: {name} can't take {what}: {describe_error(error)}") from error
    task.check_output(name, output)


def build_freezing(
    model: nn.Module, freeze: str | Sequence[str] | None, unfreeze_epoch: int | None, num_classes: int
) -> Freezing:
    """Freeze the parameters whose names match one of the patterns; nothing, if there are none."""
    patterns = [freeze] if isinstance(freeze, str) else freeze or []
    return Freezing(model, patterns, unfreeze_epoch, num_classes)


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Load a checkpoint's weights into the model that its configuration describes."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: the weights do not fit the model that the configuration describes"
        ) from error
