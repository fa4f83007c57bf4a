"""A saved run that is opened again: its checkpoint, and its configuration for a command. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.config.saved.from_checkpoint import command_config
from cnntrain.errors import UserError
from cnntrain.runs import checkpoint, lookup, run_folder, run_writes
from cnntrain.runtime.imports import needed

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from cnntrain.runs.records import CheckpointState


@dataclass(frozen=True)
class SavedRun:
    """A checkpoint of a run and its configuration.

    Args:
        config: the checkpoint's configuration, with what was typed, checked.
        state: the checkpoint.
        path: the checkpoint's file.
    """

    config: dict[str, Any]
    state: CheckpointState
    path: Path

    @property
    def folder(self) -> Path:
        """The run folder, where the checkpoint lies in one."""
        return self.path.parent.parent


def open_best(
    name: str, command: str, parsed: Sequence[Override], own: Mapping[str, Any] | None = None
) -> SavedRun:
    """Open the best epoch of a run, for what uses a trained model.

    Args:
        name: a run folder, a checkpoint file, or ``last``.
        command: the command whose YAML file in conf/ adds keys of its own.
        parsed: what was typed, from :func:`cnntrain.config.saved.from_checkpoint.check_overridable`.
        own: what the command adds besides.

    Raises:
        CheckpointError: there is no such run, or its checkpoint is damaged or not to be trusted.
        UserError: what was typed does not go with it.
    """
    state, path = lookup.load_best(name)
    return SavedRun(command_config(state, path, command, parsed, own=own), state, path)


def open_last(name: str, command: str, parsed: Sequence[Override], trains: bool = False) -> SavedRun:
    """Open the newest checkpoint of a run, for what writes into its folder.

    Args:
        name: a run folder, a checkpoint file, or ``last``.
        command: the command whose YAML file in conf/ adds keys of its own.
        parsed: what was typed, from :func:`cnntrain.config.saved.from_checkpoint.check_overridable`.
        trains: whether the command trains in that folder.

    Raises:
        CheckpointError: there is no such run, or its checkpoint is damaged or not to be trusted.
        UserError: what was typed does not go with it, or the checkpoint lies in no run folder.
    """
    path = lookup.find_checkpoint(name, checkpoint.LAST)
    if path.parent.name != run_folder.CHECKPOINTS:
        raise UserError(f"{path} is not in a run folder: {command} needs the folder that train made")
    run_writes.check_links(path.parent.parent)
    state, path = lookup.load_or_previous(path)
    folder = path.parent.parent if trains else None
    return SavedRun(command_config(state, path, command, parsed, folder), state, path)


def open_to_export(
    name: str, command: str, parsed: Sequence[Override], needs: Mapping[str, Sequence[str]]
) -> SavedRun:
    """Open the best epoch of a run, whose model is exported into its folder.

    Args:
        name: a run folder, a checkpoint file, or ``last``.
        command: the command whose YAML file in conf/ adds keys of its own.
        parsed: what was typed, from :func:`cnntrain.config.saved.from_checkpoint.check_overridable`.
        needs: the packages that are needed, by what needs them.

    Raises:
        CheckpointError: there is no such run, or its checkpoint is damaged or not to be trusted.
        UserError: a package is missing, or what was typed does not go with the run.
    """
    for what, packages in needs.items():
        for package in packages:
            needed(package, what, "export")
    run = open_best(name, command, parsed)
    if run.path.parent.name == run_folder.CHECKPOINTS:
        run_writes.check_links(run.folder)
    return run
