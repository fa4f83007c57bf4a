"""The YAML files of conf/ and of the user's own folders: groups, choices and defaults.

Imports neither torch nor Hydra.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnntrain.config.keys import KEYS
from cnntrain.text import shown


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
        choices_here = installed_choices() if folder == conf_folder() else choices_in(folder)
        for group, choices in choices_here.items():
            found.setdefault(group, set()).update(choices)
    return {group: sorted(choices) for group, choices in sorted(found.items())}


@functools.cache  # cnntrain's own files do not change while it runs
def installed_choices() -> dict[str, list[str]]:
    """Return the groups of cnntrain's own folder, and their choices."""
    return choices_in(conf_folder())


def choices_in(folder: Path) -> dict[str, list[str]]:
    """Return the groups of a folder of YAML files, and their choices."""
    found: dict[str, list[str]] = {}
    for path in folder.glob("*/**/*.yaml"):
        group, *choice = path.relative_to(folder).with_suffix("").parts
        if group != "hydra":
            found.setdefault(group, []).append("/".join(choice))
    return found


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
    for group in groups():
        for values in values_of_choices(group):
            for key, value in values.items():
                found.setdefault(key, value)
    return found


def default_of(key: str) -> str | None:
    """Return one key's default, as :func:`defaults` does, and read the files of its group alone."""
    typed = dict(typed_values(raw_yaml(conf_folder() / "train.yaml")))
    choices = values_of_choices(key.partition(".")[0])
    return next((values[key] for values in itertools.chain([typed], choices) if key in values), None)


def values_of_choices(group: str) -> Iterator[dict[str, str]]:
    """Yield the keys and values, as written, of each choice of a group, those of the default one first."""
    chosen = default_choices().get(group)
    for choice in sorted(groups().get(group, ()), key=lambda choice: choice != chosen):
        yield choice_values(group, choice)


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
