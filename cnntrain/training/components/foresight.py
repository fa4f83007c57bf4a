"""The memory that a checkpoint's model would take, computed without any, before it is built.

A configuration of a few bytes can describe a network of a hundred gigabytes, or images of that size. The meta
device of torch knows shapes without values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.config.instantiate import is_own_class, targets
from cnntrain.config.sections import ModelSettings
from cnntrain.errors import CheckpointError
from cnntrain.models.hooks import forward_hooks
from cnntrain.runtime import memory
from cnntrain.runtime.console import format_bytes
from cnntrain.tasks.base import Task
from cnntrain.text import printable
from cnntrain.training.components.components import build_task, check_takes, untried

BYTES = 4  # of a value, as fp32
USUAL = 2 * 3 * 1024**2  # values of two images


def check_size(
    settings: ModelSettings, weights: Mapping[str, Any], path: Path, trust: Sequence[str] | None
) -> None:
    """Check that a checkpoint's weights fit the model it describes, and that two images fit into the memory.

    What the user typed is not looked at, nor are classes of others, which may need values.

    Args:
        settings: the network that the checkpoint describes.
        weights: the weights of the model, by name.
        path: the path of the checkpoint.
        trust: packages that the checkpoint may name; None for what the user typed.

    Raises:
        CheckpointError: they do not.
    """
    if trust is None or not all(map(is_own_class, targets(settings.node))):
        return
    with torch.device("meta"):
        model = untried(settings, trust)
    empty = model.state_dict()
    for name in {**empty, **weights}:
        here, there = empty.get(name), weights.get(name)
        if isinstance(here, Tensor) and isinstance(there, Tensor) and here.shape == there.shape:
            continue
        if not name.endswith("_extra_state"):
            raise CheckpointError(
                f"{printable(path)}: the weights do not fit the model that the configuration describes: "
                f"{printable(name, 100)}"
            )
    needed, free = BYTES * largest_output(model, build_task(settings, trust)), memory.free()
    if needed > free:
        raise CheckpointError(
            f"{printable(path)}: two images take {format_bytes(needed)} in a single layer, and "
            f"{format_bytes(free)} of memory are free"
        )


def largest_output(model: nn.Module, task: Task) -> int:
    """Return the number of values of the largest tensor that a layer makes of two images.

    For images of usual sizes only that of the images is looked at: the first call of a layer on the meta
    device takes 2 s. The same is true of a network that ``needs_values``, which the meta device has not.

    Args:
        model: on the meta device.
        task: the task of the network.
    """
    outputs = [2 * math.prod(task.input_shape)]
    if outputs[0] <= USUAL or getattr(model, "needs_values", False):
        return outputs[0]

    def record(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            outputs.append(output.numel())

    with forward_hooks(model.named_modules(), record):
        check_takes(model, task, "meta")
    return max(outputs)
