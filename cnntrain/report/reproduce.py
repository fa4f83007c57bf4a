"""What of a run's configuration is not the default, and the command that makes the run again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cnntrain.config.conf_files import choice_file, conf_folder, default_choices, groups, raw_yaml
from cnntrain.config.keys import (
    AUTO,
    CUSTOM_GROUPS,
    GROUPS,
    MEASURED,
    PATHS,
    TASK_OF,
    affected_by,
    leaves,
    loss_of,
)
from cnntrain.sequences.tokens import KINDS
from cnntrain.text import brief, shown

INCLUDED = "/experiment@_global_"  # how a choice's list of defaults includes an experiment


@dataclass(frozen=True)
class Setting:
    """One key of a configuration, with its value and its default as they would be typed."""

    key: str
    value: str
    default: str
    differs: bool


Values = Mapping[str, Any]  # each key of a configuration, such as ``optim.lr``, with its value


def settings(values: Values, usual: str, typed: str = "") -> list[Setting]:
    """Return every key of a run's configuration beside its default.

    Args:
        values: the run's configuration, resolved.
        usual: the value of ``monitor`` that stands for ``auto``: the first figure of the task.
        typed: the run's command; it tells whether a value that may be measured was asked for.
    """
    found, known = [], default_values()
    targets = values["data.targets"]
    for group, choice in (("task", TASK_OF.get(targets)), ("criterion", loss_of(targets))):
        known |= values_of(group, choice or AUTO)
    known["monitor"] = usual
    for key, value in values.items():
        if affected_by(key) == "output":
            continue
        default = resolved(known.get(key, "–"), values)
        differs = not same(value, default)
        if key in MEASURED:
            differs = differs and f"{key}=" in typed
        found.append(Setting(key, brief(value), brief(default), differs))
    return found


def command_of(values: Values, usual: str) -> str | None:
    """Return the command that makes a run again; None where it takes a file that is not here.

    It names what the run has measured (number format, memory layout, threads) too, since that decides the
    last bits.

    Args:
        values: the run's configuration, resolved.
        usual: as for :func:`settings`.
    """
    if values.get("data.tokens", KINDS[0]) not in KINDS:  # the file of a tokenizer, which is read again
        values = {key: value for key, value in values.items() if key != "data.vocabulary"}
    own = values_of_train() | brought_along("data", nearest_choice("data", values))
    chosen = chosen_groups()
    words = [word for key, word in words_of(values, own) if group_of(key) not in chosen]
    for group in chosen:
        those = {key: value for key, value in values.items() if group_of(key) == group}
        choice = nearest_choice(group, those)
        if choice is None and group not in CUSTOM_GROUPS:
            return None
        if choice is not None and choice != default_choices()[group]:
            words.append(f"{group}={choice}")
        known = {**own, **(values_of(group, choice) if choice else {})}
        known = {key: resolved(value, values) for key, value in known.items()}
        words += [word for _, word in words_of(those, known)]
    targets = values["data.targets"]
    task, loss = TASK_OF.get(targets, AUTO), loss_of(targets)
    implied = (f"task={task}", f"criterion={loss}", f"monitor={usual}")
    return shlex.join(["cnntrain", "train", *(word for word in words if word not in implied)])


def group_of(key: str) -> str:
    """Return the group of a key, or a key of none itself."""
    return key.partition(".")[0]


def words_of(values: Values, known: Values) -> Iterator[tuple[str, str]]:
    """Yield each key that differs from what is known, and its override."""
    for key, value in values.items():
        if affected_by(key) == "output" or (key in known and same(value, known[key])):
            continue
        text = shown(value)
        if isinstance(value, str) and key not in PATHS and not re.fullmatch(r"[\w./:+-]*", text):
            text = "'" + text.replace("'", r"\'") + "'"
        yield key, f"{key}={text}"


def nearest_choice(group: str, values: Values) -> str | None:
    """Return the choice of a group from which its values differ least; None if they have another class."""
    default = default_choices()[group]
    identity = "data.source" if group == "data" else f"{group}._target_"
    found = []
    for choice in groups().get(group, ()):
        known = values_of(group, choice)
        if known.get(identity) == values[identity]:
            different = sum(1 for _ in words_of(values, known))
            found.append((different, choice != default, choice))
    return min(found)[2] if found else None


def default_values() -> dict[str, Any]:
    """Return what ``cnntrain train`` does when nothing else is said: each key with its value."""
    found = values_of_train()
    for group in chosen_groups():
        found.update(values_of(group, default_choices()[group]))
    return found


def chosen_groups() -> list[str]:
    """Return the groups with choices that make a run what it is."""
    return [name for name in default_choices() if name in GROUPS and GROUPS[name].affects == "weights"]


def values_of_train() -> dict[str, Any]:
    """Return each key of train.yaml with its value; it has some of every data set."""
    own = raw_yaml(conf_folder() / "train.yaml")
    return dict(leaves({name: value for name, value in own.items() if name not in ("defaults", "hydra")}))


def values_of(group: str, choice: str) -> dict[str, Any]:
    """Return each key of a choice with its value, as its file has it, or those on which it builds."""
    content = raw_yaml(choice_file(group, choice))
    found = dict(leaves({group: {name: value for name, value in content.items() if name != "defaults"}}))
    for base in content.get("defaults", []):
        if base in groups()[group] and base != choice:
            found = {**values_of(group, base), **found}
    return found


def brought_along(group: str, choice: str | None) -> dict[str, Any]:
    """Return each key of train.yaml that a choice sets, by the experiment that its file includes."""
    found: dict[str, Any] = {}
    for base in raw_yaml(choice_file(group, choice)).get("defaults", []) if choice else ():
        if isinstance(base, Mapping):
            files = (choice_file("experiment", name) for key, name in base.items() if key == INCLUDED)
            found |= {key: value for file in files for key, value in leaves(raw_yaml(file))}
        elif base in groups()[group] and base != choice:
            found |= brought_along(group, base)
    return found


def resolved(value: Any, values: Values) -> Any:
    """Return a default as it is in this configuration.

    ``${seed}`` is the value of ``seed``; ``${oc.env:NAME,data}`` is ``data``, which needs no variable.
    """
    if not isinstance(value, str):
        return value
    if variable := re.fullmatch(r"\$\{oc\.env:\w+,(.*)\}", value):
        return variable[1]
    reference = re.fullmatch(r"\$\{(\w+)\}", value)
    return values.get(reference[1], value) if reference else value


def same(value: Any, default: Any) -> bool:
    """Return whether two values are the same to train: 1e-3, which YAML reads as text, is 0.001."""
    if isinstance(value, list) and isinstance(default, list):
        return len(value) == len(default) and all(map(same, value, default))
    try:
        return float(value) == float(default)
    except (TypeError, ValueError):
        return shown(value) == shown(default)
