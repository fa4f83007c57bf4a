"""What is typed behind a command, KEY=VALUE: what it means to Hydra, and what is wrong with a wrong one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnntrain.config import conf_folder, groups, read_yaml
from cnntrain.errors import UserError, did_you_mean, nearest
from cnntrain.schema import GROUPS, KEYS

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

# Groups in which a class of the user's own may stand: optim._target_=torch.optim.NAdam
CUSTOM_GROUPS = ("model", "optim")
# Keys whose values are file names, in which Hydra's grammar has no business.
PATH_KEYS = ("out", "name", "data.root", "init_from")


def normalized(overrides: Iterable[str]) -> list[str]:
    """Rewrite overrides so that Hydra takes what a person means.

    Paths are quoted. A class of the user's own (``model._target_=my_pkg.MyNet``) brings no arguments of the
    default's with it: the group becomes ``custom`` and every other key of it an addition.
    """
    result = [quoted(named(override)) for override in overrides if override != "experiment=null"]
    for group in (*CUSTOM_GROUPS, "criterion"):
        has_class = any(override.startswith(f"{group}._target_=") for override in result)
        if not has_class or any(override.startswith(f"{group}=") for override in result):
            continue
        own = [override.partition("=")[0] for override in result]
        result = [f"++{o}" if o.startswith(f"{group}.") else o for o in result]
        if group in CUSTOM_GROUPS:
            result.insert(0, f"{group}=custom")
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
    """Quote a file name, lest Hydra's grammar take it for a number, a list or nonsense."""
    key, _, value = override.partition("=")
    if key not in PATH_KEYS or not value or value == "null" or value[0] in "'\"" or "," in value:
        return override
    # In quotes, backslashes count only before a quote.
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + (r"\'" if m[2] else ""), value)
    return f"{key}='{escaped}'"


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
    for override in overrides:
        try:
            parsed.append(parser.parse_override(override))
        except HydraException as error:
            raise UserError(malformed(override)) from error
        if not parsed[-1].key_or_group:
            raise UserError(malformed(override))
    return parsed


def malformed(override: str) -> str:
    """Say what is wrong with an override that Hydra's grammar refuses."""
    key, equals, value = override.partition("=")
    if not equals:
        head, *tail = re.split("[ :/]", override, maxsplit=1)
        near = [head] if head in (*KEYS, *groups()) else nearest(override, KEYS, likeness=0.7)
        example = f"{near[0]}={tail[0] if tail else 'VALUE'}" if near else "epochs=10"
        return f"{override or 'an empty word'} is not KEY=VALUE: write it without spaces, such as {example}"
    if not key:
        return f"{override} has no key before the =: write KEY=VALUE, such as epochs=10"
    if not re.fullmatch(r"[+~]*[\w./@:-]+", key):
        return f"{override}: {key} is no key{did_you_mean(key, KEYS)}; write KEY=VALUE, such as epochs=10"
    if value.startswith("="):
        return f"{override} has an = too many: {key}={value.lstrip('=') or 'VALUE'}"
    return (
        f"{override}: the value is malformed\n"
        f"lists are written '{key}=[A,B]'; text with special characters is quoted twice: \"{key}='TEXT'\""
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
            if key in GROUPS and key in offered:
                raise UserError(
                    f"~{key}: nothing works without {key}; choose another: {key}={'|'.join(offered[key])}"
                )
        elif key in offered:
            check_choice(override, offered)


def several_values(override: Override) -> str:
    """Say what to do about several values where one is wanted."""
    key, rule = override.key_or_group, KEYS.get(override.key_or_group)
    value = (override.input_line or "").partition("=")[2]
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
            name = value if "." in value else "my_pkg.MyClass"
            own = f"; a class of your own: {group}._target_={name}" if group in CUSTOM_GROUPS else ""
            raise UserError(
                f"{group}={value} is not there{did_you_mean(value, offered[group])}\n"
                f"{group} takes {', '.join(offered[group])}{own}"
            )
