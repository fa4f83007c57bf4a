"""In which keys the configurations of runs differ, as far as that makes another experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnntrain.config.keys import KEYS, MEASURED, affected_by, leaves
from cnntrain.errors import UserError
from cnntrain.image_folder.layout import FOLDER
from cnntrain.runs.run_files import read_yaml
from cnntrain.text import brief

CLASS = "._target_"
SOURCE = "data.source"
# Keys that repeat an experiment: the seed, and that of the split. All others make another one.
REPEATS = tuple(key for key, rule in KEYS.items() if rule.repeats)
# What a trial of speed may choose otherwise on another day is no other experiment; that it differs is shown.
NO_ACCOUNT = tuple(key for key in MEASURED if KEYS[key].affects == "speed")


def config_of(folder: Path) -> dict[str, str]:
    """Return the configuration of a run, each key with its value as typed; nothing before it has begun."""
    path = folder / "config.yaml"
    if not path.exists():
        return {}
    try:
        config = dict(leaves(read_yaml(path)))
        return {key: brief(value) for key, value in with_arguments_of_source(config).items()}
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} can't be read: {reason}") from error


def with_arguments_of_source(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in which each argument of the data set is a key, as those of a model are."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key == SOURCE and isinstance(value, Mapping):
            found |= {f"{SOURCE}.{name}": argument for name, argument in value.items()}
        else:
            found[key] = value
    return found


def data_set_of(values: Mapping[str, str]) -> str:
    """Return the data set of a configuration in words; of image folders, each folder is a data set."""
    target = values.get(f"{SOURCE}{CLASS}", "")
    if target == FOLDER:  # whose data are what lies in data.root
        return values.get("data.root", "")
    return values.get(f"{SOURCE}.dataset", last_name(target))


def with_classes_named(runs: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Name a class by its last name, under the name of its group: ``optim`` is ``Adam``.

    Where two classes have the same last name, both keep their modules.
    """
    keys = {key for values in runs for key in values if key.endswith(CLASS)}
    ambiguous = set()
    for key in keys:
        full = {values[key] for values in runs if key in values}
        if len({last_name(name) for name in full}) < len(full):
            ambiguous.add(key)
    return [
        {
            key.removesuffix(CLASS): last_name(value) if key in keys - ambiguous else value
            for key, value in values.items()
        }
        for values in runs
    ]


def last_name(name: str) -> str:
    """Return the name of a class without its module."""
    return name.rpartition(".")[2]


def differing(runs: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the keys that do not have the same value in all configurations that have them.

    Arguments of a class count only where the class is the same; that it is another one is a key of its own.
    """
    keys = dict.fromkeys(key for values in runs for key in values)
    return [key for key in keys if changes_experiment(key) and len(values_of(key, runs)) > 1]


def changes_experiment(key: str) -> bool:
    """Return whether a key makes another experiment of a run. The place where its data lie does not."""
    is_place = key in KEYS and KEYS[key].path == "folder"
    return affected_by(key) == "weights" and key not in REPEATS and not is_place


def repeats_in(runs: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the keys that repeats of an experiment differ in: the seed, and the split's if it has one."""
    seed, split = REPEATS
    follows = all(values.get(split) == values.get(seed) for values in runs)
    return [seed] if follows or len(values_of(split, runs)) < 2 else [seed, split]


def immaterial_differences(runs: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return what differs without making another experiment, with its values. It is shown."""
    found = {key: values_of(key, runs) for key in NO_ACCOUNT}
    return {key: values for key, values in found.items() if len(values) > 1}


def values_of(key: str, runs: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the different values of a key."""
    return list(dict.fromkeys(values[key] for values in runs if key in values))
