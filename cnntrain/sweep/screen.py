"""What a sweep prints: how many jobs there are, which one begins, and how each ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cnntrain.runs.records import JobRecord
from cnntrain.runtime.console import Console, Verbatim, count
from cnntrain.sweep.job import Job
from cnntrain.sweep.launchers import Launcher, Work
from cnntrain.tasks.scores import Scores
from cnntrain.text import shown_path


class Screen:
    """The screen of a sweep.

    Args:
        console: the console to print to.
        launcher: what runs the jobs; some launchers show each job as it runs.
        scores: returns the scores of the jobs' task.
    """

    def __init__(self, console: Console, launcher: Launcher, scores: Callable[[], Scores]) -> None:
        self.console, self.launcher, self.scores = console, launcher, scores
        self.begin = time.monotonic()

    def opening(self, folder: Path, done: int, total: int) -> None:
        """Print what is about to be done, in which folder, and how much of it was done before."""
        left, shown = count(total - done, "job"), shown_path(folder)
        if done:
            self.console.line("{} of {} finished before: [bold]{}[/]", count(done, "job"), total, shown)
        if not self.launcher.shows_jobs and done < total:
            engine, at_a_time = type(self.launcher).__name__.lower(), self.launcher.at_a_time()
            self.console.line("{} by {}, {} at a time: [bold]{}[/]", left, engine, at_a_time, shown)
        elif not done:
            self.console.line("{}: [bold]{}[/]", left, shown)

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

    def ended(self, name: str, varied: Sequence[str], record: JobRecord, place: str) -> None:
        """Print how a job ended.

        Args:
            name: the name of the job.
            varied: the overrides in which it differs from the others.
            record: its record.
            place: the job among the others: ``3 of 10``.
        """
        text = " ".join(varied) or name
        if record["state"] == "failed":
            self.console.warn(f"job {place} ({text}) failed: {record['reason']}")
        elif record["state"] == "pruned":
            self.console.line("job {} ({}): {}", place, text, record["reason"])
        elif not self.launcher.shows_jobs:
            main = self.scores().ranked[0]
            value = main.in_row(record)
            result = "" if value is None else f"{main.words} {main.score.text(value)}, "
            times = f"{record['seconds']:.1f} s; elapsed {time.monotonic() - self.begin:.0f} s"
            self.console.line("job {} ({}): {}", place, text, f"{result}{times}")
