"""What a key of the configuration is: its type and range, and all else that may be true of it.

The keys themselves are in :mod:`cnntrain.config.keys`, their values in ``conf/``. Imports no torch, so wrong
input is refused at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, Literal

Affects = Literal["weights", "speed", "output"]
Command = Literal[
    "resume", "resume_sweep", "eval", "report", "predict", "export", "demo", "explain_run", "load", "data"
]
UNCHANGED: Any = object()  # null is a value; this is none


@dataclass(frozen=True)
class Value:
    """What a value must be. Its ``kind`` is one of ``WORDS``."""

    kind: str
    _: KW_ONLY
    low: float | None = None
    high: float | None = None
    above: bool = False  # the value must lie above ``low``, not on it
    below: bool = False  # the value must lie below ``high``, not on it
    choices: tuple[str, ...] = ()
    file: str = ""  # beside the choices, the name of a file that ends so is possible
    optional: bool = False  # null is allowed
    auto: bool = False  # so is the word auto
    items: Value | None = None  # what each item of a list must be
    length: int | None = None  # of a list

    def describe(self) -> str:
        """Return type and range in words: ``a whole number of at least 1``."""
        if self.choices:
            offered = [*self.choices, f"a file *{self.file}"] if self.file else self.choices
            text = " or ".join([", ".join(offered[:-1]), offered[-1]])
        else:
            text = WORDS[self.kind]
        if self.items is not None:
            size = "" if self.length is None else f" of {self.length}"
            text += f"{size}, [A,B,...], each {self.items.describe()}"
        low, high = number(self.low), number(self.high)
        if self.low is not None and self.high is not None:
            start, end = "above" if self.above else "from", "to below" if self.below else "to"
            text += f" {start} {low} {end} {high}"
        elif self.low is not None:
            text += f" {'above' if self.above else 'of at least'} {low}"
        return text + (", or auto" if self.auto else "") + (", or null" if self.optional else "")

    def short(self) -> str:
        """Return type and range as one word: ``INT>=1``, ``FLOAT 0..1``, ``a|b|c``, ``BOOL|auto``."""
        offered = [*self.choices, f"FILE{self.file}"] if self.file else self.choices
        text = "|".join(offered) if offered else SHORT[self.kind]
        several = " or LIST" if self.kind == "counts" else ""
        if self.items is not None:
            text += f" of {'' if self.length is None else f'{self.length} '}{self.items.short()}"
        low, high = number(self.low), number(self.high)
        if self.low is not None and (self.high is None or self.high >= 2**31):
            text += f"{'>' if self.above else '>='}{low}"
        elif self.low is not None:
            text += f" {low}{'<' if self.above else ''}..{'<' if self.below else ''}{high}"
        return text + several + ("|auto" if self.auto else "") + ("|null" if self.optional else "")

    def accepts(self, value: Any) -> bool:
        """Return whether a value has the type and lies in the range; one item may stand for a list of it."""
        if value is None:
            return self.optional
        if value == "auto" and self.auto:
            return True
        if self.choices:
            is_file = bool(self.file) and isinstance(value, str) and value.lower().endswith(self.file)
            return value in self.choices or is_file
        if self.takes_one(value):
            return self.items is not None and self.items.accepts(value)
        if self.kind in ("counts", "size") and isinstance(value, list | tuple):
            item, fits = replace(self, kind="int", auto=False), len(value) == 2 or self.kind == "counts"
            return bool(value) and fits and all(map(item.accepts, value))
        if not PREDICATES[self.kind](value):
            return False
        if self.items is not None:
            fits = self.length is None or len(value) == self.length
            return fits and all(self.items.accepts(item) for item in value)
        if self.low is not None and (value <= self.low if self.above else value < self.low):
            return False
        return self.high is None or (value < self.high if self.below else value <= self.high)

    def takes_one(self, value: Any) -> bool:
        """Return whether a value is a single one where a list of any length is meant."""
        is_list = self.kind == "list" and self.items is not None and self.length is None
        return is_list and not isinstance(value, list | tuple | Mapping) and value not in (None, "auto")


@dataclass(frozen=True)
class Key(Value):
    """All that is true of one key, except its default, which is in ``conf/``.

    Args:
        doc: one line for people.
        affects: what it changes of a run: the trained weights (``weights``), how fast or in how much memory
            they are computed (``speed``), or only what is shown and written, and where (``output``).
        home: the YAML file in ``conf/`` that holds its default, or the folder of such files. By default the
            folder of its group, and train.yaml for a key without a group.
        required: whether each configuration of ``train`` has it. Not a key that some data sets lack.
        commands: what may change it in a saved configuration: the commands, ``resume`` of a sweep, ``explain
            run=RUN`` and the function ``load``. ``data`` reads a folder with it, without a configuration.
        path: whether its value is the name of a file: a ``folder`` that is read, a ``run``, an ``output``,
            or the ``name`` of one. "": it is not a file name.
        examples: values to offer, where others are possible too.
        inferred: what ``auto`` is replaced by before a run begins: a fact of the ``images``, of the
            ``sequences`` or of the ``task``, or the winner of a ``trial`` of speed. "": ``auto`` is not
            possible, or stays.
        targets: the kinds of targets, as in data.targets, that it is for; (): all. With others it is refused.
        inputs: the kinds of inputs, as in data.inputs, that it is for; (): all. With others it is refused.
        is_shape: whether the shapes of a network depend on it.
        prepares: what it does to the images that a network gets: to their ``pixels``, or in their
            ``normalization``. "": neither.
        is_passed_on: whether the class that reads the data gets it.
        of_sweep: whether it says how a sweep is run, and nothing about its jobs.
        splits: whether the choice of the images that train and validate depends on it.
        repeats: whether runs that differ only in it are repeats of one experiment.
        in_script: whether ``explain --as-script`` writes what it does.
        is_common: whether the first page of help shows it.
        local: the value with which a checkpoint sends nothing to another machine.
        before: what runs did before the key was there, where the default is something else.
    """

    doc: str
    affects: Affects
    _: KW_ONLY
    home: str = ""
    required: bool = True
    commands: tuple[Command, ...] = ()
    path: Literal["", "folder", "run", "output", "name"] = ""
    examples: tuple[str, ...] = ()
    inferred: Literal["", "images", "sequences", "task", "trial"] = ""
    targets: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    is_shape: bool = False
    prepares: Literal["", "pixels", "normalization"] = ""
    is_passed_on: bool = False
    of_sweep: bool = False
    splits: bool = False
    repeats: bool = False
    in_script: bool = False
    is_common: bool = False
    local: Any = UNCHANGED
    before: Any = UNCHANGED


@dataclass(frozen=True)
class Group:
    """All that is true of a group of keys. ``affects``, ``commands`` and the like mean what they do in Key.

    Args:
        holds: ``values``, a ``class`` with its arguments, or several ``classes``, each under its own name.
        affects: what its keys change of a run, for those that have no row of their own.
        required: whether a run needs it.
        is_custom: whether a class of the user's own may stand in it: ``optim._target_=torch.optim.NAdam``.
    """

    holds: Literal["values", "class", "classes"]
    affects: Affects
    _: KW_ONLY
    required: bool = True
    is_custom: bool = False
    commands: tuple[Command, ...] = ()
    of_sweep: bool = False
    is_common: bool = False


def number(value: float | None) -> str:
    """Return a bound as people write it: ``0.9``, ``1``, ``9223372036854775807``."""
    return str(value) if isinstance(value, int) else f"{value:g}" if value is not None else ""


WORDS = {
    "int": "a whole number",
    "counts": "a whole number, or a list [A,B,...] with one for each block,",
    "size": "a whole number, or a list [HEIGHT,WIDTH] of two,",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "names": "a name, or a list [A,B,...] of them; * and ? stand for other letters",
    "factors": "a number above 0 for each name, {NAME:N,...}",
    "list": "a list",
    "ids": "a class number for each value, {VALUE:CLASS,...}",
    "tokens": "characters, or words between blanks",
    "colors": "a colour for each class, {NAME:[RED,GREEN,BLUE],...}, each part from 0 to 255",
    "class": "a class and its arguments",
    "any": "any value",
}
SHORT = {
    "int": "INT",
    "counts": "INT",
    "size": "INT or [H,W]",
    "float": "FLOAT",
    "bool": "BOOL",
    "str": "TEXT",
    "names": "NAME or LIST",
    "factors": "{NAME:FLOAT,...}",
    "list": "LIST",
    "ids": "{INT:INT,...}",
    "tokens": "TEXT",
    "colors": "{NAME:[R,G,B],...}",
    "class": "CLASS",
    "any": "ANY",
}
PREDICATES: dict[str, Callable[[Any], bool]] = {
    "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "counts": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "size": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "float": lambda v: isinstance(v, int | float) and not isinstance(v, bool) and is_finite(v),
    "bool": lambda v: isinstance(v, bool),
    "str": lambda v: isinstance(v, str),
    "names": lambda v: all(isinstance(n, str) and n for n in (v if isinstance(v, list) and v else [v])),
    "factors": lambda v: isinstance(v, Mapping) and bool(v) and all(map(is_factor, v.keys(), v.values())),
    "list": lambda v: isinstance(v, list | tuple),
    "ids": lambda v: isinstance(v, Mapping) and bool(v) and all(map(is_id, v.keys(), v.values())),
    "colors": lambda v: isinstance(v, Mapping) and len(v) > 1 and all(map(is_color, v.keys(), v.values())),
    "tokens": lambda v: isinstance(v, str),
    "class": lambda v: isinstance(v, Mapping),
    "any": lambda v: True,
}


def is_finite(value: float) -> bool:
    """Return whether a number is finite as a float, which a whole number of 400 digits is not."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_factor(name: Any, value: Any) -> bool:
    """Return whether something is a name with a number above 0."""
    return isinstance(name, str) and name != "" and PREDICATES["float"](value) and value > 0


def is_id(value: Any, label: Any) -> bool:
    """Return whether something is a value of a mask's pixel, of up to 24 bits, with a class number."""
    are_whole = PREDICATES["int"](value) and PREDICATES["int"](label)
    return are_whole and 0 <= value < 2**24 and 0 <= label < 255


def is_color(name: Any, color: Any) -> bool:
    """Return whether something is a name with a colour of three bytes."""
    if not isinstance(name, str) or not isinstance(color, list | tuple) or len(color) != 3:
        return False
    return name != "" and all(PREDICATES["int"](part) and 0 <= part <= 255 for part in color)


WHOLE = ("int", "counts", "size")  # kinds whose single values are whole numbers

Config = dict[str, Any]
