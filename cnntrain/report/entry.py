"""When a run's report is made: at the end of its training, or later, from what its folder holds."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import torch

from cnntrain import loop
from cnntrain.config.schema import Config
from cnntrain.config.sections import DataSettings, TrainedSettings
from cnntrain.data.loader import EvalLoader, Normalize
from cnntrain.data.open import Data, is_same_data, open_data
from cnntrain.errors import RunFailed, UserError, in_words
from cnntrain.image_folder.members import EVERY_PART, split_of
from cnntrain.inference.model import Trained
from cnntrain.report.data import Evaluated, Shown
from cnntrain.report.sections import PAGE, write_report
from cnntrain.runs import checkpoint, run_files, run_folder
from cnntrain.runs.records import CheckpointState, RunSummary
from cnntrain.runtime.console import Console
from cnntrain.tasks.classification.classes import check_same
from cnntrain.tasks.classification.predictions import Predictions, Verdicts
from cnntrain.text import printable, shown_names, shown_path
from cnntrain.training.trainer import Trainer

PATIENCE = 10.0  # of who asks for a report, in that of who waits for a training to end


def after_training(
    console: Console,
    config: Config,
    summary: RunSummary,
    trainer: Trainer,
    data: Data,
    normalize: Normalize,
    result: Any,
    verdicts: Verdicts,
) -> None:
    """Write the report of a run that has just ended, from what is in memory.

    The run is over and saved: whatever goes wrong here is only reported.
    """
    model = trainer.learner.model
    if config["compile"]:  # the layers are called one by one, which a copy does in plain torch
        model = copy.deepcopy(model)
    best = trainer.progress.best
    run = Shown(
        trainer.output.folder,
        config,
        summary,
        summary["versions"],
        trainer.progress.history,
        None if best is None else best["epoch"],
        shown_names(data.train.class_names),
        model,
        normalize,
        trainer.learner.precision,
        Evaluated("test", data.test, torch.arange(len(data.test)), result, verdicts, data.test_files),
        sizes_of(data),
    )
    try:
        console.line("report: [bold]{}[/]", shown_path(write_report(run, console)))
    except Exception as error:  # a full disk, a plotting library that is broken, a model of the user's
        console.warn(f"the report could not be written: {in_words(error)}")


def from_folder(config: Config, folder: Path, state: CheckpointState) -> Path:
    """Write the report of a run from its folder; of an unfinished one without touching the test set.

    Args:
        config: the checkpoint's configuration with that of ``conf/report.yaml``, amended.
        folder: the run folder.
        state: its last checkpoint.

    Raises:
        UserError: the data are not those of the run.
        RunFailed: the folder can't be written to.
    """
    console = Console(config["verbose"])
    finished = run_folder.is_finished(folder, state, config["epochs"], config["early_stopping"])
    path = folder / run_folder.CHECKPOINTS / checkpoint.BEST
    shown = checkpoint.load(path) if path.exists() else state
    if shown is state:
        run_folder.warn_of_no_best(path.with_name(checkpoint.LAST), state)
    trained = Trained(TrainedSettings.of({**config, "compile": False}), path, shown)
    if not trained.task.is_examined:
        raise UserError(
            f"the report shows classification alone, and this run learns {type(trained.task).__name__}"
        )
    device, normalize, class_names = trained.device, trained.normalize, trained.class_names

    settings = DataSettings.of(config)
    run_split = split_of(config["data"]["source"], state, folder, EVERY_PART)
    data = open_data(
        settings, device, console, config["trust"], class_names if run_split else None, run_split
    )
    if not is_same_data(state, data):
        raise UserError(f"the data are not those of {folder}: name the folder that holds them, data.root=DIR")
    check_same(data.train.class_names, class_names)
    split, images, indices, files = "validation", data.train, data.val_indices, data.train_files
    if finished:
        split, images, indices, files = "test", data.test, torch.arange(len(data.test)), data.test_files
    evaluated = None
    if len(indices):
        batches = EvalLoader(images, indices, config["eval_batch_size"], normalize, device, config["workers"])
        seen, evaluation = Predictions(), trained.task.evaluation(device)
        result = loop.evaluate(
            trained.model, batches, trained.criterion, evaluation, trained.precision, after_batch=seen.add
        )
        evaluated = Evaluated(split, images, indices, result, seen.joined(), files)
    best = state["progress"]["best"]
    run = Shown(
        folder,
        config,
        run_files.read_json(folder / "summary.json") if finished else None,
        state["versions"],
        history_of(folder),
        None if best is None else best["epoch"],
        shown_names(class_names),
        trained.model,
        normalize,
        trained.precision,
        evaluated,
        sizes_of(data),
        PATIENCE,
    )
    try:
        target = write_report(run, console)
    except OSError as error:
        raise RunFailed(f"the report of {folder} can't be written: {error.strerror or error}") from error
    console.line("report: [bold]{}[/]", shown_path(target))
    return target


def sizes_of(data: Data) -> tuple[int, int, int]:
    """Return how many images train, validate and test."""
    return len(data.train_indices), len(data.val_indices), len(data.test)


def is_there(folder: Path) -> bool:
    """Return whether a run has a report that was made after it ended."""
    page, summary = folder / PAGE, folder / "summary.json"
    return page.exists() and page.stat().st_mtime_ns >= summary.stat().st_mtime_ns


def history_of(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of a run's metrics.csv, a figure that was not measured as None."""
    try:
        rows = [
            {key: float(value or "nan") for key, value in row.items()}
            for row in run_files.read_csv(folder / "metrics.csv")
        ]
        return [
            {key: None if math.isnan(value) else value for key, value in row.items()}
            | {name: int(row[name]) for name in ("epoch", "step")}
            for row in rows
        ]
    except KeyError as error:
        raise UserError(f"{printable(folder / 'metrics.csv')} has no column {error.args[0]}") from error
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(f"{printable(folder / 'metrics.csv')} can't be read: {in_words(error)}") from error
