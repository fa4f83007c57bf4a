"""From the arguments of a Python call to the overrides that one would type: KEY=VALUE."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cnntrain.config.conf_files import groups
from cnntrain.config.overrides import in_quotes
from cnntrain.errors import UserError

# Text that Hydra's grammar takes as it is, unless it is the name of another value.
PLAIN = re.compile(r"[A-Za-z_]\w*")
NAMES_OF_VALUES = ("null", "true", "false", "nan", "inf")


def words_of(overrides: Sequence[str], keys: Mapping[str, Any]) -> list[str]:
    """Return overrides and keyword arguments as one list of overrides, the keyword arguments last.

    Args:
        overrides: the overrides as one would type them, such as ``["model=mlp", "optim.lr=0.01"]``.
        keys: Python values by their keys. A double underscore stands for a dot: ``optim__lr=0.01``.

    Raises:
        UserError: something is not an override, or a value has no form on the command line.
    """
    if isinstance(overrides, str) or not all(isinstance(word, str) for word in overrides):
        raise UserError(
            f'overrides are a list of texts, such as ["model=mlp", "epochs=1"], not {overrides!r}'
        )
    for word in overrides:
        if word in ("-m", "--multirun"):
            raise UserError(f"{word} is for the command line: in Python, call train once for each value")
        if word.startswith("-"):
            raise UserError(f"{word} is a flag of the command line: in Python, write KEY=VALUE or key=value")
    return [*overrides, *(word_of(name.replace("__", "."), value) for name, value in keys.items())]


def word_of(key: str, value: Any) -> str:
    """Return the override that gives a key a Python value."""
    if isinstance(value, Mapping) and key in groups():
        name = next(map(str, value), "name")
        raise UserError(f"{key} takes the name of a choice; one of its keys is written {key}__{name}=...")
    try:
        return f"{key}={text_of(value)}"
    except TypeError as error:
        raise UserError(f"{key} takes {error}") from None


def text_of(value: Any) -> str:
    """Return a Python value in Hydra's grammar.

    Raises:
        TypeError: it has no form there; the text says what has.
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(float(value) if isinstance(value, float) else int(value))  # of a subclass, its number
    if isinstance(value, str):
        is_plain = PLAIN.fullmatch(value) and value.lower() not in NAMES_OF_VALUES
        return value if is_plain else in_quotes(value)
    if isinstance(value, os.PathLike):
        return in_quotes(os.fsdecode(value))
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{name}:{text_of(item)}' for name, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(text_of, value))}]"
    if callable(getattr(value, "item", None)) and getattr(value, "shape", None) == ():  # NumPy, torch
        return text_of(value.item())
    raise TypeError(
        f"text, numbers, True, False, None, lists and dictionaries, not {type(value).__name__} {value!r:.60}"
    )
