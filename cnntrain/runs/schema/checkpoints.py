"""The schema of a checkpoint. It is checked when a checkpoint is loaded, before anything is built from it.

A checkpoint is a file from anywhere. ``torch.load(weights_only=True)`` keeps code out, but lets through any
nesting of plain types: a number where a list belongs, a list that holds itself, a tensor of zeros that claims
more memory than there is. Here each part has a type, a range and a size. Weights must be finite.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from cnntrain.errors import CheckpointError
from cnntrain.runs.schema.rules import (
    InvalidValue,
    Rule,
    anything,
    check_plain,
    check_sizes,
    fields,
    in_order,
    items,
    mapping,
    number,
    numbers,
    optional,
    tensor,
    text,
    whole,
)
from cnntrain.text import printable

MOST_CLASSES = 1_000_000
WORD = 2**32  # of a random generator's state


def check(state: Mapping[str, Any], path: object) -> None:
    """Raise a CheckpointError unless a checkpoint's contents are what ``train`` would have written.

    Args:
        state: the dictionary that ``torch.load`` returned.
        path: the path of the file, for messages.
    """
    try:
        check_parts(state)
    except InvalidValue as error:
        raise CheckpointError(f"{path} is damaged, or not a checkpoint of cnntrain: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise CheckpointError(f"{path} is nested too deeply to be a checkpoint of cnntrain") from error
    known = state.get(NOT_FINITE, ())
    for part in WEIGHTS:
        bad = first_not_finite(state.get(part) or {}, known)
        if bad is not None:
            raise CheckpointError(
                f"{path} can't be used: its weights {printable(bad, 100)} hold NaN or infinite values"
            )


def check_parts(state: Mapping[str, Any], in_file: bool = True) -> None:
    """Raise Unfit unless each part of a checkpoint has the types, ranges and sizes that it can have."""
    check_plain(state, in_file)
    check_sizes(state)
    for name, rule in PARTS.items():
        if name in state:
            rule(state[name], name)


def first_not_finite(weights: Mapping[str, Any], known: Collection[str] = ()) -> str | None:
    """Return the name of the first tensor with a NaN or infinite value, or None.

    A mask of 0 and minus infinity, as attention has it, is no weight.

    Args:
        weights: the state of a module.
        known: names of buffers that may have such values, as they had them before the first step.
    """
    named = ((str(name), weight) for name, weight in weights.items() if name not in known)
    return next((name for name, weight in named if not is_finite(weight)), None)


def is_finite(weight: Any) -> bool:
    """Return whether a tensor holds finite numbers alone or is a mask; anything else is finite."""
    if not isinstance(weight, Tensor) or not (weight.is_floating_point() or weight.is_complex()):
        return True
    if weight.element_size() == 1:  # not every format of 8 bits can say it
        weight = weight.to(torch.float32)
    return bool(weight.isfinite().all()) or is_mask(weight)


def is_mask(weight: Tensor) -> bool:
    """Return whether a tensor holds nothing but 0 and minus infinity."""
    return not weight.is_complex() and bool(((weight == 0) | (weight == -math.inf)).all())


def configuration(value: Any, where: str) -> None:
    """Check that a configuration holds what YAML holds; what its keys may be is checked by their schema."""
    mapping(anything)(value, where)
    waiting = [(value, where)]
    while waiting:
        node, place = waiting.pop()
        if isinstance(node, dict):
            if not all(isinstance(key, str) for key in node):
                raise InvalidValue(f"a key of {place}", node, "text")
            waiting += [(item, f"{place}.{key}") for key, item in node.items()]
        elif isinstance(node, list | tuple):
            waiting += [(item, place) for item in node]
        elif isinstance(node, float) and not math.isfinite(node):
            raise InvalidValue(place, node, "a finite number")
        elif not isinstance(node, str | int | float | None):
            raise InvalidValue(place, node, "what a configuration holds")


def fingerprint(value: Any, where: str) -> None:
    """Check the values by which data are recognised."""
    if not isinstance(value, str | int | None):
        raise InvalidValue(where, value, "a checksum")


def weights(value: Any, where: str) -> None:
    """Check the state of a module: tensors by name, and what its modules keep besides."""
    mapping(anything)(value, where)
    for name, item in value.items():
        if not name.endswith("_extra_state"):
            tensor(item, f"{where}.{name}")


def progress(value: Any, where: str) -> None:
    """Check where a run is; its parts must agree."""
    PROGRESS(value, where)
    history, step_in_epoch = value.get("history"), value.get("step_in_epoch", 0)
    if history is not None and len(history) != value["epoch"]:
        raise InvalidValue(f"{where}.history", f"of {len(history)} epochs", f"of {value['epoch']}")
    if step_in_epoch and value.get("mean") is None:
        raise InvalidValue(f"{where}.mean", None, "there in the middle of an epoch")


# An epoch's row of metrics.csv. Which scores it has depends on the task; training/progress.py checks that.
ROW = fields(
    {
        "epoch": whole(1),
        "step": whole(),
        **{name: number() for name in ("lr", "seconds", "images_per_second")},
    },
    unnamed=optional(number()),
)
# What the running mean of an epoch adds up. Which scores it has depends on the task, which checks that.
SUMS = fields(
    {"loss_sum": number(), "seen": whole(1), "batches": whole(1)}, {"weight": number(0)}, unnamed=numbers
)
PROGRESS = fields(
    {"epoch": whole(0, 10**9)},
    {
        "step_in_epoch": whole(),
        "step": whole(),
        "stale": whole(),
        "best": optional(ROW),
        "history": items(ROW),
        "mean": optional(SUMS),
        "epoch_seconds": number(0),
        "lr": number(),
        "chosen": mapping(number()),
    },
)
OPTIMIZER = fields(
    # An optimizer of the user's may keep anything by any name; restoring.py knows what torch's keep.
    {"state": mapping(anything, key_kind=(int, str)), "param_groups": items(mapping(anything), low=1)}
)
RANDOM = fields(
    {
        "torch": tensor,
        "python": in_order(whole(3, 3), items(whole(0, WORD), 625, 625, tuple), optional(number())),
        "numpy": in_order(text(), items(whole(0, WORD), 624, 624), whole(0, 624), whole(0, 1), number()),
    },
    {"cuda": items(tensor), "mps": tensor},
)
STARTED = fields(
    {
        "checkpoint": text(),
        "crc32": text(),
        "epoch": whole(),
        "class_names": items(text(), 1, MOST_CLASSES),
        "new_head": optional(text()),
    }
)
NOT_FINITE = "not_finite"  # names of buffers that held infinite values before the first step
PARTS: dict[str, Rule] = {
    "config": configuration,
    "class_names": items(text(), 1, MOST_CLASSES),
    "input_shape": in_order(whole(1, 64), whole(1, 2**14), whole(1, 2**14)),
    "normalization": fields({"mean": items(number(), 1, 64), "std": items(number(0, above=True), 1, 64)}),
    "data_fingerprint": fingerprint,
    "split": optional(text()),
    "versions": mapping(text()),
    "init_from": optional(STARTED),
    NOT_FINITE: items(text()),
    "model": weights,
    "model_in_training": weights,
    "optimizer": OPTIMIZER,
    "schedule": mapping(anything),
    "scaler": mapping(anything),
    "progress": progress,
    "random": RANDOM,
    "random_of_others": items(RANDOM),
}
WEIGHTS = ("model", "model_in_training")
