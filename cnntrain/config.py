"""The configuration: where conf/ is, what it offers, how Hydra composes it, and what a wrong override means.

Imports no torch. Hydra is imported inside the functions that need it, since ``--help`` does not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.errors import UserError, did_you_mean, nearest
from cnntrain.schema import KEYS, check_value, leaves

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

# Groups in which a class of the user's own may stand: optim._target_=torch.optim.NAdam
CUSTOM_GROUPS = ("model", "optim")
# Keys whose values are file names, in which Hydra's grammar has no business.
PATH_KEYS = ("out", "name", "data.root")


def conf_folder() -> Path:
    """Return the folder of YAML files: inside an installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parent.parent / "conf"


def conf_folders(extra: str | None = None) -> list[Path]:
    """Return every folder that groups come from: cnntrain's, ``conf/`` here, and ``--config-dir``."""
    candidates = [conf_folder(), Path.cwd() / "conf", *([Path(extra)] if extra else [])]
    return [folder for index, folder in enumerate(candidates) if folder.is_dir() and folder not in candidates[:index]]


def groups(extra: str | None = None) -> dict[str, list[str]]:
    """Return each group and its choices, such as ``{"optim": ["adam", ...]}``."""
    found: dict[str, set[str]] = {}
    for folder in conf_folders(extra):
        for path in folder.glob("*/*.yaml"):
            found.setdefault(path.parent.name, set()).add(path.stem)
    return {group: sorted(choices) for group, choices in sorted(found.items())}


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML file as plain types, without Hydra's defaults list."""
    from omegaconf import OmegaConf

    node = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return {str(key): value for key, value in node.items() if key not in ("defaults", "hydra")} if isinstance(node, dict) else {}


def prepare_hydra() -> None:
    """Let Hydra's exceptions through, and let it find ``conf/`` in the current folder."""
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class ConfHere(SearchPathPlugin):
        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for folder in conf_folders()[1:]:
                search_path.append(provider="conf/ in the current folder", path=f"file://{folder}")

    os.environ["HYDRA_FULL_ERROR"] = "1"
    Plugins.instance().register(ConfHere)
    add_current_folder()


def add_current_folder() -> None:
    """Let ``model._target_=my_pkg.MyNet`` find my_pkg here; last in the path, so that it shadows nothing."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def compose(
    overrides: Sequence[str], config_dir: str | None = None, name: str = "train", with_hydra: bool = False
) -> DictConfig:
    """Compose a configuration as ``train`` would, without running anything."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    prepare_hydra()
    GlobalHydra.instance().clear()
    search = [f"hydra.searchpath=['file://{Path(config_dir).absolute()}']"] if config_dir else []
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return hydra_compose(name, overrides=[*overrides, *search], return_hydra_config=with_hydra)


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain types, every interpolation resolved."""
    from omegaconf import OmegaConf
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    try:
        container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} is missing: give it as {error.full_key}=VALUE") from error
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key or 'configuration'}: {first_line(error)}") from error
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items() if key != "hydra"}


def normalized(overrides: Iterable[str]) -> list[str]:
    """Rewrite overrides so that Hydra takes what a person means.

    Paths are quoted. A class of the user's own (``model._target_=my_pkg.MyNet``) brings no arguments of the
    default's with it: the group becomes ``custom`` and every other key of it an addition.
    """
    result = [quoted(override) for override in overrides]
    for group in CUSTOM_GROUPS:
        targets = [override for override in result if override.startswith(f"{group}._target_=")]
        chosen = any(override.startswith(f"{group}=") for override in result)
        if targets and not chosen:
            result = [f"++{o}" if o.startswith(f"{group}.") else o for o in result]
            result.insert(0, f"{group}=custom")
    return result


def quoted(override: str) -> str:
    """Quote the value of a path with a character that Hydra's grammar would trip over."""
    key, equals, value = override.partition("=")
    if key not in PATH_KEYS or not equals or value[:1] in ("'", '"', "$") or not set(value) & set("=(){}[]: #"):
        return override
    return key + "='" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def parse(overrides: Sequence[str]) -> list[Override]:
    """Parse overrides with Hydra's grammar."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import OverrideParseException

    parser = OverridesParser.create()
    parsed = []
    for override in overrides:
        try:
            parsed.append(parser.parse_override(override))
        except OverrideParseException as error:
            raise UserError(malformed(override)) from error
    return parsed


def malformed(override: str) -> str:
    """Say what is wrong with an override that Hydra's grammar refuses."""
    if "=" not in override:
        return f"{override} is not an override: write KEY=VALUE, such as epochs=10"
    key, _, value = override.partition("=")
    if not key:
        return f"{override} has no key before the =: write KEY=VALUE, such as epochs=10"
    return f"{key}: the value {value} is malformed; quote what holds special characters: \"{key}='{value}'\""


def explain(error: Exception, overrides: Sequence[str], config_dir: str | None, multirun: bool) -> UserError:
    """Turn an exception from Hydra's composition into what the user did wrong."""
    try:
        find_mistake(overrides, config_dir, multirun)
    except UserError as found:
        return found
    except Exception:  # the composition fails for a reason of its own: Hydra's words will have to do
        pass
    return UserError(first_line(error))


def find_mistake(overrides: Sequence[str], config_dir: str | None, multirun: bool) -> None:
    """Raise a UserError about the first override that is wrong, if one is."""
    offered = groups(config_dir)
    parsed = parse(overrides)
    choices: list[str] = []
    for override in parsed:
        if override.is_sweep_override() and not multirun:
            raise UserError(
                f"{override.input_line} names several values: add -m to run them all, or quote a list: "
                f"'{override.key_or_group}=[...]'"
            )
        if override.key_or_group in offered and not override.is_delete():
            check_choice(override, offered)
            if not override.is_sweep_override():
                choices.append(override.input_line or "")
    config = plain(compose(choices, config_dir))
    known = dict(leaves(config))
    for override in parsed:
        key = override.key_or_group
        if key in offered or key.startswith("hydra") or override.is_add() or override.is_force_add():
            continue
        if key not in known and not holds(config, key):
            raise UserError(unknown_key(key, known, offered))


def check_choice(override: Override, offered: Mapping[str, Sequence[str]]) -> None:
    """Raise a UserError if a group is asked for a choice that it does not have."""
    group = override.key_or_group
    values = override.sweep_string_iterator() if override.is_sweep_override() else [override.get_value_element_as_str()]
    for value in values:
        if value != "null" and value not in offered[group]:
            raise UserError(
                f"{group}={value} is not there{did_you_mean(value, offered[group])}\n"
                f"{group} takes {', '.join(offered[group])}"
            )


def holds(config: Mapping[str, Any], key: str) -> bool:
    """Say whether a key with dots names something in a configuration."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True


def unknown_key(key: str, known: Mapping[str, Any], offered: Mapping[str, Sequence[str]] = {}) -> str:  # noqa: B006
    """Say that a key does not exist, and which one the user may have meant, with its type and value."""
    near = nearest(key, [*known, *offered])
    if not near and "." not in key:  # lr for optim.lr
        near = [name for name in known if name.endswith(f".{key}")][:1]
    if not near:
        return f"unknown key {key}: `cnntrain train --help` lists them all"
    found = near[0]
    if found in offered and found not in known:
        return f"unknown key {key}: did you mean {found}={'|'.join(offered[found])}?"
    rule = KEYS.get(found)
    kind = f"{rule.describe()}; " if rule else ""
    return f"unknown key {key}: did you mean {found}? ({kind}now {shown(known[found])})"


def shown(value: Any) -> str:
    """Return a value as it would be typed."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    return str(value)


def amended(
    config: Mapping[str, Any], overrides: Sequence[str], allowed: Sequence[str], command: str
) -> dict[str, Any]:
    """Return a saved configuration with overrides laid over it.

    Args:
        config: plain types, from a checkpoint.
        overrides: as typed; ``data=mnist`` takes a whole group from conf/.
        allowed: keys that the command uses; ``data.`` allows all that begin with it.
        command: its name, for messages.
    """
    from omegaconf import OmegaConf

    offered = groups()
    result = OmegaConf.create(dict(config))
    for override in sorted(parse([quoted(o) for o in overrides]), key=lambda o: o.key_or_group not in offered):
        key = override.key_or_group
        is_group = key in offered
        if override.is_sweep_override():
            raise UserError(f"{override.input_line}: {command} takes one value a key; sweeps belong to train -m")
        if not is_group and not holds(config, key):
            raise UserError(unknown_key(key, dict(leaves(config))))
        if not any(key == name or name.endswith(".") and f"{key}.".startswith(name) for name in allowed):
            raise UserError(f"{key} can't be changed by {command}: it takes {', '.join(a.rstrip('.') for a in allowed)}")
        if is_group:
            check_choice(override, offered)
            result[key] = compose([override.input_line or ""])[key]
        else:
            check_value(key, override.value())
            OmegaConf.update(result, key, override.value(), merge=False)
    return plain(result)


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
