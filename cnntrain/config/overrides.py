"""Overrides, KEY=VALUE: what a typed one means to Hydra, and what is wrong with a wrong one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnntrain.config.conf_files import groups
from cnntrain.config.keys import CUSTOM_GROUPS, KEYS, PATHS, REQUIRED_GROUPS
from cnntrain.config.mistakes.malformed import malformed, several_values, unknown_choice
from cnntrain.errors import UserError
from cnntrain.text import printable

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

READ_PATHS = tuple(key for key, rule in KEYS.items() if rule.path in ("folder", "run"))
DEEPEST = 20  # levels of nested lists and dictionaries; at 100, Hydra's parser runs out of stack


def normalized(overrides: Iterable[str]) -> list[str]:
    """Rewrite overrides so that Hydra takes what a person means.

    Paths are quoted. A class of the user's own (``model._target_=my_pkg.MyNet``) brings no arguments of the
    default's with it: the group becomes ``custom`` and every other key of it an addition. So do the arguments
    that are typed after ``model=custom``.
    """
    result = [quoted(named(override)) for override in overrides if override != "experiment=null"]
    for group in CUSTOM_GROUPS:
        has_class = any(override.startswith(f"{group}._target_=") for override in result)
        choices = [override for override in result if override.startswith(f"{group}=")]
        if choices[-1:] != [f"{group}=custom"] and (choices or not has_class):
            continue
        result = [f"++{o}" if o.startswith(f"{group}.") else o for o in result]
        result = [o for o in result if not o.startswith(f"~{group}.")]  # it has no arguments to remove
        result[:0] = [] if choices else [f"{group}=custom"]
    return result


def named(override: str) -> str:
    """Replace ``init_from=last`` by the newest run; once this run has begun, it is the newest itself."""
    from cnntrain.runs.lookup import last_run
    from cnntrain.runs.run_folder import typed_path

    key, _, value = override.partition("=")
    if key != "init_from" or "last" not in value.split(",") or typed_path("last").exists():
        return override
    return f"{key}={','.join(str(last_run()) if run == 'last' else run for run in value.split(','))}"


def quoted(override: str) -> str:
    """Quote what Hydra's grammar would take for a number, a list or nonsense: file names, ${a:${b}}."""
    key, _, value = override.partition("=")
    if value.startswith("${") and "${" in value[2:] and "'" not in value:
        return f"{key}='{value}'"
    if key not in PATHS or not value or value == "null" or value[0] in "'\"" or "," in value:
        return override
    return f"{key}={in_quotes(value)}"


def with_absolute_path(override: str) -> str:
    """Return the override of a folder that a run reads with an absolute path, to be resumed from anywhere.

    Args:
        override: an override of one value or of several, quoted or not; any other override stays as it is.
    """
    from cnntrain.runs.run_folder import typed_path

    key, _, value = override.partition("=")
    if key.lstrip("+") not in READ_PATHS or not value or value[0] == "$":
        return override
    (parsed,) = parse([override])
    if not parsed.is_sweep_override():
        values = [parsed.value()]
    elif parsed.is_choice_sweep():
        values = [parse([f"{key}={text}"])[0].value() for text in parsed.sweep_string_iterator()]
    else:
        return override
    texts = [value for value in values if isinstance(value, str) and value]
    if len(texts) < len(values):
        return override
    is_folder = KEYS[key.lstrip("+")].path == "folder"  # else the name of a run is possible too
    found = {text: typed_path(text) for text in texts}
    paths = [str(path.absolute()) if path.exists() or is_folder else value for value, path in found.items()]
    return f"{key}={','.join(map(in_quotes, paths))}"


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
            if key in REQUIRED_GROUPS and key in offered:
                raise UserError(
                    f"~{key}: nothing works without {key}; choose another: {key}={'|'.join(offered[key])}"
                )
        elif key in offered:
            check_choice(override, offered)


def check_choice(override: Override, offered: Mapping[str, Sequence[str]]) -> None:
    """Raise a UserError if a group is asked for a choice that it does not have."""
    from hydra.core.override_parser.types import ValueType

    group = override.key_or_group
    if override.value_type in (ValueType.GLOB_CHOICE_SWEEP, ValueType.INTERVAL_SWEEP):
        return
    wanted: Any = override.value()
    if override.is_sweep_override():
        wanted = list(override.sweep_string_iterator())
    elif not isinstance(wanted, list) or group in REQUIRED_GROUPS:  # experiment=[a,b] lays one over the other
        wanted = [override.get_value_element_as_str()]
    for value in map(str, wanted):
        if value not in offered[group] and (value not in ("null", "None") or group in REQUIRED_GROUPS):
            raise UserError(unknown_choice(group, value, offered[group]))
