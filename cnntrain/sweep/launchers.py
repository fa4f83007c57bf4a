"""Launchers run the jobs of a sweep: in this process, on its cores, on a Slurm cluster or a Ray cluster.

Each launcher hands the same function to an existing engine and yields what it returns as the jobs end.
Hydra's launcher plugins drive the same engines, but know nothing of a sweep that is resumed, and tell of
failures when all jobs have ended.
"""

from __future__ import annotations

import logging
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cnntrain.runs.records import JobRecord
from cnntrain.runtime.hardware import cores
from cnntrain.runtime.imports import needed
from cnntrain.runtime.signals import DeferredSignals
from cnntrain.sweep import forkserver
from cnntrain.sweep.job import Job, is_under_way
from cnntrain.sweep.worker import in_worker, stderr_to

Work = Callable[[Job], JobRecord]
POLL_SECONDS = 0.1
SLURM_POLL_SECONDS = 0.5  # each looks for a file of each job, on a disk that the cluster shares
UNKNOWN_AT_A_TIME = 8  # jobs that a search asks for together, where only the cluster knows how many run


class Launcher(ABC):
    """Runs jobs.

    Args of :meth:`run`:
        jobs: the jobs to run.
        work: does one job and returns its record; it never raises, except to be interrupted.
        folder: the folder of the sweep.
    """

    shows_jobs = False  # whether the jobs print what they do where the user sees it

    @abstractmethod
    def run(self, jobs: Sequence[Job], work: Work, folder: Path) -> Iterator[tuple[Job, JobRecord]]:
        """Yield each job with its record when it ends."""

    def threads(self, jobs: int) -> int | None:
        """Return how many threads a job may use, so that jobs do not fight; None to let it measure."""
        return None

    def at_a_time(self) -> int:
        """Return how many jobs run at a time."""
        return 1


class Local(Launcher):
    """One job after another in this process."""

    shows_jobs = True

    def run(self, jobs: Sequence[Job], work: Work, folder: Path) -> Iterator[tuple[Job, JobRecord]]:
        """Yield each job with its record when it ends."""
        for job in jobs:
            yield job, work(job)


class Joblib(Launcher):
    """Several jobs at a time, each in a process of its own.

    Args:
        n_jobs: at a time; None: as many as there are cores.
    """

    def __init__(self, n_jobs: int | None) -> None:
        needed("joblib")
        self.n_jobs = n_jobs or cores()

    def run(self, jobs: Sequence[Job], work: Work, folder: Path) -> Iterator[tuple[Job, JobRecord]]:
        """Yield each job with its record when it ends."""
        if forkserver.FORKS:
            from joblib.externals.loky.backend.context import set_start_method

            set_start_method("forkserver", force=True)
        forkserver.start()
        left = {job.name: job for job in jobs}
        suspects: list[Job] = []
        while left:
            batch = suspects[:1] or list(left.values())
            lost_one = False
            for job, record in self.batch(batch, work):
                lost_one = lost_one or job is None
                if job is not None:
                    yield left.pop(job.name), record
            # With one process the engine loses all. The jobs that were under way are done again one by one:
            # so the one that is to blame is known, and costs no other job.
            if lost_one and len(batch) == 1:
                yield left.pop(batch[0].name), lost("killed, perhaps because memory ran out")
            if lost_one and not suspects:
                suspects = [job for job in batch if is_under_way(job)] or batch
            suspects = [job for job in suspects if job.name in left]

    def batch(self, jobs: Sequence[Job], work: Work) -> Iterator[tuple[Job | None, JobRecord]]:
        """Yield each job with its record when it ends; None once a process was lost, which ends the batch."""
        from joblib import Parallel, delayed
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        # Who stops at an error means to leave the others.
        warnings.filterwarnings("ignore", ".*tasks which were still being processed", UserWarning)
        at_a_time = min(self.n_jobs, max(2, len(jobs)))  # of a single job, joblib would make no process
        parallel = Parallel(n_jobs=at_a_time, batch_size=1, return_as="generator_unordered")
        try:
            yield from parallel(delayed(in_worker)(work, job, os.getpid()) for job in jobs)
        except TerminatedWorkerError:
            yield None, lost("")

    def threads(self, jobs: int) -> int | None:
        """Return the share of the cores that each job has."""
        return max(1, cores() // min(self.n_jobs, jobs))

    def at_a_time(self) -> int:
        """Return how many jobs run at a time."""
        return self.n_jobs


class Submitit(Launcher):
    """Each job a job of a Slurm cluster, or a process of this machine with ``cluster=local``.

    Args:
        cluster: ``slurm`` or ``local``.
        partition: the partition of the cluster; None: its default.
        minutes: the time after which a job is ended; it continues from its checkpoint on resumption.
        cpus: the number of CPUs of each job.
        gpus: the number of GPUs of each job.
        memory_gb: the memory of each job, in GB.
        at_once: jobs that may run at a time; None: as many as the cluster takes, or here as there are cores.
    """

    def __init__(
        self,
        cluster: str,
        partition: str | None,
        minutes: int,
        cpus: int,
        gpus: int,
        memory_gb: int,
        at_once: int | None,
    ) -> None:
        needed("submitit")
        self.cluster = cluster
        self.at_once = at_once
        self.cpus = cpus
        self.parameters: dict[str, Any] = {"timeout_min": minutes, "cpus_per_task": cpus, "mem_gb": memory_gb}
        self.parameters["gpus_per_node"] = gpus
        if partition is not None:
            self.parameters["slurm_partition"] = partition
        if at_once is not None:
            self.parameters["slurm_array_parallelism"] = at_once

    def run(self, jobs: Sequence[Job], work: Work, folder: Path) -> Iterator[tuple[Job, JobRecord]]:
        """Yield each job with its record when it ends."""
        import submitit

        forkserver.shield_path()
        executor = submitit.AutoExecutor(folder / ".submitit", cluster=self.cluster)
        executor.update_parameters(name=f"cnntrain {folder.name}", **self.parameters)
        waiting, running = list(jobs), dict[Any, Job]()
        is_local = self.cluster == "local"
        limit = self.at_a_time() if is_local else len(waiting)  # Slurm counts by itself
        poll = POLL_SECONDS if is_local else SLURM_POLL_SECONDS
        try:
            while waiting or running:
                batch = waiting[: limit - len(running)]
                del waiting[: len(batch)]
                if batch:
                    with stderr_to(folder / ".submitit" / "stderr.log"):
                        running.update(zip(executor.map_array(work, batch), batch, strict=True))
                done = next(submitit.helpers.as_completed(list(running), poll_frequency=poll))
                error = done.exception()
                yield running.pop(done), lost(str(error)) if error else done.result()
        finally:
            for left in running:
                left.cancel()

    def threads(self, jobs: int) -> int | None:
        """Return the cores that each job has asked for."""
        return self.cpus

    def at_a_time(self) -> int:
        """Return how many jobs run at a time."""
        here = max(1, cores() // self.cpus)
        return self.at_once or (here if self.cluster == "local" else UNKNOWN_AT_A_TIME)


class Ray(Launcher):
    """Each job a task of a Ray cluster.

    Args:
        address: the address of the cluster, or ``auto``; None starts one on this machine.
        cpus: the number of CPUs of each job.
        gpus: the number of GPUs of each job.
    """

    def __init__(self, address: str | None, cpus: int, gpus: float) -> None:
        needed("ray")
        self.address = address
        self.cpus = cpus
        self.gpus = gpus

    def run(self, jobs: Sequence[Job], work: Work, folder: Path) -> Iterator[tuple[Job, JobRecord]]:
        """Yield each job with its record when it ends."""
        import ray

        # Its C++ neither bears an exception out of a handler nor leaves SIGTERM to others.
        with DeferredSignals() as signals:
            ray.init(self.address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
            signals.hold()
            try:
                task = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus)(work)
                running = {task.remote(job): job for job in jobs}
                while running:
                    done, _ = ray.wait(list(running), timeout=POLL_SECONDS)
                    signals.check()
                    for ended in done:
                        yield running.pop(ended), self.record_of(ended)
            finally:
                ray.shutdown()

    def record_of(self, ended: Any) -> JobRecord:
        """Return the record of a job that has ended, in whatever way."""
        import ray

        try:
            record: JobRecord = ray.get(ended)
            return record
        except ray.exceptions.RayError as error:
            return lost(str(error))

    def threads(self, jobs: int) -> int | None:
        """Return the cores that each job has asked for."""
        return self.cpus

    def at_a_time(self) -> int:
        """Return how many jobs run at a time."""
        return UNKNOWN_AT_A_TIME if self.address else max(1, cores() // self.cpus)


def lost(reason: str) -> JobRecord:
    """Return the record of a job whose process ended without one: killed, or out of time or memory."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    return {"state": "failed", "reason": f"its process was lost: {lines[-1] if lines else 'no reason given'}"}
