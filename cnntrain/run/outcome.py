"""The end of a run: the test of the best epoch, the doctor, the summary, the report."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from torch import Tensor

from cnntrain import loop
from cnntrain.compute import ddp
from cnntrain.config.sections import ReportSettings
from cnntrain.data.loader import EvalLoader
from cnntrain.data.streaming import StreamingDataset
from cnntrain.errors import describe_error
from cnntrain.loggers import Loggers
from cnntrain.run.setup import Setup
from cnntrain.runs import checkpoint, run_folder
from cnntrain.runs.records import RunSummary
from cnntrain.runtime.ranks import is_main
from cnntrain.tasks.base import Batch
from cnntrain.tasks.collector import evenly
from cnntrain.tasks.doctor import Finding
from cnntrain.tasks.metrics import Result
from cnntrain.training.display import show_end, show_findings
from cnntrain.training.doctor.diagnostics import EXAMINED, Seen
from cnntrain.training.record import summarize
from cnntrain.training.trainer import Trainer


def finish(setup: Setup, trainer: Trainer, loggers: Loggers, begin: float) -> RunSummary:
    """Test the best epoch once, and write and show the outcome of the run.

    Args:
        setup: the run as it began.
        trainer: the run, trained.
        loggers: learn how the run ended.
        begin: when the run began, by the monotonic clock, in seconds.

    Returns:
        What is written to ``summary.json``.
    """
    config, data, console, folder = setup.config, setup.data, trainer.output.console, trainer.output.folder
    result, kept = test_best_epoch(setup, trainer)
    found = diagnose(setup, trainer)
    seconds = time.monotonic() - begin
    summary = summarize(config["seed"], trainer, result, found, data, setup.device, seconds, setup.started)
    if is_main():
        run_folder.write_json(folder / "summary.json", summary)
    loggers.end(summary)
    # A sweep tells the test result of its best job alone.
    is_job = (folder.parent / run_folder.SWEEP).exists()
    show_end(console, folder, trainer, result, data.train.class_names, tells_test=not is_job)
    if not is_job:
        loggers.show()
    doctor = trainer.doctor
    show_findings(console, [finding for finding in found if doctor and finding != doctor.reported])
    if config.get("report") and is_main():
        from cnntrain.report.entry import after_training  # which imports matplotlib

        settings, normalize = ReportSettings.from_config(config), setup.batches.normalize
        after_training(settings, summary, trainer, data, normalize, result, kept)
    return summary


def test_best_epoch(setup: Setup, trainer: Trainer) -> tuple[Result, Any]:
    """Evaluate the best epoch on the test images; its weights stay in the model.

    Returns:
        The result, and what the task's collector kept of each image.
    """
    learner, output, seen = setup.learner, trainer.output, setup.task.collector()
    if is_main():
        best = checkpoint.load(output.folder / run_folder.CHECKPOINTS / checkpoint.BEST)
        learner.model.load_state_dict(best["model"])
        setup.task.use(best["progress"].get("chosen", {}))
    ddp.same_weights(learner.model)
    result = loop.evaluate(
        learner.model,
        setup.task.collate(output.console.followed(setup.batches.test, "testing")),
        learner.val_criterion,
        setup.task.evaluation(setup.device),
        learner.precision,
        after_batch=seen.add,
    )
    return result, seen.all_results(setup.batches.test.order)


def diagnose(setup: Setup, trainer: Trainer) -> list[Finding]:
    """Return the problems of a run that has ended, if its doctor finds any."""
    if trainer.doctor is None or not is_main():
        return []
    try:
        return trainer.doctor.findings(trainer.progress.history, seen_by_doctor(setup))
    except Exception as error:  # whatever a model of the user's raises where it is copied, say
        trainer.output.console.warn(
            f"the training can't be checked for problems: {describe_error(error)}; doctor=false skips it"
        )
        return []


def seen_by_doctor(setup: Setup) -> Seen:
    """Return the images that the doctor looks at: some training and validation images, as they are."""
    data, size, workers = setup.data, setup.config["eval_batch_size"], setup.config["workers"]

    def some(indices: Tensor) -> Iterable[Batch]:
        chosen = indices[evenly(EXAMINED, len(indices))]
        loader = EvalLoader(data.train, chosen, size, setup.batches.normalize, setup.device, workers)
        return setup.task.collate(loader)

    return Seen(
        data.train.class_counts(data.train_indices).tolist(),
        data.train.class_names,
        len(data.train_indices),
        len(data.val_indices),
        some(data.train_indices),
        some(data.val_indices) if len(data.val_indices) else None,
        isinstance(data.train, StreamingDataset),
        setup.batches.train.stopwatch,
    )
