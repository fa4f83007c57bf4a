"""Training as a function: it returns the run, and raises what is wrong."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cnntrain.api.run import Run
from cnntrain.api.using import RunName
from cnntrain.api.words import words_of
from cnntrain.errors import UserError
from cnntrain.runs import lookup
from cnntrain.text import argument, printable, shown_path


def train(
    overrides: Sequence[str] = (), *, config_dir: str | os.PathLike[str] | None = None, **keys: Any
) -> Run:
    """Train a model into a new run folder, as ``cnntrain train`` does, and return the finished run.

    ``train(["model=mlp", "optim.lr=0.01"])`` and ``train(model="mlp", optim__lr=0.01)`` do the same.

    Args:
        overrides: the overrides, as one would type them.
        config_dir: a folder of your own with groups, beside ``conf/`` in the current folder.
        keys: values by their keys, a double underscore for each dot. They count after the overrides.

    Raises:
        UserError: an override is wrong, or the data are; nothing has been trained.
        RunFailed: the run could not go on; its checkpoints are kept.
        KeyboardInterrupt: a signal stopped it; its checkpoint is written, and the text says how to go on.
    """
    from cnntrain.cli.train import new_run
    from cnntrain.config.mistakes.malformed import several_values
    from cnntrain.config.overrides import check_overrides, normalized, parse

    words = normalized(words_of(overrides, keys))
    for override in parse(words):
        if override.is_sweep_override():
            raise UserError(several_values(override, "in Python, call train once for each"))
        if override.key_or_group in ("seeds", "launcher", "sweeper", "hydra.mode"):
            raise UserError(f"{override.input_line} is for sweeps: in Python, call train once for each value")
    own = None if config_dir is None else os.fspath(config_dir)
    if own is not None and not Path(own).is_dir():
        raise UserError(f"config_dir={printable(own)}: there is no such folder")
    check_overrides(words, own, is_sweep=False)
    from cnntrain.api.process import preserving_process

    with preserving_process("train", words):
        with new_run(words, own) as (config, folder):
            from cnntrain.run import train as train_run

            summary = train_run(config, folder)
        return Run(folder.absolute(), summary)


def resume(run: RunName = "last", overrides: Sequence[str] = (), **keys: Any) -> Run:
    """Go on with a run where it was stopped, or train it longer with ``epochs=N``; return the finished run.

    Args:
        run: what :func:`train` returned, a run folder, or ``last``.
        overrides: the overrides, as one would type them.
        keys: values by their keys.

    Raises:
        CheckpointError: there is no such run, or its checkpoint is damaged.
        UserError, RunFailed, KeyboardInterrupt: as :func:`train` raises them.
    """
    from cnntrain.cli.resume import resume_alone

    name, words = os.fspath(run), words_of(overrides, keys)
    sweep = lookup.find_sweep(name)
    if sweep is not None:
        raise UserError(
            f"{shown_path(sweep)} is a sweep: name one of its jobs, or type cnntrain resume {argument(sweep)}"
        )
    from cnntrain.api.process import preserving_process

    with preserving_process("resume", [name, *words]):
        folder, summary = resume_alone(name, words)
        return Run(folder.absolute(), summary)
