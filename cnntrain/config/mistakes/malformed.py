"""Errors in a typed word that Hydra's grammar refuses, or that names something that does not exist."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnntrain.config.conf_files import defaults, groups
from cnntrain.config.keys import CUSTOM_GROUPS, KEYS, PATHS
from cnntrain.config.mistakes import synonyms
from cnntrain.config.mistakes.networks import other_task
from cnntrain.config.mistakes.suggestions import flag_suggestion, other_tool_hint, plain, unknown_key
from cnntrain.config.mistakes.values import (
    data_for,
    is_square_size,
    number_for,
    override_for,
    with_decimal_point,
)
from cnntrain.config.schema import WHOLE
from cnntrain.errors import nearest
from cnntrain.text import is_there, printable

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

COMMANDS: set[str] = set()  # the command line, which knows them, puts their names here


def malformed(override: str, before: Sequence[str] = (), behind: Sequence[str] = ()) -> str:
    """Return what is wrong with an override that Hydra's grammar refuses, and what to type.

    Args:
        override: the override, as typed.
        before: the words before it; the last may be its beginning: ``epochs= 3``.
        behind: the words after it; the first may be its end: ``epochs = 3``, ``epochs 3``.
    """
    typed = printable(override)
    if (instead := retyped(override, behind)) is not None:
        return f"{typed} has a dash, quote or space that is not a plain one: {instead}"
    key, equals, value = (printable(part) for part in override.partition("="))
    before, behind = [printable(word) for word in before], [printable(word) for word in behind]
    if not equals:
        return f"{typed or 'an empty word'} is not KEY=VALUE: {without_equals(override, before, behind)}"
    if not key:
        ours = [word for word in before[-1:] if word in known_keys()]
        if ours:
            return f"write {ours[0]}={value or ''.join(behind[:1])} without spaces"
        return f"{typed} has no key before the =: write KEY=VALUE, such as epochs=10"
    if key.strip() != key or value.strip() != value:
        return f"write {key.strip()}={value.strip()} without spaces"
    if not re.fullmatch(r"[+~]*[\w./@:-]+", key):
        near = next(iter(nearest(key, KEYS)), "")
        meant = f"did you mean {near}={value}?" if near else "write KEY=VALUE, such as epochs=10"
        return f"{typed}: {printable(key)} is not a key: {meant}"
    if not key.isascii():
        return unknown_key(key, defaults(), value)
    if (whole := with_its_end(value, behind)) is not None:
        return f"{typed}: a list with spaces goes in quotes: {shlex.quote(f'{key}={whole}')}"
    if value.startswith("="):
        return f"{typed} has an = too many: {key}={value.lstrip('=') or 'VALUE'}"
    return (
        f"{typed}: the value is malformed\n"
        f"lists are written '{key}=[A,B]'; text with special characters is quoted twice: \"{key}='TEXT'\""
    )


def with_its_end(value: str, behind: Sequence[str]) -> str | None:
    """Return a value whose brackets the words after it close, without spaces; None if they don't."""
    for word in behind:
        if all(value.count(begin) <= value.count(end) for begin, end in ("[]", "{}", "()")):
            return None
        value += word
        if all(value.count(begin) == value.count(end) for begin, end in ("[]", "{}", "()")):
            return value
    return None


def retyped(override: str, behind: Sequence[str]) -> str | None:
    """Return what to type for a word with typographic dashes, quotes or spaces; None if it has none.

    Args:
        override: the override, as typed.
        behind: the words after it; the first is the value of a flag.
    """
    text = plain(override)
    if text == override:
        return None
    key, equals, value = text.partition("=")
    value = value.strip().strip("\"'").strip()
    if key.startswith("--"):  # a dash before a flag: --epochs, -m
        return f"write -{key[2:]}" if len(key) == 3 else flag_suggestion(key, value or "".join(behind[:1]))
    return f"write {key.strip()}{equals}{value}"


def without_equals(override: str, before: Sequence[str], behind: Sequence[str]) -> str:
    """Return what to type for a word without =, which may belong to its neighbours."""
    if before and before[-1].endswith("="):
        return f"write {before[-1]}{override} without spaces"
    following = "".join(behind[:2] if behind[:1] == ["="] else behind[:1]).lstrip("=")
    has_value = behind[:1] and (behind[0].startswith("=") or "=" not in behind[0])
    if override in known_keys():
        is_apart = has_value and behind[0].startswith("=")
        value = following if has_value and following else "VALUE"
        return f"write {override}={value}{' without spaces' if is_apart else ''}"
    key, _, begun = before[-1].partition("=") if before else ("", "", "")
    if key in PATHS and begun:  # a path with a space in it
        begun = re.sub(r"\\(['\\])", r"\1", begun[1:-1]) if begun[0] == "'" else begun
        rest = itertools.takewhile(lambda word: "=" not in word, behind)
        whole = " ".join([begun, override, *rest])
        return f"text with spaces goes in quotes: {shlex.quote(f'{key}={whole}')}"
    head, *tail = re.split("[ :/]", override, maxsplit=1)
    if tail and head in known_keys():
        return f"write {head}={tail[0].strip()}"
    if instead := of_another_kind(override):
        return instead
    if near := nearest(override, KEYS):
        return f"did you mean {near[0]}=VALUE?"
    return other_tool_hint(override, following if has_value else "") or "options are written so: epochs=10"


def of_another_kind(word: str) -> str:
    """Return what to type for a command, a run or a folder of images in place of an override, or ""."""
    if word == "help":
        return "for help, type cnntrain COMMAND --help"
    if word in COMMANDS:
        return f"only the first word is a command, as in cnntrain {word}"
    if word == "last" or is_there(f"{word}/config.yaml"):
        return "it names a run, for cnntrain resume, eval, report, predict or export"
    instead = data_for(word) if is_there(word) else ""
    return f"did you mean {instead}?" if instead else ""


def known_keys() -> list[str]:
    """Return the keys and the groups."""
    return [*KEYS, *groups()]


def several_values(override: Override, instead_of_them: str = "add -m to run them all") -> str:
    """Return the message for several values where one is needed, with how to run them all."""
    key, rule = override.key_or_group, KEYS.get(override.key_or_group)
    value = (override.input_line or "").partition("=")[2].strip()
    if rule is None and key not in groups() and (instead := other_tool_hint(key, value)):
        return f"unknown key {printable(key)}: {instead}"
    if point := with_decimal_point(key, value):
        return f"{override.input_line}: decimals are written with a point: {point}"
    if key == "device" and re.fullmatch(r"((cuda:)?\d+,?)+", value):
        return f"{override.input_line} is not one device; {synonyms.ABSENT['devices']}"
    if rule is not None and rule.kind == "factors" and (instead := override_for(key, value)):
        return f"{override.input_line} lacks its braces: did you mean {instead}?"
    if rule is not None and rule.kind in WHOLE and is_square_size(value):
        return f"{override.input_line} names several values: did you mean {number_for(key, rule, value)}?"
    text = f"{override.input_line} names several values: {instead_of_them}"
    if rule is not None and rule.kind == "list":
        return f"{text}, or write a list: '{key}=[{value}]'"
    if rule is not None and rule.kind == "str" and not rule.choices:
        return f"{text}, or quote it twice: \"{key}='{value}'\""
    return text


def unknown_choice(group: str, value: str, choices: Sequence[str]) -> str:
    """Return the message for a choice that a group does not have, with what was probably meant."""
    instead = override_for(group, value, choices)
    task = other_task(value) if group == "model" else ""
    other = synonyms.OTHER_LOSS if group == "criterion" else ""
    near = task or (f"did you mean {instead}?" if instead else other)
    name = value if re.fullmatch(r"\w+(\.\w+)+", value) else "my_pkg.MyClass"
    own = f"; a class of your own: {group}._target_={name}" if group in CUSTOM_GROUPS else ""
    listed = ", ".join(choices)
    if not near:
        return f"unknown {group} '{printable(value)}'; choose from {listed}{own}"
    return f"unknown {group} '{printable(value)}': {near}\nchoose from {listed}{own}"
