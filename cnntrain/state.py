"""What a checkpoint may hold: one typed schema, checked when it is loaded, before anything is made of it.

A checkpoint is a file from anywhere. ``torch.load(weights_only=True)`` keeps code out, but lets through any
nesting of plain types: a number where a list belongs, a list that holds itself, a tensor of zeros that claims
more memory than there is. Here each part has a type, a range and a size. Weights must be finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.errors import CheckpointError
from cnntrain.text import printable

DEEPEST = 24  # levels of nesting
MOST_VALUES = 2_000_000  # in all containers together: a history of 100,000 epochs has half of them
LONGEST_TEXT = 20_000  # characters
LARGEST = 2**64  # of a whole number
SIZE_OF_STORAGE = 8  # by this factor tensors may be larger than the memory that holds them, which they share
SMALL = 2**26  # bytes of tensors that need no such bound
MOST_CLASSES, LONGEST_NAME = 1_000_000, 4096
WORD = 2**32  # of a random generator's state

Rule = Callable[[Any, str], None]


class Unfit(Exception):
    """A value that its place in a checkpoint can't have."""

    def __init__(self, where: str, value: Any, wanted: str) -> None:
        given = type(value).__name__ if isinstance(value, dict | list | tuple | set | Tensor) else repr(value)
        super().__init__(f"{printable(where, 100)} is {printable(given, 60)}, not {wanted}")


def check(state: Mapping[str, Any], path: object) -> None:
    """Raise a CheckpointError unless a checkpoint's contents are what ``train`` would have written.

    Args:
        state: what ``torch.load`` returned, a dictionary.
        path: of the file, for messages.
    """
    try:
        check_plain(state)
        check_sizes(state)
        for name, rule in PARTS.items():
            if name in state:
                rule(state[name], name)
    except Unfit as error:
        raise CheckpointError(f"{path} is damaged, or no checkpoint of cnntrain: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise CheckpointError(f"{path} is nested too deeply to be a checkpoint of cnntrain") from error
    for part in WEIGHTS:
        bad = first_not_finite(state.get(part) or {})
        if bad is not None:
            raise CheckpointError(
                f"{path} can't be used: its weights {printable(bad, 100)} hold NaN or infinite values"
            )


def first_not_finite(weights: Mapping[str, Any]) -> str | None:
    """Return the name of the first tensor with a NaN or infinite value, or None.

    A mask of 0 and minus infinity, as attention has it, is no weight.
    """
    for name, weight in weights.items():
        if not isinstance(weight, Tensor) or not (weight.is_floating_point() or weight.is_complex()):
            continue
        if not bool(weight.isfinite().all()) and not is_mask(weight):
            return str(name)
    return None


def is_mask(weight: Tensor) -> bool:
    """Say whether a tensor holds nothing but 0 and minus infinity."""
    return not weight.is_complex() and bool(((weight == 0) | (weight == -math.inf)).all())


def check_plain(state: Any) -> None:
    """Check that there is nothing but plain types and dense tensors, at a bounded depth and number."""
    waiting, seen = [(state, "", 0)], 0
    while waiting:
        value, where, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_VALUES:
            raise Unfit(where, value, "nested so deeply, or so large" if depth > DEEPEST else "so large")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str | int):
                    raise Unfit(f"{where} has a key that", key, "text or a whole number")
                check_scalar(key, f"a key of {where or 'it'}")
            waiting += [
                (item, f"{where}.{key}" if where else str(key), depth + 1) for key, item in value.items()
            ]
        elif isinstance(value, list | tuple | set):
            waiting += [(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
        elif isinstance(value, Tensor):
            check_dense(value, where)
        else:
            check_scalar(value, where)


def check_dense(value: Tensor, where: str) -> None:
    """Check that a tensor is an ordinary one."""
    is_plain = type(value) in (Tensor, nn.Parameter) and value.layout is torch.strided
    if not is_plain or value.is_nested or value.is_quantized or value.device.type != "cpu":
        raise Unfit(where, value, "a dense tensor")


def check_scalar(value: Any, where: str) -> None:
    """Check a value that holds no others."""
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise Unfit(where, value, f"text of up to {LONGEST_TEXT:,} characters")
        try:
            value.encode("utf-8", "surrogateescape")  # as names of files are kept that are not UTF-8
        except UnicodeEncodeError as error:
            raise Unfit(where, value, "text that can be written") from error
    elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        raise Unfit(where, "a number of many digits", "a number of 64 bits")
    elif not isinstance(value, int | float | None | torch.dtype | torch.device):
        raise Unfit(where, f"of type {type(value).__name__}", "plain data")


def check_sizes(state: Any) -> None:
    """Check that tensors do not claim far more elements than the file has brought."""
    claimed, held = 0, {}
    waiting = [state]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            storage = value.untyped_storage()
            claimed += value.numel() * value.element_size()
            held[storage.data_ptr()] = storage.nbytes()
        elif isinstance(value, dict | list | tuple | set):
            waiting += value.values() if isinstance(value, dict) else value
    if claimed > SIZE_OF_STORAGE * sum(held.values()) + SMALL:
        raise Unfit("the size of its tensors", f"{claimed:,} bytes", "what the file holds")


def whole(low: int = 0, high: int = 2**62) -> Rule:
    """Return the rule of a whole number."""

    def rule(value: Any, where: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Unfit(where, value, f"a whole number of at least {low}")

    return rule


def number(low: float = -math.inf, above: bool = False) -> Rule:
    """Return the rule of a finite number."""

    def rule(value: Any, where: str) -> None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not fits or value < low or (above and value == low):
            raise Unfit(where, value, "a number" if low == -math.inf else f"a number of at least {low:g}")

    return rule


def text(longest: int = LONGEST_NAME) -> Rule:
    """Return the rule of text."""

    def rule(value: Any, where: str) -> None:
        if not isinstance(value, str) or len(value) > longest:
            raise Unfit(where, value, "text")

    return rule


def optional(own: Rule) -> Rule:
    """Return the rule of what may be None."""

    def rule(value: Any, where: str) -> None:
        if value is not None:
            own(value, where)

    return rule


def items(
    own: Rule, low: int = 0, high: int = MOST_VALUES, kind: type[list[Any]] | type[tuple[Any, ...]] = list
) -> Rule:
    """Return the rule of a list of like things, from ``low`` to ``high`` of them."""

    def rule(value: Any, where: str) -> None:
        if not isinstance(value, kind) or not low <= len(value) <= high:
            raise Unfit(where, value, f"a {kind.__name__} of {low} or more")
        for index, item in enumerate(value):
            own(item, f"{where}[{index}]")

    return rule


def mapping(own: Rule, key_kind: type = str) -> Rule:
    """Return the rule of like things by name."""

    def rule(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise Unfit(where, value, "a dictionary")
        for key, item in value.items():
            if not isinstance(key, key_kind):
                raise Unfit(f"a key of {where}", key, "text" if key_kind is str else "a whole number")
            own(item, f"{where}.{key}")

    return rule


def fields(needed: Mapping[str, Rule], others: Mapping[str, Rule] | None = None) -> Rule:
    """Return the rule of different things by name: those that are needed, and others that may be there."""

    def rule(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise Unfit(where, value, "a dictionary")
        for name, own in needed.items():
            if name not in value:
                raise Unfit(f"{where}.{name}", "missing", "there")
            own(value[name], f"{where}.{name}")
        for name, own in (others or {}).items():
            if name in value:
                own(value[name], f"{where}.{name}")

    return rule


def in_order(*rules: Rule) -> Rule:
    """Return the rule of a list or tuple of different things."""

    def rule(value: Any, where: str) -> None:
        if not isinstance(value, list | tuple) or len(value) != len(rules):
            raise Unfit(where, value, f"a list of {len(rules)}")
        for index, (own, item) in enumerate(zip(rules, value, strict=True)):
            own(item, f"{where}[{index}]")

    return rule


def tensor(value: Any, where: str) -> None:
    """Check that a value is a tensor."""
    if not isinstance(value, Tensor):
        raise Unfit(where, value, "a tensor")


def anything(value: Any, where: str) -> None:
    """Let any plain data through: they are checked by whoever takes them."""


def configuration(value: Any, where: str) -> None:
    """Check that a configuration holds what YAML holds; what its keys may be is checked by their schema."""
    mapping(anything)(value, where)
    waiting = [(value, where)]
    while waiting:
        node, place = waiting.pop()
        if isinstance(node, dict):
            if not all(isinstance(key, str) for key in node):
                raise Unfit(f"a key of {place}", node, "text")
            waiting += [(item, f"{place}.{key}") for key, item in node.items()]
        elif isinstance(node, list | tuple):
            waiting += [(item, place) for item in node]
        elif isinstance(node, float) and not math.isfinite(node):
            raise Unfit(place, node, "a finite number")
        elif not isinstance(node, str | int | float | None):
            raise Unfit(place, node, "what a configuration holds")


def fingerprint(value: Any, where: str) -> None:
    """Check what tells data from others."""
    if not isinstance(value, str | int | None):
        raise Unfit(where, value, "a checksum")


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
        raise Unfit(f"{where}.history", f"of {len(history)} epochs", f"of {value['epoch']}")
    if step_in_epoch and value.get("mean") is None:
        raise Unfit(f"{where}.mean", None, "there in the middle of an epoch")


FIGURES = ("lr", "train_loss", "train_accuracy", "seconds", "images_per_second")
ROW = fields(
    {
        "epoch": whole(1),
        "step": whole(),
        **{name: number() for name in FIGURES},
        **{name: optional(number()) for name in ("val_loss", "val_accuracy")},
    }
)
BEST = fields(
    {
        "epoch": whole(1),
        "step": whole(),
        **{name: number() for name in (*FIGURES, "val_loss", "val_accuracy")},
    }
)
SUMS = fields(
    {"loss_sum": number(), "correct": whole(), "seen": whole(1), "batches": whole(1)}, {"weight": number(0)}
)
PROGRESS = fields(
    {"epoch": whole(0, 10**9)},
    {
        "step_in_epoch": whole(),
        "step": whole(),
        "stale": whole(),
        "best": optional(BEST),
        "history": items(ROW),
        "mean": optional(SUMS),
        "epoch_seconds": number(0),
        "lr": number(),
    },
)
OPTIMIZER = fields(
    {"state": mapping(mapping(anything), key_kind=int), "param_groups": items(mapping(anything), low=1)}
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
PARTS: dict[str, Rule] = {
    "config": configuration,
    "class_names": items(text(), 1, MOST_CLASSES),
    "input_shape": in_order(whole(1, 64), whole(1, 2**14), whole(1, 2**14)),
    "normalization": fields({"mean": items(number(), 1, 64), "std": items(number(0, above=True), 1, 64)}),
    "data_fingerprint": fingerprint,
    "split": optional(text()),
    "versions": mapping(text()),
    "init_from": optional(STARTED),
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
