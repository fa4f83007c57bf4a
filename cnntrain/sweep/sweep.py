"""A sweep under way: its jobs run where the launcher takes them, and are ranked when they have ended.

A sweep is a folder: ``sweep.yaml`` says what its jobs are, and each job has a run folder of its own. So what
is finished stays finished, and whatever stopped a sweep, the rest is done by ``cnntrain resume SWEEP``. No
torch until a job runs.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from cnntrain.config import own_runs
from cnntrain.config.derived import for_job, for_report
from cnntrain.config.instantiate import build
from cnntrain.config.sections import JobSettings, SearchSettings, SweepSettings
from cnntrain.errors import CnntrainError, Interrupted, UserError
from cnntrain.runs import lookup, run_folder
from cnntrain.runs.checkpoint import LAST
from cnntrain.runs.job_record import RECORD, is_done
from cnntrain.runs.records import JobRecord
from cnntrain.runtime.console import Console, count
from cnntrain.runtime.imports import needed
from cnntrain.runtime.signals import StopJobs
from cnntrain.sweep.configs import JobConfigs
from cnntrain.sweep.job import Job, run_job
from cnntrain.sweep.launchers import Launcher
from cnntrain.sweep.plan import Plan, named_by, with_short_path
from cnntrain.sweep.screen import Screen
from cnntrain.tasks.chosen import BEFORE_TASKS, scores_of
from cnntrain.tasks.scores import Scores
from cnntrain.text import argument, shown_path


class Sweep:
    """A sweep under way in this process.

    Args:
        plan: its jobs.
        folder: the folder of the sweep, which exists.
        settings: how its jobs are run.
        trust: packages that the jobs may name; None for what the user typed.
    """

    def __init__(
        self, plan: Plan, folder: Path, settings: SweepSettings, trust: Sequence[str] | None
    ) -> None:
        self.plan = plan
        self.folder = folder
        self.console = Console(settings.verbose)
        self.stops = settings.on_error == "stop"
        self.launcher: Launcher = build("launcher", settings.launcher, Launcher)
        if plan.search is not None:
            needed("optuna", "this search")
        self.configs = JobConfigs(plan, trust)
        self.screen = Screen(self.console, self.launcher, lambda: self.scores)
        self.failed: list[str] = []
        self.stopped = False

    def check(self) -> None:
        """Compose the configuration of every job.

        Raises:
            UserError: one of them is not possible.
        """
        for name in self.plan.jobs:
            self.configs.of(name)

    @cached_property
    def scores(self) -> Scores:
        """The scores of the jobs' task, as the first job that is possible names it."""
        config = self.configs.first()
        if config is None:  # no job of a search can run
            return scores_of(BEFORE_TASKS, None)
        return scores_of(JobSettings.from_config(config).task, self.configs.trust_in(config))

    def run(self) -> int:
        """Run the jobs that are missing or failed, rank the finished ones, and return the exit code.

        Raises:
            Interrupted: a signal came, and what is finished is ranked.
        """
        from cnntrain.sweep.report import report

        interruption: Interrupted | None = None
        with run_folder.locked(self.folder), StopJobs() as signals:
            if self.configs.trust is None:
                self.plan = replace(self.plan, signature=own_runs.signature(self.configs.signed()))
            self.plan.write(self.folder)
            run_folder.remember(self.folder)
            try:
                if self.plan.search is None:
                    self.grid(signals)
                else:
                    self.search(self.plan.search, signals)
            except (Interrupted, KeyboardInterrupt) as error:
                number = signals.received or signal.SIGINT
                if isinstance(error, Interrupted):
                    number = error.exit_code - 128
                message = f"stopped by {signal.Signals(number).name}\n{self.to_go_on()}"
                interruption = Interrupted(message, number)
            self.plan.write(self.folder)  # with the jobs that a search has asked for
            best_of_each = report(self.folder, self.console, self.scores)
        if interruption is not None:
            raise interruption
        for best in best_of_each:
            if JobSettings.from_config(self.configs.of(best.name)).report:
                self.report_on(best)
        return 1 if self.failed else 0

    def report_on(self, best: Path) -> None:
        """Write the report of the best job, unless that was done when the sweep ended before."""
        from cnntrain.config.sections import ReportSettings, TrainedSettings
        from cnntrain.report.entry import from_folder, is_there

        if is_there(best):
            return
        try:
            state, _ = lookup.load_or_previous(best / run_folder.CHECKPOINTS / LAST)
            config = self.configs.of(best.name)
            config = for_report(config, state["config"], self.console.verbose, self.configs.trust)
            from_folder(ReportSettings.from_config(config), TrainedSettings.from_config(config), best, state)
        except CnntrainError as error:  # the data are elsewhere, on the cluster, say
            self.console.warn(f"the report of {shown_path(best)} could not be written: {error}")

    def grid(self, signals: StopJobs) -> None:
        """Run the jobs of a grid that are missing or failed."""
        todo = [self.job(name) for name in self.plan.jobs if not is_done(self.folder / name)]
        total = len(self.plan.jobs)
        done = total - len(todo)
        self.screen.opening(self.folder, done, total)
        for _ in self.do(todo, done, total, signals):
            pass

    def search(self, settings: SearchSettings, signals: StopJobs) -> None:
        """Run the jobs that were unfinished when a search was stopped, then those that it asks for."""
        from cnntrain.sweep.search import Search

        search = Search(self.folder, settings, self.scores.monitored(self.plan.monitor))
        waiting: dict[str, int] = {}
        for name, words, unfinished in search.jobs():
            self.plan.jobs[name] = [*settings.fixed, *words]
            if unfinished is not None:
                waiting[name] = unfinished
        done = search.n_trials - search.left() - len(waiting)
        self.screen.opening(self.folder, done, search.n_trials)
        while not self.stopped and (waiting or search.left()):
            while len(waiting) < min(self.launcher.at_a_time(), search.left() + len(waiting)):
                number, name, words = search.ask(self.name_for)
                waiting[name] = number
                self.plan.jobs[name] = [*settings.fixed, *words]
            trials, waiting = waiting, {}
            jobs = []
            for name, number in trials.items():
                try:
                    jobs.append(self.job(name, number))
                except UserError as error:  # values that do not go together
                    done += 1
                    impossible: JobRecord = {"state": "failed", "reason": str(error)}
                    self.note_end(name, impossible, f"{done} of {search.n_trials}")
                    search.tell(number, impossible)
            for job, record in self.do(jobs, done, search.n_trials, signals):
                search.tell(trials[job.name], record)
            done += len(jobs)

    def to_go_on(self) -> str:
        """Return the line that says how a stopped sweep is continued."""
        return f"to go on: cnntrain resume {argument(self.folder)}"

    def name_for(self, words: list[str]) -> str:
        """Return the name of a new job."""
        (name,) = named_by([[with_short_path(word) for word in words]], self.plan.varied)
        while name in self.plan.jobs:  # a search may ask for the same point twice
            name += "+"
        return name

    def job(self, name: str, trial: int | None = None) -> Job:
        """Return a job."""
        plan, config = self.plan, self.configs.of(name)
        parallel = self.launcher.threads(len(plan.jobs))
        folder = (self.folder / name).absolute() if parallel else self.folder / name
        verbose = self.console.verbose if self.launcher.shows_jobs else 0
        return Job(
            name,
            folder,
            for_job(config, folder, verbose, parallel),
            plan.varied_of(name),
            self.configs.trust_in(config),
            cwd=str(Path.cwd()),
            trial=trial if plan.search is not None and plan.search.prune else None,
        )

    def do(
        self, jobs: Sequence[Job], done: int, total: int, signals: StopJobs
    ) -> Iterator[tuple[Job, JobRecord]]:
        """Run jobs, print how each ended, and yield it with its record.

        Args:
            jobs: the jobs to run.
            done: the number of jobs that were done before.
            total: the number of all jobs.
            signals: the signals that stop them.
        """
        work = self.screen.announced(run_job, done, total) if self.launcher.shows_jobs else run_job
        silent = {"disable": True} if self.launcher.shows_jobs else {}  # the jobs have bars of their own
        with self.console.bar(total, done, "jobs", unit="job", **silent) as bar, bar.ticking():
            for job, record in self.launcher.run(jobs, work, self.folder) if jobs else ():
                done += 1
                with bar.external_write_mode():
                    self.note_end(job.name, record, f"{done} of {total}")
                bar.update()
                yield job, record
                signals.check()
                if record["state"] == "failed" and self.stops:
                    self.stopped = True
                    break
        if self.stopped:
            self.console.warn(f"on_error=stop: {count(total - done, 'job')} left undone")

    def note_end(self, name: str, record: JobRecord, place: str) -> None:
        """Print how a job ended, and write the record of one that could not write its own."""
        varied, file = self.plan.varied_of(name), self.folder / name / RECORD
        if record["state"] == "failed":
            self.failed.append(name)
            is_here = not file.parent.is_symlink()  # else the record would be written elsewhere
            if is_here and (not file.exists() or "process was lost" in record["reason"]):
                run_folder.make_folder(file.parent)
                run_folder.write_json(file, {"overrides": list(varied), **record})
        self.screen.ended(name, varied, record, place)
