"""The configuration that a checkpoint holds, which is not to be trusted, and what may change in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.checks import check, check_device
from cnntrain.config import compose, groups, plain
from cnntrain.errors import CheckpointError, UserError, did_you_mean
from cnntrain.overrides import check_choice, parse, quoted
from cnntrain.schema import KEYS, check_value

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


def check_amendments(overrides: Sequence[str], allowed: Sequence[str], command: str) -> list[Override]:
    """Parse and check, before the checkpoint is read, what is typed behind ``resume RUN`` or ``eval RUN``.

    Args:
        overrides: as typed; ``data=mnist`` takes a whole group from conf/.
        allowed: keys that the command takes, with all that is below them.
        command: its name, for messages.
    """
    offered = groups()
    parsed = parse([quoted(override) for override in overrides])
    for override in parsed:
        key = override.key_or_group
        if override.is_sweep_override():
            raise UserError(f"{override.input_line} names several values, and {command} takes one")
        if override.is_delete():
            raise UserError(f"{override.input_line}: {command} changes keys, and removes none")
        if key not in allowed and not (key.startswith("data.source.") and "data.source" in allowed):
            raise UserError(not_amendable(key, allowed, command, offered))
        if key in offered:
            check_choice(override, offered)
        else:
            check_value(key, override.value())
        if key == "device":
            check_device(str(override.value()))
    # A group comes first, so that its keys can be changed.
    return sorted(parsed, key=lambda override: override.key_or_group not in offered)


def not_amendable(key: str, allowed: Sequence[str], command: str, offered: Mapping[str, Any]) -> str:
    """Say that a command does not take a key."""
    if key in KEYS or key in offered:
        return f"{key} can't be changed by {command}\n{command} takes {', '.join(allowed)}"
    return f"unknown key {key}{did_you_mean(key, allowed)}\n{command} takes {', '.join(allowed)}"


def amended(config: Mapping[str, Any], amendments: Sequence[Override]) -> dict[str, Any]:
    """Return a saved configuration with overrides laid over it.

    Args:
        config: plain types, from a checkpoint.
        amendments: from :func:`check_amendments`.
    """
    from omegaconf import OmegaConf

    offered = groups()
    result = OmegaConf.create(dict(config))
    for override in amendments:
        key = override.key_or_group
        if key in offered:
            result[key] = compose([override.input_line or ""])[key]
        else:
            OmegaConf.update(result, key, override.value(), merge=False, force_add=True)
    return plain(result)


def saved_config(state: Mapping[str, Any], path: Path, own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration of a checkpoint with what the command's own YAML file adds to it.

    Raises:
        CheckpointError: it is none that ``train`` would have written.
    """
    config = {**state["config"], **own}
    model = config.get("model")
    if isinstance(model, Mapping) and model.get("weights") is not None:
        # The checkpoint brings them; and those that were downloaded kept the stem that they came with.
        stem = {"small": False} if model.get("small") == "auto" else {}
        config["model"] = {**model, **stem, "weights": None}
    refuse_interpolations(config, path)
    config["logger"] = stays_here(config.get("logger"))
    try:
        check(config, trains=False, runs_here=False)
    except UserError as error:
        raise CheckpointError(f"{path} holds a configuration that train does not write: {error}") from error
    return config


def stays_here(loggers: Any) -> Any:
    """Return saved loggers without the servers that they name: a checkpoint is not to send anything."""
    if not isinstance(loggers, Mapping):
        return loggers
    local = {"uri": None, "mode": "offline"}
    return {
        name: {key: local.get(key, value) for key, value in node.items()}
        for name, node in loggers.items()
        if isinstance(node, Mapping)
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
            f"{path} holds a configuration that train does not write: {node[:60]} would run when it is read"
        )
