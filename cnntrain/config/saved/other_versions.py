"""Checkpoints that other versions of cnntrain have written: what they lack, and what they have besides.

How the format changes from now on, without a checkpoint becoming unreadable:

- A new key gets its default in ``conf/``, and is filled in from there. If runs did something else before the
  key was there, ``before`` in its row of KEYS says what.
- A key that is renamed or removed gets a row in ``MOVED``, a class that has moved one in ``MOVED_CLASSES``.
- A new part of the state gets a row in ``STATE``, with what stands for it where it is missing, and a row in
  the schema of :mod:`cnntrain.runs.schema.checkpoints`.
- What no row can bridge raises ``checkpoint.FORMAT_VERSION``.
- In each case a tiny run folder of the version before goes into ``tests/old_runs``. ``test_old_runs.py`` says
  how to make it, and tries every command on it.

Keys that this version does not know are passed over with a warning, unless they belong to the model: without
one of its arguments it would be another network.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from cnntrain.config.conf_files import conf_folder, default_choices, read_yaml
from cnntrain.config.keys import CLASS_GROUPS, DESCRIBED, GROUPS, KEYS, MANY, with_current_paths
from cnntrain.config.schema import UNCHANGED

# What a run did before a key was there, where the default in conf/ is something else.
AS_IT_WAS: dict[str, Any] = {
    **{key: rule.before for key, rule in KEYS.items() if rule.before is not UNCHANGED},
    "task": {"_target_": "cnntrain.tasks.Classification"},
    "criterion": {"_target_": "torch.nn.CrossEntropyLoss"},
}
# Keys that have another name now; None: that are gone, and have changed nothing but speed.
MOVED: dict[str, str | None] = {"data.in_memory": None}

ABSENT = object()


def upgraded_config(config: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a saved configuration with the keys of this version, and the names of those left out.

    Args:
        config: the config from a checkpoint, as plain types. What it holds is checked later.
    """
    result: dict[str, Any] = with_current_paths(config)
    for old, new in MOVED.items():
        value = pop_key(result, old)
        if new is not None and value is not ABSENT:
            set_missing(result, new, value)
    left_out = list(unknown_keys(result))
    for key in left_out:
        pop_key(result, key)
    for key, value in (*AS_IT_WAS.items(), *defaults_for(result)):
        set_missing(result, key, value)
    result.setdefault(MANY, {})
    return result, left_out


def unknown_keys(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of a configuration that this version does not know, those of the model aside.

    Nor does it know those of classes that are not its own; whoever builds such a class says what is wrong.
    """
    for name, node in config.items():
        if name not in GROUPS:
            if name not in KEYS:
                yield name
        elif isinstance(node, Mapping) and name not in ("model", MANY):
            is_own = name not in CLASS_GROUPS or str(node.get("_target_")).startswith(DESCRIBED)
            for key in node if is_own else ():
                if f"{name}.{key}" not in KEYS and not key.startswith("_"):
                    yield f"{name}.{key}"


def defaults_for(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each key with its default from conf/: for a class, from the choice that names it."""
    for name, value in read_yaml(conf_folder() / "train.yaml").items():
        for key, own in flattened(name, value):
            yield key, config.get(own[2:-1]) if isinstance(own, str) and own.startswith("${") else own
    chosen = default_choices()
    for group in GROUPS:
        files = sorted(
            (conf_folder() / group).glob("*.yaml"), key=lambda file: file.stem != chosen.get(group)
        )
        contents = (read_yaml(file) for file in files)
        content = next((c for c in contents if is_for(group, config.get(group), c)), {})
        yield from flattened(group, content)


def is_for(group: str, node: Any, content: Mapping[str, Any]) -> bool:
    """Return whether a choice's file is about what a group holds; for a missing one, the default's is."""
    if node is None:
        return True
    if not isinstance(node, Mapping):
        return False
    if group == "data":
        node, content = node.get("source") or {}, content.get("source") or {}
    return isinstance(node, Mapping) and "_target_" in node and node["_target_"] == content.get("_target_")


def flattened(name: str, node: Any) -> Iterator[tuple[str, Any]]:
    """Yield a key with its value, or those of a group; not what conf/ leaves open."""
    items = node.items() if isinstance(node, Mapping) and name in GROUPS else ()
    yield from ((f"{name}.{key}", value) for key, value in items if value != "???")
    if not isinstance(node, Mapping):
        yield name, node


def set_missing(config: dict[str, Any], key: str, value: Any) -> None:
    """Set a key that a configuration lacks."""
    group, _, name = key.partition(".")
    node = config.setdefault(group, {}) if name else config
    if isinstance(node, dict):
        node.setdefault(name or group, copy.deepcopy(value))


def pop_key(config: dict[str, Any], key: str) -> Any:
    """Remove a key from a configuration and return its value, or ``ABSENT``."""
    group, _, name = key.partition(".")
    node = config.get(group) if name else config
    return node.pop(name or group, ABSENT) if isinstance(node, dict) else ABSENT
