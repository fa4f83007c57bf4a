"""A run from its configuration to its summary. Nothing below this package sees the configuration."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from cnntrain.config.derived import resumed
from cnntrain.config.inputs import IMAGES, inputs_of
from cnntrain.config.schema import Config
from cnntrain.config.sections import (
    DataSettings,
    DoctorSettings,
    HeaderSettings,
)
from cnntrain.data.open import Data, check_same_data
from cnntrain.errors import CheckpointError, describe_error
from cnntrain.image_folder import members
from cnntrain.loggers import Logged, Loggers, build_loggers
from cnntrain.run.outcome import finish
from cnntrain.run.setup import Setup, build_setup
from cnntrain.runs import checkpoint, lookup, run_files, run_folder, run_writes
from cnntrain.runs.records import CheckpointState, EpochRow, RunSummary
from cnntrain.runtime.console import Console
from cnntrain.runtime.ranks import is_main, rank
from cnntrain.runtime.rng import random_state_of, set_random_state
from cnntrain.tasks.classes import check_same
from cnntrain.text import printable
from cnntrain.training.components import in_use
from cnntrain.training.display import show_configuration, show_header
from cnntrain.training.doctor.doctor import Doctor
from cnntrain.training.output import AfterEpoch, Budget, Output
from cnntrain.training.record import about, write_yaml
from cnntrain.training.trainer import Trainer

IMAGES_LOGGED = 64


def nothing_after_epoch(row: EpochRow) -> None:
    """Let an epoch end without anything further."""


def train(
    config: Config,
    folder: Path,
    trust: Sequence[str] | None = None,
    after_epoch: AfterEpoch = nothing_after_epoch,
    state: CheckpointState | None = None,
    header: bool = True,
) -> RunSummary:
    """Train a new model, or go on with one to the same end; then test the best epoch once.

    Args:
        config: the configuration of ``train``, checked, as plain types. It is not changed.
        folder: the run folder. That of a new run exists and holds no run.
        trust: packages that the configuration may name; None if it is what the user typed.
        after_epoch: is given each epoch's row of metrics.csv; what it raises ends the run there.
        state: the checkpoint to go on from; None for a new run.
        header: whether the screen shows what is trained on what.

    Returns:
        What is written to ``summary.json``.
    """
    begin = time.monotonic()
    parts: dict[str, Any] = {}  # of others, perhaps, that may fail in use
    with claimed(folder, state is None), in_use.named(parts, folder), run_writes.writing(folder):
        console = Console(config["verbose"], folder / "train.log") if is_main() else Console(-1)
        loggers = Loggers(build_loggers(config.get("logger") or {}, trust) if is_main() else {}, console)
        setup = build_setup(config, trust, console, folder=folder, state=state, parts=parts)
        trainer = build_trainer(setup, trust, folder, console, call_each(loggers.epoch, after_epoch))
        about_it, level = HeaderSettings.from_config(setup.config), 1 if header else 2
        show_header(trainer, about_it, setup.data, setup.engine_in_words, setup.started, level)
        show_configuration(console, setup.config)
        if state is not None:
            restore(trainer, setup.data, state)
        record_run(setup, folder, trust)
        history, scores = trainer.progress.history, setup.task.scores
        loggers.begin(lambda: Logged(folder, setup.config, scores, history, images_logged(setup)))
        with closing(setup.batches):
            with loggers:
                trainer.fit()
            return finish(setup, trainer, loggers, begin)


def images_logged(setup: Setup) -> Tensor | None:
    """Return some training images as the network gets them, uint8 (N, C, H, W); None of sequences."""
    is_seen = inputs_of(setup.config["data"]) == IMAGES
    return setup.task.drawn(*setup.batches.train.preview(IMAGES_LOGGED)) if is_seen else None


def resume(config: Config, folder: Path, state: CheckpointState | None = None) -> RunSummary:
    """Go on with a run where its checkpoint left it, to the same end as if it had never stopped.

    Args:
        config: the checkpoint's configuration, overridden.
        folder: the run folder.
        state: the checkpoint; None of a run that was stopped before its first one, and begins again.
    """
    return train(without_trust(config), folder, config["trust"], state=state)


def start_or_resume(
    config: Config,
    folder: Path,
    trust: Sequence[str] | None = None,
    after_epoch: AfterEpoch = nothing_after_epoch,
    header: bool = True,
) -> RunSummary:
    """Train a run from its checkpoint, or from the beginning if it has none. What is finished stays as it is.

    Args:
        config: the configuration as it was composed, also of a run that goes on.
        folder: the run folder.
        trust: packages that the configuration may name; None if it is what the user typed.
        after_epoch: the after epoch as of :func:`train`.
        header: whether the screen shows what is trained on what.

    Returns:
        What is written to ``summary.json``.
    """
    last = folder / run_folder.CHECKPOINTS / checkpoint.LAST
    if not last.exists() and not last.with_name(checkpoint.PREVIOUS).exists():
        return train(config, folder, trust, after_epoch, header=header)
    state, _ = lookup.load_or_previous(last)
    if run_folder.is_finished(folder, state, config["epochs"], config["early_stopping"]):
        summary: RunSummary = run_files.read_json(folder / "summary.json")
        return summary
    return train(resumed(config, state["config"]), folder, trust, after_epoch, state, header)


def without_trust(config: Config) -> Config:
    """Return a configuration without ``trust``, which is of a command and not of a run."""
    return {name: value for name, value in config.items() if name != "trust"}


@contextmanager
def claimed(folder: Path, is_new: bool) -> Iterator[None]:
    """Keep other processes out of a run folder, and remove what one that was killed left unfinished.

    Raises:
        UserError: another process has it, or it holds a run and this is a new one.
    """
    if not is_main():
        yield
        return
    with run_folder.locked(folder):
        if is_new:
            run_folder.check_still_new(folder)
        run_writes.remove_temporaries(folder)
        yield


def build_trainer(
    setup: Setup, trust: Sequence[str] | None, folder: Path, console: Console, after_epoch: AfterEpoch
) -> Trainer:
    """Put together what trains: the learner, its batches, a budget and where to write."""
    config, learner, batches = setup.config, setup.learner, setup.batches
    budget = Budget(
        config["epochs"],
        setup.task.scores.monitored(config["monitor"]),
        config["early_stopping"],
        config["save_every_steps"],
        config["save_every_minutes"],
    )
    contents = about(config, DataSettings.from_config(config), setup.data, setup.started, trust)
    output = Output(folder, console, contents, after_epoch)
    doctor = None
    if config["doctor"]:
        does, parts = (
            DoctorSettings.from_config(config),
            (learner.model, learner.optimizer, learner.criterion),
        )
        doctor = Doctor(*parts, learner.precision, does, setup.task)
    return Trainer(learner, batches.train, batches.val, setup.task, budget, output, doctor)


def call_each(*observers: AfterEpoch) -> AfterEpoch:
    """Return what tells several observers of each epoch, one after the other."""

    def tell(row: EpochRow) -> None:
        for observer in observers:
            observer(row)

    return tell


def restore(trainer: Trainer, data: Data, state: CheckpointState) -> None:
    """Bring everything to where a checkpoint was, the random generators last of all.

    Raises:
        UserError: the data are others than the run began with.
        CheckpointError: what it holds does not fit what its configuration describes.
    """
    check_same_data(state, data)
    check_same(data.train.class_names, state["class_names"])
    try:
        trainer.load_state_dict(state)
        set_random_state(random_state_of(rank(), [state["random"], *state["random_of_others"]]))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(
            f"the checkpoint does not fit its own configuration: {printable(describe_error(error))}"
        ) from error
    trainer.output.console.line(
        f"\nresumed after step {trainer.progress.step:,}, {trainer.progress.epoch} of "
        f"{trainer.budget.epochs} epochs done"
    )


def record_run(setup: Setup, folder: Path, trust: Sequence[str] | None) -> None:
    """Write what the run is into its folder: the configuration and, of a folder of images, who does what."""
    if not is_main():
        return
    write_yaml(folder / "config.yaml", setup.config, trust)
    if setup.data.record is not None and (setup.split is None or setup.split.members is None):
        members.write(folder, setup.data.record)
    run_folder.remember(folder)
