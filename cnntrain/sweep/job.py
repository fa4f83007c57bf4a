"""One job of a sweep: a run with its own overrides in its own folder, wherever it is executed."""

from __future__ import annotations

import contextlib
import os
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from cnntrain.compare.results import headline
from cnntrain.config.compose import add_current_folder
from cnntrain.config.sections import JobSettings
from cnntrain.errors import CnntrainError, Interrupted, Pruned, reraise_interruption
from cnntrain.runs import run_folder
from cnntrain.runs.job_record import RECORD, record_of
from cnntrain.runs.records import JobRecord, RunSummary
from cnntrain.runs.run_writes import OutsideFolder, check_links
from cnntrain.runtime import memory, streams
from cnntrain.runtime.console import AS_TEXT, Console, Verbatim
from cnntrain.runtime.regular_files import append_regular
from cnntrain.sweep.forkserver import unshield_path
from cnntrain.tasks.chosen import scores_of

PATIENCE_SECONDS = 10.0  # in which the process of a sweep that was killed notices that and ends


@dataclass(frozen=True)
class Job:
    """The description of a job, complete enough for another process to run it.

    Args:
        name: the name of its folder.
        folder: the folder that it trains in.
        config: its configuration, checked, with its folder, and its share of screen and threads.
        varied: the overrides that set it apart from the other jobs.
        trust: packages that the configuration may name; None for what the user has typed.
        cwd: the folder in which the user typed.
        trial: number of the point of a search that may end the job early; None: nothing does.
        header: whether the screen shows what is trained on what, which the job before has shown already.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    varied: tuple[str, ...]
    trust: tuple[str, ...] | None
    cwd: str = "."
    trial: int | None = None
    header: bool = True


def run_job(job: Job) -> JobRecord:
    """Run a job, or the rest of it, and return its record, which is also written to ``job.json``.

    Raises:
        Interrupted: a signal came; the checkpoint is written, and the record says that it is not finished.
    """
    record: JobRecord = {"state": "running", "overrides": list(job.varied)}
    log = job.folder / "train.log"
    streams.prepare()  # in a process of the engine's too
    memory.keep()
    unshield_path()
    os.chdir(job.cwd)  # engines start their processes where they like
    try:
        check_links(job.folder, job.folder.parent)
        run_folder.make_folder(job.folder)
        if not run_folder.wait_until_free(job.folder, PATIENCE_SECONDS):
            # Its record is not ours to write: whoever has the folder will.
            return record | {"state": "failed", "reason": f"{job.folder} is in use by another process"}
        run_folder.write_json(job.folder / RECORD, record)
        scores = scores_of(JobSettings.from_config(job.config).task, job.trust)
        record = cast(JobRecord, {**record, "state": "finished", **headline(trained(job), scores)})
    except Interrupted:
        raise
    except OutsideFolder as error:  # the record and the log would lead out too
        return record | {"state": "failed", "reason": str(error)}
    except Pruned as error:
        record |= {"state": "pruned", "reason": str(error)}
    except CnntrainError as error:
        reraise_interruption(error)
        record |= {"state": "failed", "reason": str(error)}
        Console(0, log).line("failed: {}", Verbatim(str(error)))
        if error.__cause__ is not None:
            log_traceback(log, error.__cause__)
    except Exception as error:
        reraise_interruption(error)
        reason = f"{type(error).__name__}: {error}; the traceback is in {log}"
        record |= {"state": "failed", "reason": reason}
        log_traceback(log, error)
    run_folder.write_json(job.folder / RECORD, record)
    return record


def log_traceback(log: Path, error: BaseException) -> None:
    """Add where an error came from to the log of a job."""
    with contextlib.suppress(OSError), append_regular(log, **AS_TEXT) as file:
        traceback.print_exception(error, file=file)


def trained(job: Job) -> RunSummary:
    """Train a job from its checkpoint, or from the beginning if it has none, and return its summary."""
    if job.trust is None:
        add_current_folder()
    from cnntrain import run
    from cnntrain.training.output import AfterEpoch

    after_epoch: AfterEpoch = run.nothing_after_epoch
    if job.trial is not None:
        from cnntrain.sweep.search import pruning

        settings = JobSettings.from_config(job.config)
        monitor = scores_of(settings.task, job.trust).monitored(settings.monitor)
        after_epoch = pruning(job.folder.parent, monitor, job.trial, settings.epochs)
    return run.start_or_resume(job.config, job.folder, job.trust, after_epoch, job.header)


def is_under_way(job: Job) -> bool:
    """Return whether a job has begun and not ended, as far as its record knows."""
    record = record_of(job.folder)
    return record is not None and record["state"] == "running"
