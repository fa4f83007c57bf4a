"""What a saved configuration must not do: fetch something, write elsewhere, run code when it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnntrain.config.instantiate import has_positional, is_own_class, is_trusted, targets, untrusted_error
from cnntrain.config.keys import KEYS, PATHS, home_of
from cnntrain.config.schema import UNCHANGED
from cnntrain.config.validation.validate import leads_out
from cnntrain.errors import CheckpointError, UserError
from cnntrain.text import printable, shown

# Tables of numbers, colours or words: nothing in them leads anywhere.
TABLES = tuple(key for key, rule in KEYS.items() if rule.kind in ("ids", "colors", "tokens"))
# Keys that may lead anywhere: read from, or named again.
PLACES = tuple(key for key in PATHS if KEYS[key].path != "name" and home_of(key) in ("train", "data"))
# By their last names, since a logger may stand under any name.
LOCAL = {key.rpartition(".")[2]: rule.local for key, rule in KEYS.items() if rule.local is not UNCHANGED}
FETCHES = re.compile(r"^weights|pretrained|^checkpoint")  # arguments that have weights downloaded or read


def refuse_side_effects(key: str, node: Any, trust: Sequence[str]) -> None:
    """Raise a UserError if a saved value would fetch something, or write outside of the run folder.

    These are arguments without names, through which anything reaches a class unseen, pretrained weights, and
    paths. Classes of trusted packages may have what they like.

    Args:
        key: where the value stands.
        node: the value.
        trust: packages that the user trusts.
    """
    if key in TABLES:  # numbers, colours and words
        return
    if isinstance(node, Mapping):
        refused = [t for t in targets(node) if not is_own_class(t) and not is_trusted(t, trust)]
        if refused and "_target_" in node and has_positional(node):
            raise untrusted_error(refused[0], key)
        if is_trusted(str(node.get("_target_", "")), trust):
            node = {name: value for name, value in node.items() if isinstance(value, Mapping)}
        for name, value in node.items():
            if name.startswith("_") and name != "_target_":
                raise UserError(f"{key}.{name} is not possible: a checkpoint names every argument")
            if FETCHES.search(name) and value not in (None, False):
                raise UserError(f"{key}.{name}={shown(value)} would fetch weights: a checkpoint has its own")
            refuse_side_effects(f"{key}.{name}", value, trust)
    elif isinstance(node, list | tuple):
        for item in node:
            refuse_side_effects(key, item, trust)
    elif isinstance(node, str) and key not in PLACES and leads_out(node):
        raise UserError(f"{key}={node} leads outside the run folder")


def without_servers(loggers: Any) -> Any:
    """Return saved loggers without the servers that they name: a checkpoint is not to send anything."""
    if not isinstance(loggers, Mapping):
        return loggers
    return {
        name: {key: LOCAL.get(key, value) for key, value in node.items()}
        if isinstance(node, Mapping)
        else node
        for name, node in loggers.items()
    }


def refuse_interpolations(node: Any, path: Path) -> None:
    """Raise a CheckpointError if a saved configuration holds ``${...}``, which would run when it is read.

    Whatever ``train`` saves is resolved, so none of its checkpoints has any.
    """
    if isinstance(node, Mapping):
        node = [*node.keys(), *node.values()]
    if isinstance(node, list | tuple):
        for item in node:
            refuse_interpolations(item, path)
    elif isinstance(node, str) and "${" in node:
        raise CheckpointError(
            f"{printable(path)} holds a configuration that train does not write: "
            f"{printable(node, 60)} would run when it is read"
        )
