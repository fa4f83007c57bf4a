"""Overrides, KEY=VALUE: what a typed one means to Hydra, and what is wrong with a wrong one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnntrain.config import conf_folder, groups, read_yaml
from cnntrain.errors import UserError, nearest
from cnntrain.schema import GROUPS, KEYS
from cnntrain.suggestions import elsewhere, for_flag, number_for, other_task, override_for, plain, with_point
from cnntrain.text import printable

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

# Groups in which a class of the user's own may stand: optim._target_=torch.optim.NAdam
CUSTOM_GROUPS = ("model", "optim")
# Keys whose values are file names, which Hydra's grammar must not read.
PATH_KEYS = ("out", "name", "data.root", "init_from", "json", "run")
DEEPEST = 20  # levels of nested lists and dictionaries; at 100, Hydra's parser runs out of stack


def normalized(overrides: Iterable[str]) -> list[str]:
    """Rewrite overrides so that Hydra takes what a person means.

    Paths are quoted. A class of the user's own (``model._target_=my_pkg.MyNet``) brings no arguments of the
    default's with it: the group becomes ``custom`` and every other key of it an addition. So do the arguments
    that are typed behind ``model=custom``.
    """
    result = [quoted(named(override)) for override in overrides if override != "experiment=null"]
    for group in (*CUSTOM_GROUPS, "criterion"):
        has_class = any(override.startswith(f"{group}._target_=") for override in result)
        choices = [override for override in result if override.startswith(f"{group}=")]
        if choices[-1:] != [f"{group}=custom"] and (choices or not has_class):
            continue
        own = [override.partition("=")[0] for override in result]
        result = [f"++{o}" if o.startswith(f"{group}.") else o for o in result]
        if group in CUSTOM_GROUPS:
            result[:0] = [] if choices else [f"{group}=custom"]
            continue
        arguments = read_yaml(conf_folder() / "train.yaml")[group]
        unwanted = [f"{group}.{name}" for name in arguments if name != "_target_"]
        result += [f"~{key}" for key in unwanted if key not in own]
    return result


def named(override: str) -> str:
    """Put the newest run in the place of ``init_from=last``: once this one has begun, that is the newest."""
    from cnntrain.run_folder import last_run, typed_path

    key, _, value = override.partition("=")
    if key != "init_from" or "last" not in value.split(",") or typed_path("last").exists():
        return override
    return f"{key}={','.join(str(last_run()) if run == 'last' else run for run in value.split(','))}"


def quoted(override: str) -> str:
    """Quote what Hydra's grammar would take for a number, a list or nonsense: file names, ${a:${b}}."""
    key, _, value = override.partition("=")
    if value.startswith("${") and "${" in value[2:] and "'" not in value:
        return f"{key}='{value}'"
    if key not in PATH_KEYS or not value or value == "null" or value[0] in "'\"" or "," in value:
        return override
    return f"{key}={in_quotes(value)}"


def with_absolute_root(override: str) -> str:
    """Return ``data.root=DIR`` with an absolute path: a sweep is resumed from any folder, with the same data.

    Several folders, which are a sweep's jobs and their names, stay as typed.
    """
    from cnntrain.run_folder import typed_path

    key, _, value = override.partition("=")
    if key != "data.root" or not value or value == "null" or value[0] in "'\"$" or "," in value:
        return override
    return f"{key}={typed_path(value).absolute()}"


def in_quotes(value: str) -> str:
    """Return text in the quotes of Hydra's grammar, in which it means itself."""
    # In quotes, backslashes count only before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), value)
    return f"'{escaped}'"


def without_globs(overrides: Iterable[str], config_dir: str | None) -> list[str]:
    """Replace ``schedule=glob(c*)`` by the choices of the group that it stands for.

    Raises:
        UserError: there are none.
    """
    offered, result = groups(config_dir), []
    for override in overrides:
        key, _, value = override.partition("=")
        if not value.startswith("glob("):
            result.append(override)
            continue
        pattern: Any = parse([override])[0].value()
        if key not in offered:
            raise UserError(f"{override}: glob is for groups: {', '.join(offered)}")
        found = [choice for choice in pattern.filter(offered[key]) if choice != "custom"]
        if not found:
            raise UserError(f"{override} matches nothing: {key} takes {', '.join(offered[key])}")
        result.append(f"{key}={','.join(found)}")
    return result


def parse(overrides: Sequence[str]) -> list[Override]:
    """Parse overrides with Hydra's grammar.

    Raises:
        UserError: one is malformed.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    parsed = []
    for index, override in enumerate(overrides):
        check_depth(override)
        try:
            parsed.append(parser.parse_override(override))
        except HydraException as error:
            raise UserError(malformed(override, overrides[:index], overrides[index + 1 :])) from error
        if not parsed[-1].key_or_group:
            raise UserError(malformed(override, overrides[:index], overrides[index + 1 :]))
    return parsed


def check_depth(override: str) -> None:
    """Raise a UserError if the brackets of an override are nested too deep for any value to need it."""
    depth = deepest = 0
    for char in override:
        depth += (char in "[{(") - (char in "]})")
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise UserError(
            f"{printable(override, 60)}: brackets are nested {deepest} deep; at most {DEEPEST} are read"
        )


def malformed(override: str, before: Sequence[str] = (), behind: Sequence[str] = ()) -> str:
    """Return what is wrong with an override that Hydra's grammar refuses, and what to type.

    Args:
        override: as typed.
        before: the words before it; the last may be its beginning: ``epochs= 3``.
        behind: the words behind it; the first may be its end: ``epochs = 3``, ``epochs 3``.
    """
    typed = printable(override)
    if (instead := retyped(override, behind)) is not None:
        return f"{typed} has a dash, quote or space that is not a plain one: {instead}"
    key, equals, value = override.partition("=")
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
        return f"{typed}: {printable(key)} is no key: {meant}"
    if value.startswith("="):
        return f"{typed} has an = too many: {key}={value.lstrip('=') or 'VALUE'}"
    return (
        f"{typed}: the value is malformed\n"
        f"lists are written '{key}=[A,B]'; text with special characters is quoted twice: \"{key}='TEXT'\""
    )


def retyped(override: str, behind: Sequence[str]) -> str | None:
    """Return what to type for a word with typographic dashes, quotes or spaces; None if it has none.

    Args:
        override: as typed.
        behind: the words behind it; the first is the value of a flag.
    """
    text = plain(override)
    if text == override:
        return None
    key, equals, value = text.partition("=")
    value = value.strip().strip("\"'").strip()
    if key.startswith("--"):  # a dash before a flag: --epochs, -m
        return f"write -{key[2:]}" if len(key) == 3 else for_flag(key, value or "".join(behind[:1]))
    return f"write {key.strip()}{equals}{value}"


def without_equals(override: str, before: Sequence[str], behind: Sequence[str]) -> str:
    """Return what to type for a word without =, which may belong to its neighbours."""
    if before and before[-1].endswith("="):
        return f"write {before[-1]}{override} without spaces"
    following = "".join(behind[:2] if behind[:1] == ["="] else behind[:1]).lstrip("=")
    has_value = behind[:1] and (behind[0].startswith("=") or "=" not in behind[0])
    if override in known_keys():
        return f"write {override}={following if has_value and following else 'VALUE'} without spaces"
    head, *tail = re.split("[ :/]", override, maxsplit=1)
    if tail and head in known_keys():
        return f"write it without spaces, such as {head}={tail[0].strip()}"
    if near := nearest(override, KEYS):
        return f"write it without spaces, such as {near[0]}=VALUE"
    return elsewhere(override, following if has_value else "") or "write it without spaces, such as epochs=10"


def known_keys() -> list[str]:
    """Return the keys and the groups."""
    return [*KEYS, *groups()]


def check_overrides(overrides: Sequence[str], config_dir: str | None, is_sweep: bool) -> None:
    """Check what can be checked before anything is composed.

    Raises:
        UserError: one is malformed, has several values without ``-m``, or names a choice that is not there.
    """
    offered = groups(config_dir)
    if any(override.startswith("hydra.searchpath=") for override in overrides):
        offered = {}  # Hydra knows more choices
    for override in parse(overrides):
        key = override.key_or_group
        if override.is_sweep_override() and not is_sweep:
            raise UserError(several_values(override))
        if override.is_delete():
            if key in GROUPS and key in offered:
                raise UserError(
                    f"~{key}: nothing works without {key}; choose another: {key}={'|'.join(offered[key])}"
                )
        elif key in offered:
            check_choice(override, offered)


def several_values(override: Override) -> str:
    """Return the message for several values where one is needed."""
    key, rule = override.key_or_group, KEYS.get(override.key_or_group)
    value = (override.input_line or "").partition("=")[2].strip()
    if rule is None and key not in groups() and (instead := elsewhere(key, value)):
        return f"unknown key {printable(key)}: {instead}"
    if point := with_point(key, value):
        return f"{override.input_line}: decimals are written with a point: {point}"
    if rule is not None and rule.kind == "int" and re.fullmatch(r"(\d+),\1", value):  # a height and a width
        return f"{override.input_line} names several values: did you mean {number_for(key, rule, value)}?"
    text = f"{override.input_line} names several values: add -m to run them all"
    if rule is not None and rule.kind == "list":
        return f"{text}, or write a list: '{key}=[{value}]'"
    if rule is not None and rule.kind == "str" and not rule.choices:
        return f"{text}, or quote it twice: \"{key}='{value}'\""
    return text


def check_choice(override: Override, offered: Mapping[str, Sequence[str]]) -> None:
    """Raise a UserError if a group is asked for a choice that it does not have."""
    from hydra.core.override_parser.types import ValueType

    group = override.key_or_group
    if override.value_type in (ValueType.GLOB_CHOICE_SWEEP, ValueType.INTERVAL_SWEEP):
        return
    wanted: Any = override.value()
    if override.is_sweep_override():
        wanted = list(override.sweep_string_iterator())
    elif not isinstance(wanted, list) or group in GROUPS:  # experiment=[a,b] lays one over the other
        wanted = [override.get_value_element_as_str()]
    for value in map(str, wanted):
        if value not in offered[group] and (value not in ("null", "None") or group in GROUPS):
            raise UserError(unknown_choice(group, value, offered[group]))


def unknown_choice(group: str, value: str, choices: Sequence[str]) -> str:
    """Return the message for a choice that a group does not have, with what was probably meant."""
    instead = override_for(group, value, choices)
    task = other_task(value) if group == "model" else ""
    near = task or (f"did you mean {instead}?" if instead else "")
    name = value if re.fullmatch(r"\w+(\.\w+)+", value) else "my_pkg.MyClass"
    own = f"; a class of your own: {group}._target_={name}" if group in CUSTOM_GROUPS else ""
    listed = ", ".join(choices)
    if not near:
        return f"unknown {group} '{printable(value)}'; choose from {listed}{own}"
    return f"unknown {group} '{printable(value)}': {near}\nchoose from {listed}{own}"
