"""Rules for data from anywhere: a type, a range and a size for each value, and bounds for all together.

A rule is a function of a value and its place. It raises :class:`InvalidValue` if the value can't stand there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.text import printable

DEEPEST = 24  # levels of nesting
MOST_VALUES = 2_000_000  # in all containers together: a history of 100,000 epochs has half of them
LONGEST_TEXT = 20_000  # characters
LARGEST = 2**64  # of a whole number
SIZE_OF_STORAGE = 8  # by this factor tensors may be larger than the memory that holds them
SMALL = 2**26  # bytes of tensors that need no such bound
LONGEST_NAME = 4096

Rule = Callable[[Any, str], None]


class InvalidValue(Exception):
    """A value that its place in a checkpoint can't have."""

    def __init__(self, where: str, value: Any, wanted: str) -> None:
        given = type(value).__name__ if isinstance(value, dict | list | tuple | set | Tensor) else repr(value)
        super().__init__(f"{printable(where, 100)} is {printable(given, 60)}, not {wanted}")


def check_plain(state: Any, in_file: bool = True) -> None:
    """Check that there is nothing but plain types and dense tensors, at a bounded depth and number.

    Args:
        state: the value to check.
        in_file: whether it was read, which puts all tensors on the CPU; else it is about to be written.
    """
    waiting, seen = [(state, "", 0)], 0
    while waiting:
        value, where, depth = waiting.pop()
        seen += 1
        if depth > DEEPEST or seen > MOST_VALUES:
            raise InvalidValue(
                where, value, "nested so deeply, or so large" if depth > DEEPEST else "so large"
            )
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str | int):
                    raise InvalidValue(f"{where} has a key that", key, "text or a whole number")
                check_scalar(key, f"a key of {where or 'it'}")
            waiting += [
                (item, f"{where}.{key}" if where else str(key), depth + 1) for key, item in value.items()
            ]
        elif isinstance(value, list | tuple | set):
            waiting += [(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
        elif isinstance(value, Tensor):
            check_dense(value, where, in_file)
        else:
            check_scalar(value, where)


def check_dense(value: Tensor, where: str, in_file: bool = True) -> None:
    """Check that a tensor is an ordinary one."""
    is_here = value.device.type == "cpu" if in_file else not value.is_meta
    is_plain = type(value) in (Tensor, nn.Parameter) and value.layout is torch.strided
    if not is_plain or value.is_nested or value.is_quantized or not is_here:
        raise InvalidValue(where, value, "a dense tensor")


def check_scalar(value: Any, where: str) -> None:
    """Check a value that holds no others."""
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise InvalidValue(where, value, f"text of up to {LONGEST_TEXT:,} characters")
        try:
            value.encode("utf-8", "surrogateescape")  # as names of files are kept that are not UTF-8
        except UnicodeEncodeError as error:
            raise InvalidValue(where, value, "text that can be written") from error
    elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        raise InvalidValue(where, "a number of many digits", "a number of 64 bits")
    elif not isinstance(value, int | float | None | torch.dtype | torch.device):
        raise InvalidValue(where, f"of type {type(value).__name__}", "plain data")


def check_sizes(state: Any) -> None:
    """Check that tensors do not claim far more elements than the file has brought.

    What several names share counts once, as in a model that uses a layer again and again.
    """
    claimed: dict[int, int] = {}
    held: dict[int, int] = {}
    waiting = [state]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            storage = value.untyped_storage()
            place, size = storage.data_ptr(), value.numel() * value.element_size()
            claimed[place] = max(size, claimed.get(place, 0))
            held[place] = storage.nbytes()
        elif isinstance(value, dict | list | tuple | set):
            waiting += value.values() if isinstance(value, dict) else value
    total = sum(claimed.values())
    if total > SIZE_OF_STORAGE * sum(held.values()) + SMALL:
        raise InvalidValue("the size of its tensors", f"{total:,} bytes", "what the file holds")


def whole(low: int = 0, high: int = 2**62) -> Rule:
    """Return the rule of a whole number."""

    def rule(value: Any, where: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise InvalidValue(where, value, f"a whole number of at least {low}")

    return rule


def number(low: float = -math.inf, above: bool = False) -> Rule:
    """Return the rule of a finite number."""

    def rule(value: Any, where: str) -> None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not fits or value < low or (above and value == low):
            raise InvalidValue(
                where, value, "a number" if low == -math.inf else f"a number of at least {low:g}"
            )

    return rule


def numbers(value: Any, where: str) -> None:
    """Check that a value is a finite number, or a list of such values."""
    if not isinstance(value, list):
        number()(value, where)
        return
    for index, item in enumerate(value):
        numbers(item, f"{where}[{index}]")


def text(longest: int = LONGEST_NAME) -> Rule:
    """Return the rule of text."""

    def rule(value: Any, where: str) -> None:
        if not isinstance(value, str) or len(value) > longest:
            raise InvalidValue(where, value, "text")

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
            raise InvalidValue(where, value, f"a {kind.__name__} of {low} or more")
        for index, item in enumerate(value):
            own(item, f"{where}[{index}]")

    return rule


def mapping(own: Rule, key_kind: type | tuple[type, ...] = str) -> Rule:
    """Return the rule of like things by name."""

    def rule(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise InvalidValue(where, value, "a dictionary")
        for key, item in value.items():
            if not isinstance(key, key_kind):
                raise InvalidValue(
                    f"a key of {where}", key, "text" if key_kind is str else "text or a whole number"
                )
            own(item, f"{where}.{key}")

    return rule


def fields(
    needed: Mapping[str, Rule], others: Mapping[str, Rule] | None = None, unnamed: Rule | None = None
) -> Rule:
    """Return the rule of different things by name.

    Args:
        needed: those that must be there.
        others: those that may be there.
        unnamed: the rule of all others; None: there may be anything.
    """
    named = {*needed, *(others or {})}

    def rule(value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise InvalidValue(where, value, "a dictionary")
        for name, own in needed.items():
            if name not in value:
                raise InvalidValue(f"{where}.{name}", "missing", "there")
            own(value[name], f"{where}.{name}")
        for name, own in (others or {}).items():
            if name in value:
                own(value[name], f"{where}.{name}")
        if unnamed is not None:
            for name in value.keys() - named:
                unnamed(value[name], f"{where}.{name}")

    return rule


def in_order(*rules: Rule) -> Rule:
    """Return the rule of a list or tuple of different things."""

    def rule(value: Any, where: str) -> None:
        if not isinstance(value, list | tuple) or len(value) != len(rules):
            raise InvalidValue(where, value, f"a list of {len(rules)}")
        for index, (own, item) in enumerate(zip(rules, value, strict=True)):
            own(item, f"{where}[{index}]")

    return rule


def tensor(value: Any, where: str) -> None:
    """Check that a value is a tensor."""
    if not isinstance(value, Tensor):
        raise InvalidValue(where, value, "a tensor")


def anything(value: Any, where: str) -> None:
    """Accept any plain data: the code that uses them checks them."""
