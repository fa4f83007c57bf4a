"""The configuration: where conf/ is, what it offers, and how Hydra composes it.

Imports no torch. Hydra is imported inside the functions that need it, since ``--help`` does not.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.config.keys import KEYS, with_current_paths, with_lists
from cnntrain.config.schema import shown
from cnntrain.errors import UserError

if TYPE_CHECKING:
    from omegaconf import DictConfig


def conf_folder() -> Path:
    """Return the folder of YAML files: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def conf_folders(extra: str | None = None) -> list[Path]:
    """Return every folder that groups come from: cnntrain's, ``conf/`` here, ``--config-dir``."""
    candidates = [conf_folder(), Path.cwd() / "conf", *([Path(extra).absolute()] if extra else [])]
    return [
        folder
        for index, folder in enumerate(candidates)
        if folder.is_dir() and folder not in candidates[:index]
    ]


def groups(extra: str | None = None) -> dict[str, list[str]]:
    """Return each group and its choices, such as ``{"optim": ["adam", ...]}``."""
    found: dict[str, set[str]] = {}
    for folder in conf_folders(extra):
        for path in folder.glob("*/**/*.yaml"):
            group, *choice = path.relative_to(folder).with_suffix("").parts
            if group != "hydra":
                found.setdefault(group, set()).add("/".join(choice))
    return {group: sorted(choices) for group, choices in sorted(found.items())}


def choice_file(group: str, choice: str, extra: str | None = None) -> Path:
    """Return the file of a choice: where there are several, the one that Hydra takes."""
    files = (folder / group / f"{choice}.yaml" for folder in conf_folders(extra))
    return next(file for file in files if file.exists())


def user_files(choices: Mapping[str, Any], extra: str | None = None) -> list[Path]:
    """Return the files of the user's that have the name of a chosen choice, such as conf/optim/nadam.yaml."""
    named = [f"{group}/{choice}.yaml" for group, choice in choices.items()]
    return [folder / name for folder in conf_folders(extra)[1:] for name in named if (folder / name).exists()]


def read_yaml(path: Path) -> dict[str, Any]:
    """Read one YAML file as plain types, without Hydra's defaults list."""
    from omegaconf import OmegaConf

    node = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items() if key not in ("defaults", "hydra")}


def default_choices() -> dict[str, str]:
    """Return the choice of each group when nothing else is said; not of a group without one."""
    entries = raw_yaml(conf_folder() / "train.yaml").get("defaults", [])
    return {
        group: choice
        for entry in entries
        if isinstance(entry, dict)
        for group, choice in entry.items()
        if choice
    }


def defaults() -> dict[str, str]:
    """Return each key's default as it is written in train.yaml, else in its group.

    Of a group's choices the default one counts first, then any other that has the key.
    """
    found = dict(typed_values(raw_yaml(conf_folder() / "train.yaml")))
    chosen = default_choices()
    for group, choices in groups().items():
        for choice in sorted(choices, key=lambda choice: choice != chosen.get(group)):
            for key, value in choice_values(group, choice).items():
                found.setdefault(key, value)
    return found


def default(key: str, file: str = "train") -> Any:
    """Return the default of a key in a file of conf/: that of ``data.max_megapixels`` is in train.yaml."""
    value: Any = raw_yaml(conf_folder() / f"{file}.yaml")
    for name in key.split("."):
        value = value[name]
    return value


def choice_values(group: str, choice: str, extra: str | None = None) -> dict[str, str]:
    """Return the keys of one choice and their values as written, those of the choices it builds on too."""
    if group == "experiment":  # its keys are those of other groups
        return {}
    content = raw_yaml(choice_file(group, choice, extra))
    found = dict(typed_values(content, f"{group}."))
    for base in content.get("defaults", []):
        if base in groups(extra).get(group, ()) and base != choice:
            found = {**choice_values(group, base, extra), **found}
    return found


def owners(key: str, extra: str | None = None) -> list[str]:
    """Return the choices that have a key, such as ``["mlp"]`` for ``model.hidden``."""
    group = key.partition(".")[0]
    return [choice for choice in groups(extra).get(group, ()) if key in choice_values(group, choice, extra)]


def choices_with(key: str) -> str:
    """Return which choices have a key, as ``optim=rmsprop|sgd``; "" if nearly all of its group have it."""
    group, found = key.partition(".")[0], owners(key)
    all_choices = [choice for choice in groups().get(group, ()) if choice != "custom"]
    return f"{group}={'|'.join(found)}" if found and len(found) <= len(all_choices) / 2 else ""


def default_in_words(value: str) -> tuple[str, str]:
    """Return a default as one would type it, and a note about one that is taken from elsewhere.

    ``${oc.env:NAME,data}`` is ``data``, or what the environment says; ``${seed}`` is the value of ``seed``.
    """
    variable = re.fullmatch(r"\$\{oc\.env:(\w+)(?:,(.*))?\}", value)
    if variable:
        return variable[2] or "", f"default: ${variable[1]} if set"
    other = re.fullmatch(r"\$\{([\w.]+)\}", value)
    return (other[1], f"default: that of {other[1]}") if other else (value, "")


def raw_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file without Hydra, for help and completion; what is broken counts as empty."""
    try:
        return parsed_yaml(path, path.stat().st_mtime_ns)
    except OSError:
        return {}


@functools.lru_cache(maxsize=256)  # help asks for each file once a key
def parsed_yaml(path: Path, written: int) -> dict[str, Any]:
    """Return the contents of a YAML file as it was written at a time, in nanoseconds; {} if it is broken."""
    import yaml

    try:
        content = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def typed_values(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the keys of a YAML file with their values as typed; ``_target_`` only where it is a key."""
    for name, value in node.items():
        key = f"{prefix}{name}"
        if name in ("hydra", "defaults"):
            continue
        if isinstance(value, dict):
            yield from typed_values(value, f"{key}.")
        elif key in KEYS or (name != "_target_" and not prefix.startswith("data.source")):
            yield key, shown(value)


def prepare_hydra(config_dir: str | None = None) -> None:
    """Let Hydra raise its exceptions, and let it find ``conf/`` and classes in the current folder.

    Args:
        config_dir: the user's own folder of groups, unless Hydra knows it in another way.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"
    search_path_plugin().config_dir = config_dir
    add_current_folder()


@functools.cache  # a process can register a plugin only once
def search_path_plugin() -> Any:
    """Let Hydra find ``conf/`` in the current folder, whatever folder that is by then."""
    from hydra.core.config_search_path import ConfigSearchPath
    from hydra.core.plugins import Plugins
    from hydra.plugins.search_path_plugin import SearchPathPlugin

    class UserFolders(SearchPathPlugin):
        config_dir: str | None = None

        def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
            for folder in conf_folders(self.config_dir)[1:]:
                search_path.append(provider="a folder of one's own", path=f"file://{folder}")

    Plugins.instance().register(UserFolders)
    return UserFolders


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

    # Hydra takes no null for a group. It is the default here, and among several values it is one to choose.
    overrides = [override for override in overrides if override != "experiment=null"]
    with initialized(config_dir):
        return hydra_compose(name, overrides=overrides, return_hydra_config=with_hydra)


def initialized(config_dir: str | None) -> AbstractContextManager[None]:
    """Return what lets Hydra compose from conf/ and the user's own folder of groups, once it is entered."""
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    prepare_hydra(config_dir)
    GlobalHydra.instance().clear()
    entered: AbstractContextManager[None] = initialize_config_dir(
        str(conf_folder()), job_name="cnntrain", version_base="1.3"
    )
    return entered


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a configuration as plain types, every interpolation resolved."""
    from omegaconf import OmegaConf
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    own = config
    if "hydra" in config:
        own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    try:
        container = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        value = "my_pkg.MyClass" if str(error.full_key).endswith("_target_") else "VALUE"
        raise UserError(f"{error.full_key} is missing: give it as {error.full_key}={value}") from error
    except OmegaConfBaseException as error:
        raise UserError(f"{error.full_key or 'the configuration'}: {first_line(error)}") from error
    assert isinstance(container, dict)
    return with_lists({str(key): with_current_paths(value) for key, value in container.items()})


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's text that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
