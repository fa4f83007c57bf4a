"""The end of a sweep: its jobs are ranked on the screen, in ``sweep.csv`` and in ``sweep.html``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cnntrain.compare.diff import REPEATS, config_of, data_set_of
from cnntrain.compare.page import PageFacts, page
from cnntrain.compare.ranking import Point, Run, as_csv, best_of, in_order
from cnntrain.compare.results import figures_of
from cnntrain.compare.table import show
from cnntrain.errors import UserError
from cnntrain.runs.atomic import write_atomically
from cnntrain.runs.job_record import record_of
from cnntrain.runtime.console import Console
from cnntrain.sweep.plan import Plan
from cnntrain.tasks.scores import Scores
from cnntrain.text import encoded, shown_path


def report(folder: Path, console: Console, scores: Scores) -> list[Path]:
    """Rank the jobs of a sweep, print the ranking, and write it as ``sweep.csv`` and ``sweep.html``.

    Returns:
        The folder of the best run, of each data set.
    """
    plan = Plan.read(folder)
    runs, monitor = runs_of(plan, folder, scores), scores.monitored(plan.monitor)
    points = show(console, runs, plan.varied, monitor, scores)
    order = in_order(runs, points)
    write_atomically(folder / "sweep.csv", encoded(as_csv(order, points, plan.varied, scores)))
    about = about_of(plan, folder, runs)
    text = page(about, order, points, plan.varied, monitor, scores)
    write_atomically(folder / "sweep.html", encoded(text))
    page_path = shown_path(folder / "sweep.html")
    console.line(
        f"{outcome_of(points, runs)}: {{}}; open {{}} in a browser",
        shown_path(folder / "sweep.csv"),
        page_path,
    )
    return [point.best_run(monitor).folder for point in best_of(points)]


def outcome_of(points: Sequence[Point], runs: Sequence[Run]) -> str:
    """Return what the files of a sweep hold, in words."""
    if best_of(points):
        return "ranking"
    if points:
        return "results"
    return "no job is finished; the reasons" if any(run.reason for run in runs) else "no job is finished"


def about_of(plan: Plan, folder: Path, runs: Sequence[Run]) -> PageFacts:
    """Return what the page says about all jobs."""
    data = next((run.data or data_in(run.folder) for run in runs), "")
    log_keys = frozenset(plan.log_keys())
    several = len({run.data for run in runs}) > 1
    searched = [key for key in plan.varied if key not in REPEATS] or plan.varied or ["one job"]
    return PageFacts(
        f"Sweep of {', '.join(searched)}",
        folder.absolute(),
        folder.absolute().name,
        plan.command,
        "" if several else data,
        log_keys,
    )


def runs_of(plan: Plan, folder: Path, scores: Scores) -> list[Run]:
    """Return the jobs of a sweep as runs."""
    runs = [run_of(plan, name, folder / name, scores) for name in plan.jobs]
    if any(key.partition(".")[0] in ("data", "experiment") for key in plan.varied):
        for run in runs:
            run.data = data_in(run.folder)
        if len({run.data for run in runs} - {""}) < 2:
            for run in runs:
                run.data = ""
    return runs


def data_in(folder: Path) -> str:
    """Return the data set of a job; nothing before it has begun."""
    try:
        return data_set_of(config_of(folder))
    except UserError:  # a damaged file, which is no reason to lose a ranking
        return ""


def run_of(plan: Plan, name: str, folder: Path, scores: Scores) -> Run:
    """Return a job of a sweep as a run."""
    values = {key: value for key, _, value in (word.partition("=") for word in plan.varied_of(name))}
    seed, split_seed = (values.pop(key, None) for key in REPEATS)
    record = record_of(folder) or {"state": "waiting"}
    run = Run(name, folder, values, None if seed is None else int(seed), record["state"])
    run.split_seed = split_seed
    if run.state == "finished":
        run.figures = {figure: record.get(figure) for figure in figures_of(scores)}
    run.seed = record.get("seed", run.seed)
    run.reason = record.get("reason", "")
    return run
