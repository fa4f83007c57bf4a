"""A sweep under way: its jobs run where the launcher takes them, and are ranked when they have ended.

A sweep is a folder: ``sweep.yaml`` says what its jobs are, and each job has a run folder of its own. So what
is finished stays finished, and whatever stopped a sweep, the rest is done by ``cnntrain resume SWEEP``. No
torch until a job runs.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from cnntrain.config import own_runs
from cnntrain.config.composer import Composer
from cnntrain.config.derived import for_job, for_report
from cnntrain.config.instantiate import build
from cnntrain.config.keys import ABOUT_THE_SWEEP
from cnntrain.config.sections import JobSettings, SearchSettings, SweepSettings
from cnntrain.errors import CnntrainError, Interrupted, UserError
from cnntrain.runs import lookup, run_folder
from cnntrain.runs.checkpoint import LAST
from cnntrain.runs.job_record import RECORD, is_done
from cnntrain.runs.records import JobRecord
from cnntrain.runtime.console import Console, Verbatim, count
from cnntrain.runtime.imports import needed
from cnntrain.runtime.signals import StopJobs
from cnntrain.sweep.job import Job, run_job
from cnntrain.sweep.launchers import Launcher, Work
from cnntrain.sweep.plan import Plan, named_by, with_short_path
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
        self.trust = None if trust is None else tuple(trust)
        self.launcher: Launcher = build("launcher", settings.launcher, Launcher)
        if plan.search is not None:
            needed("optuna", "this search")
        self.composer = Composer(plan.config_dir)
        self.configs: dict[str, dict[str, Any]] = {}  # of the jobs, by their names
        self.known: list[str] | None = None  # packages of a sweep that is resumed by who typed it
        self.failed: list[str] = []
        self.stopped = False
        self.begin = time.monotonic()

    def check(self) -> None:
        """Compose the configuration of every job.

        Raises:
            UserError: one of them is not possible.
        """
        for name in self.plan.jobs:
            self.config_of(name)

    def signed(self) -> dict[str, Any]:
        """Return what is signed of a sweep: the configurations of its jobs, or where a search begins."""
        search = self.plan.search
        jobs = self.configs_of_search() if search is not None else map(self.config_of, self.plan.jobs)
        configured = [{name: v for name, v in job.items() if name not in ABOUT_THE_SWEEP} for job in jobs]
        return {"search": None if search is None else asdict(search), "jobs": configured}

    def configs_of_search(self) -> list[dict[str, Any]]:
        """Return the configuration that all jobs of a search have in common, if it is possible by itself."""
        assert self.plan.search is not None
        try:
            return [self.composer.settings(self.plan.search.fixed)]
        except UserError:
            return []

    @cached_property
    def scores(self) -> Scores:
        """The scores of the jobs' task, as the first job that is possible names it."""
        if self.plan.search is not None:
            configured = self.configs_of_search()
        else:
            configured = [self.config_of(name) for name in list(self.plan.jobs)[:1]]
        if not configured:  # no job of a search can run
            return scores_of(BEFORE_TASKS, None)
        return scores_of(JobSettings.from_config(configured[0]).task, self.trust_in(configured[0]))

    def trust_if_own(self) -> bool:
        """Trust the sweep as if it were typed if this user has typed it here, and return whether it is so."""
        if self.plan.signature is None:
            return False
        try:
            config = self.signed()
        except UserError:  # a job that is not possible is reported when it is its turn
            return False
        if not own_runs.is_own({"config": config, own_runs.SIGNATURE: self.plan.signature}):
            return False
        self.trust, self.known = None, own_runs.packages_of(config)
        return True

    def trust_in(self, settings: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Return the packages that a job may name; None for any.

        The records of a search are not signed: its jobs name nothing that the search does not begin with.
        """
        if self.known is None or set(own_runs.packages_of(settings)) <= set(self.known):
            return self.trust
        return tuple(self.known)

    def run(self) -> int:
        """Run the jobs that are missing or failed, rank the finished ones, and return the exit code.

        Raises:
            Interrupted: a signal came, and what is finished is ranked.
        """
        from cnntrain.sweep.report import report

        interruption: Interrupted | None = None
        with run_folder.locked(self.folder), StopJobs() as signals:
            if self.trust is None:
                self.plan = replace(self.plan, signature=own_runs.signature(self.signed()))
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
            if JobSettings.from_config(self.config_of(best.name)).report:
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
            config = self.config_of(best.name)
            config = for_report(config, state["config"], self.console.verbose, self.trust)
            from_folder(ReportSettings.from_config(config), TrainedSettings.from_config(config), best, state)
        except CnntrainError as error:  # the data are elsewhere, on the cluster, say
            self.console.warn(f"the report of {shown_path(best)} could not be written: {error}")

    def grid(self, signals: StopJobs) -> None:
        """Run the jobs of a grid that are missing or failed."""
        todo = [self.job(name) for name in self.plan.jobs if not is_done(self.folder / name)]
        total = len(self.plan.jobs)
        done = total - len(todo)
        self.open(done, total)
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
        self.open(done, search.n_trials)
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
                    self.tell(name, impossible, f"{done} of {search.n_trials}")
                    search.tell(number, impossible)
            for job, record in self.do(jobs, done, search.n_trials, signals):
                search.tell(trials[job.name], record)
            done += len(jobs)

    def open(self, done: int, total: int) -> None:
        """Print what is about to be done, where, and how much of it was done before."""
        left, folder = count(total - done, "job"), shown_path(self.folder)
        if done:
            self.console.line("{} of {} finished before: [bold]{}[/]", count(done, "job"), total, folder)
        if not self.launcher.shows_jobs and done < total:
            engine, at_a_time = type(self.launcher).__name__.lower(), self.launcher.at_a_time()
            self.console.line("{} by {}, {} at a time: [bold]{}[/]", left, engine, at_a_time, folder)
        elif not done:
            self.console.line("{}: [bold]{}[/]", left, folder)

    def to_go_on(self) -> str:
        """Return the line that says how a stopped sweep is continued."""
        return f"to go on: cnntrain resume {argument(self.folder)}"

    def name_for(self, words: list[str]) -> str:
        """Return the name of a new job."""
        (name,) = named_by([[with_short_path(word) for word in words]], self.plan.varied)
        while name in self.plan.jobs:  # a search may ask for the same point twice
            name += "+"
        return name

    def config_of(self, name: str) -> dict[str, Any]:
        """Return the configuration of a job."""
        if name not in self.configs:
            self.configs[name] = self.composer.settings(self.plan.jobs[name])
        return self.configs[name]

    def job(self, name: str, trial: int | None = None) -> Job:
        """Return a job."""
        plan, config = self.plan, self.config_of(name)
        parallel = self.launcher.threads(len(plan.jobs))
        folder = (self.folder / name).absolute() if parallel else self.folder / name
        verbose = self.console.verbose if self.launcher.shows_jobs else 0
        return Job(
            name,
            folder,
            for_job(config, folder, verbose, parallel),
            plan.varied_of(name),
            self.trust_in(config),
            cwd=str(Path.cwd()),
            trial=trial if plan.search is not None and plan.search.prune else None,
        )

    def do(
        self, jobs: Sequence[Job], done: int, total: int, signals: StopJobs
    ) -> Iterator[tuple[Job, JobRecord]]:
        """Run jobs, tell how each ended, and yield it with its record.

        Args:
            jobs: the jobs to run.
            done: the number of jobs that were done before.
            total: the number of all jobs.
            signals: the signals that stop them.
        """
        work = self.announced(run_job, done, total) if self.launcher.shows_jobs else run_job
        silent = {"disable": True} if self.launcher.shows_jobs else {}  # the jobs have bars of their own
        with self.console.bar(total, done, "jobs", unit="job", **silent) as bar, bar.ticking():
            for job, record in self.launcher.run(jobs, work, self.folder) if jobs else ():
                done += 1
                with bar.external_write_mode():
                    self.tell(job.name, record, f"{done} of {total}")
                bar.update()
                yield job, record
                signals.check()
                if record["state"] == "failed" and self.stops:
                    self.stopped = True
                    break
        if self.stopped:
            self.console.warn(f"on_error=stop: {count(total - done, 'job')} left undone")

    def announced(self, work: Work, done: int, total: int) -> Work:
        """Return ``work`` that says which job it begins."""
        number = done

        def announcing(job: Job) -> JobRecord:
            nonlocal number
            number += 1
            varied = f": {' '.join(job.varied)}" if job.varied else ""
            self.console.line("\n[bold]job {} of {}{}[/]", number, total, Verbatim(varied))
            return work(replace(job, header=number == done + 1))

        return announcing

    def tell(self, name: str, record: JobRecord, place: str) -> None:
        """Print how a job ended."""
        varied, file = self.plan.varied_of(name), self.folder / name / RECORD
        text = " ".join(varied) or name
        if record["state"] == "failed":
            self.failed.append(name)
            is_here = not file.parent.is_symlink()  # else the record would be written elsewhere
            if is_here and (not file.exists() or "process was lost" in record["reason"]):
                run_folder.make_folder(file.parent)
                run_folder.write_json(file, {"overrides": list(varied), **record})
            self.console.warn(f"job {place} ({text}) failed: {record['reason']}")
        elif record["state"] == "pruned":
            self.console.line("job {} ({}): {}", place, text, record["reason"])
        elif not self.launcher.shows_jobs:
            main = self.scores.ranked[0]
            value = main.in_row(record)
            result = "" if value is None else f"{main.words} {main.score.text(value)}, "
            times = f"{record['seconds']:.1f} s; elapsed {time.monotonic() - self.begin:.0f} s"
            self.console.line("job {} ({}): {}", place, text, f"{result}{times}")
