"""Why Hydra could not compose a configuration, in words for the user."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.config.compose import compose, first_line
from cnntrain.config.conf_files import (
    choice_file,
    conf_folders,
    defaults,
    groups,
    owners,
    raw_yaml,
    user_files,
)
from cnntrain.config.keys import CLASS_GROUPS, KEYS, home_of, is_described, leaves
from cnntrain.config.mistakes.malformed import unknown_choice
from cnntrain.config.mistakes.suggestions import fill_in, other_tool_hint, unknown_key
from cnntrain.config.mistakes.synonyms import OTHER_FAMILY
from cnntrain.config.overrides import parse
from cnntrain.errors import UserError, did_you_mean, nearest

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

MOST_COMBINATIONS = 64  # combinations of a sweep's choices that are searched for an unknown key


def explain_error(error: Exception, overrides: Sequence[str], config_dir: str | None) -> UserError:
    """Turn an exception from Hydra's composition into what the user did wrong."""
    from hydra.errors import MissingConfigException
    from yaml import YAMLError

    try:
        check_keys(overrides, config_dir)
    except UserError as found:
        return found
    except Exception:  # the composition fails for another reason, see below
        pass
    if isinstance(error, YAMLError | UnicodeError):
        return broken_file(error, config_dir)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        return UserError(unknown_choice(group, choice, error.options))
    return UserError(first_line(error))


def broken_file(error: Exception, config_dir: str | None) -> UserError:
    """Return the message for a broken YAML file: the one that the error names, else the first broken one."""
    from yaml import MarkedYAMLError, safe_load

    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return UserError(
            f"{shortest(Path(mark.name))}, line {mark.line + 1}, is not valid YAML: {error.problem}"
        )
    for folder in conf_folders(config_dir)[1:]:
        for path in sorted(folder.rglob("*.yaml")):
            try:
                safe_load(path.read_text())
            except Exception as reason:
                return UserError(f"{shortest(path)} can't be read: {first_line(reason)}")
    return UserError(f"a YAML file can't be read: {first_line(error)}")


def with_origin(
    error: UserError, choices: Mapping[str, Any], typed: Sequence[str], config_dir: str | None
) -> UserError:
    """Add to an error about a key what the user wrote that sets it, unless that is the key itself.

    It is the file of the user's that it stands in, or the choice of a group whose file holds it.
    """
    key = re.sub("^unknown key ", "", str(error)).partition("=")[0].partition(":")[0]
    if any(override.lstrip("+").startswith(f"{key}=") for override in typed):
        return error
    for file in user_files(choices, config_dir):
        content = raw_yaml(file)
        if has_key(content, key) or has_key({file.parent.name: content}, key):
            return UserError(f"{shortest(file)}: {error}")
    group, _, name = key.partition(".")
    for override in parse(typed):
        if override.key_or_group == group and name:
            choice = str(override.value())
            if has_key(raw_yaml(choice_file(group, choice, config_dir)), name):
                return UserError(f"{group}={choice}: {error}")
    return error


def shortest(file: Path) -> Path:
    """Return a file's name as one would type it here."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def check_keys(overrides: Sequence[str], config_dir: str | None) -> None:
    """Raise a UserError about the first override whose key does not exist under the choices that are made."""
    from omegaconf import OmegaConf

    offered = groups(config_dir)
    parsed = parse(overrides)
    choosing = [o for o in parsed if o.key_or_group in offered and not o.is_delete()]
    changing = [o for o in parsed if o not in choosing and not o.is_add() and not o.is_force_add()]
    for choices in itertools.islice(combinations(choosing), MOST_COMBINATIONS):
        composed = compose(choices, config_dir, with_hydra=True)
        chosen = {group: str(choice) for group, choice in composed.hydra.runtime.choices.items()}
        everything: Any = OmegaConf.to_container(composed, resolve=False)
        config = {key: node for key, node in everything.items() if key != "hydra"}
        for override in changing:
            key = override.key_or_group
            if not key.startswith("hydra/") and not has_key(everything, key):
                value = (override.input_line or "").partition("=")[2]
                raise UserError(unknown_override(key, value, config, offered, chosen))


def combinations(choosing: Sequence[Override]) -> Iterator[tuple[str, ...]]:
    """Yield every combination of choices that a sweep asks for; one, where each group has one choice."""
    values = [
        [f"{o.key_or_group}={value}" for value in o.sweep_string_iterator()]
        if o.is_sweep_override()
        else [o.input_line or ""]
        for o in choosing
    ]
    return itertools.product(*values)


def has_key(config: Mapping[str, Any], key: str) -> bool:
    """Return whether a key with dots exists in a configuration."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True


def own_data(chosen: str, having: Sequence[str], root: str) -> str:
    """Return what to type for data of one's own, of the kind of the chosen data, which have no root."""
    is_sequence = f"{chosen}_folder" in having
    what, folder = (chosen, f"{chosen}_folder") if is_sequence else ("images", "folder")
    return f"; for {what} of your own: data={folder} data.root={root or 'DIR'}"


def unknown_override(
    key: str,
    value: str,
    config: Mapping[str, Any],
    offered: Mapping[str, Sequence[str]],
    chosen: Mapping[str, str],
) -> str:
    """Return the message for a key that does not exist under the choices that are made."""
    if key.startswith("hydra."):
        return f"unknown key {key}: `cnntrain train --cfg hydra` lists Hydra's own"
    group, _, name = key.partition(".")
    if key in KEYS and (home := home_of(key)) in ("eval", "predict", "export", "bench", "explain"):
        command = home if home in ("bench", "explain") else f"{home} RUN"
        return f"{key} is not for this command: cnntrain {command} {key}=..."
    if key in KEYS and group in offered:
        having = owners(key)
        mine = own_data(chosen[group], having, value) if key == "data.root" else ""
        if has_key(config, own := OTHER_FAMILY.get(key, "")):
            mine = f"; did you mean {fill_in(own, value)}?"
        return f"{group}={chosen[group]} has no {name}: {key} belongs to {group}={'|'.join(having)}{mine}"
    if key.startswith("data.source."):
        return explain_addition(key, "data.source", config["data"].get("source", {}))
    is_ours = group not in CLASS_GROUPS or is_described(str(config[group].get("_target_")))
    known = dict(leaves(config))
    if is_ours and (instead := other_tool_hint(key, value, {**defaults(), **known}, known)):
        return f"unknown key {key}: {instead}"
    if name and not isinstance(config.get(group), Mapping):
        return f"unknown key {key}: `cnntrain train --help all` lists every key"
    is_last_part = any(other.endswith(f".{key}") for other in known)  # lr, which looks like logger
    near = [] if is_last_part else nearest(key, [*known, *(other for other in offered if other != group)])
    if near and near[0] in offered and near[0] not in known:
        return f"unknown key {key}: did you mean {fill_in(near[0], value)}?"
    if group in CLASS_GROUPS:
        node = config[group]
        if not is_described(str(node.get("_target_"))) or not nearest(name, node):
            return explain_addition(key, group, node)
    return unknown_key(key, {**defaults(), **known}, value)


def explain_addition(key: str, group: str, node: Mapping[str, Any]) -> str:
    """Return the message for an argument that is not in the YAML file of its class, and how to add it."""
    near = did_you_mean(key, [f"{group}.{name}" for name in node if name != "_target_"])
    name = str(node.get("_target_")).rpartition(".")[2]
    return f"unknown key {key}{near}\nto give {name} an argument that is not listed in conf/: +{key}=VALUE"
