"""When a run's report is made: at the end of its training, or later, from what its folder holds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cnntrain import loop
from cnntrain.config.sections import PreviousRunSettings, ReportSettings, TrainedSettings
from cnntrain.data.loader import EvalLoader, Normalize
from cnntrain.data.open import Data, is_same_data, open_data
from cnntrain.errors import RunFailed, UserError, describe_error
from cnntrain.image_folder.members import EVERY_PART, recorded_split
from cnntrain.inference.model import Trained
from cnntrain.models.copying import copied
from cnntrain.report.data import ReportedRun, images_in
from cnntrain.report.sections import PAGE, write_report
from cnntrain.runs import checkpoint, lookup, run_files, run_folder
from cnntrain.runs.records import CheckpointState, RunSummary
from cnntrain.runtime.console import Console
from cnntrain.tasks.classes import check_same
from cnntrain.tasks.report import Evaluated
from cnntrain.text import argument, printable, shown_names, shown_path
from cnntrain.training.trainer import Trainer

PATIENCE = 10.0  # of who asks for a report, in that of who waits for a training to end


def after_training(
    settings: ReportSettings,
    summary: RunSummary,
    trainer: Trainer,
    data: Data,
    normalize: Normalize,
    result: Any,
    kept: Any,
) -> None:
    """Write the report of a run that has just ended, from what is in memory.

    The run is over and saved: whatever goes wrong here is only reported.

    Args:
        settings: the part of the run's configuration that the report shows.
        summary: the contents of ``summary.json``.
        trainer: the run.
        data: its images.
        normalize: turns bytes into what the model takes.
        result: the result of the test.
        kept: what the task's collector kept of each test image.
    """
    learner, console, folder = trainer.learner, trainer.output.console, trainer.output.folder
    # The layers are called one by one, which a copy of a compiled model does in plain torch.
    model = copied(learner.model) if settings.compile else learner.model
    class_names, best = shown_names(data.train.class_names), trainer.progress.best
    everything = torch.arange(len(data.test))
    evaluated = Evaluated(
        "test",
        images_in(data.test, everything, data.test_files, settings.data.inputs),
        result,
        kept,
        class_names,
        model,
        normalize,
        learner.precision,
        normalize.mean.device,
        settings.augment,
        to_wait=f"cnntrain report {argument(folder)}",
    )
    run = ReportedRun(
        folder,
        settings,
        trainer.task,
        summary,
        summary["versions"],
        trainer.progress.history,
        None if best is None else best["epoch"],
        class_names,
        model,
        evaluated,
        sizes_of(data),
    )
    try:
        console.line("report: [bold]{}[/]", shown_path(write_report(run, console)))
    except Exception as error:  # a full disk, a plotting library that is broken, a model of the user's
        console.warn(f"the report could not be written: {describe_error(error)}")


def from_folder(
    settings: ReportSettings, trained_settings: TrainedSettings, folder: Path, state: CheckpointState
) -> Path:
    """Write the report of a run from its folder; of an unfinished one without touching the test set.

    Args:
        settings: the part of the checkpoint's configuration that the report shows.
        trained_settings: what that says about the model, with what was typed.
        folder: the run folder.
        state: its last checkpoint.

    Raises:
        UserError: the data are not those of the run.
        RunFailed: the folder can't be written to.
    """
    console = Console(settings.verbose)
    finished = run_folder.is_finished(folder, state, settings.epochs, settings.early_stopping)
    path = folder / run_folder.CHECKPOINTS / checkpoint.BEST
    shown = checkpoint.load(path) if path.exists() else state
    if shown is state:
        lookup.warn_of_no_best(path.with_name(checkpoint.LAST), state)
    trained = Trained(replace(trained_settings, compile=False), path, shown)
    data = data_of_run(settings, trained, folder, state, console)
    best = state["progress"]["best"]
    run = ReportedRun(
        folder,
        settings,
        trained.task,
        run_files.read_json(folder / "summary.json") if finished else None,
        state["versions"],
        history_of(folder),
        None if best is None else best["epoch"],
        shown_names(trained.class_names),
        trained.model,
        evaluated_now(settings, trained, data, finished),
        sizes_of(data),
    )
    try:
        target = write_report(run, console)
    except OSError as error:
        raise RunFailed(f"the report of {folder} can't be written: {error.strerror or error}") from error
    console.line("report: [bold]{}[/]", shown_path(target))
    return target


def data_of_run(
    settings: ReportSettings, trained: Trained, folder: Path, state: CheckpointState, console: Console
) -> Data:
    """Return the images of a run.

    Raises:
        UserError: the data are not those of the run.
    """
    class_names, trust = trained.class_names, trained.trust
    before = PreviousRunSettings.from_config(state["config"]).source
    run_split = recorded_split(settings.data.source, before, state.get("split"), folder, EVERY_PART)
    known = class_names if run_split else None
    data = open_data(settings.data, trained.device, console, trust, known, run_split)
    if not is_same_data(state, data):
        raise UserError(f"the data are not those of {folder}: name the folder that holds them, data.root=DIR")
    check_same(data.train.class_names, class_names)
    return data


def evaluated_now(settings: ReportSettings, trained: Trained, data: Data, finished: bool) -> Evaluated | None:
    """Evaluate a model on the test images or, of an unfinished run, on its validation images, if any."""
    split, images, indices, files = "validation", data.train, data.val_indices, data.train_files
    if finished:
        split, images, indices, files = "test", data.test, torch.arange(len(data.test)), data.test_files
    if not len(indices):
        return None
    size, workers = settings.eval_batch_size, settings.data.workers
    batches = EvalLoader(images, indices, size, trained.normalize, trained.device, workers)
    seen, evaluation = trained.task.collector(), trained.task.evaluation(trained.device)
    result = loop.evaluate(
        trained.model,
        trained.task.collate(batches),
        trained.criterion,
        evaluation,
        trained.precision,
        after_batch=seen.add,
    )
    return Evaluated(
        split,
        images_in(images, indices, files, settings.data.inputs),
        result,
        seen.local_results(batches.order),
        shown_names(trained.class_names),
        trained.model,
        trained.normalize,
        trained.precision,
        trained.device,
        settings.augment,
        PATIENCE,
    )


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
        raise UserError(
            f"{printable(folder / 'metrics.csv')} can't be read: {describe_error(error)}"
        ) from error
