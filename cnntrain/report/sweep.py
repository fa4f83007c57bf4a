"""How a sweep ends: its jobs are ranked, on the screen, as ``sweep.csv`` and as ``sweep.html``."""

from __future__ import annotations

from pathlib import Path

from cnntrain.checkpoint import write_atomically
from cnntrain.console import Console
from cnntrain.jobs import record_of
from cnntrain.plan import Plan
from cnntrain.ranking import FIGURES, Run, as_csv, in_order
from cnntrain.report.sweep_page import page
from cnntrain.report.table import show


def report(folder: Path, console: Console) -> Path | None:
    """Rank the jobs of a sweep, print the ranking, and write it as ``sweep.csv`` and ``sweep.html``.

    Returns:
        The folder of the best; None if nothing is ranked.
    """
    plan = Plan.read(folder)
    runs = runs_of(plan, folder)
    points = show(console, runs, plan.varied, plan.monitor)
    order = in_order(runs, points)
    write_atomically(folder / "sweep.csv", as_csv(order, points, plan.varied).encode())
    title = folder.absolute().name
    write_atomically(folder / "sweep.html", page(title, order, points, plan.varied, plan.monitor).encode())
    what = "the ranking is" if points and points[0].summary else "no job is finished: the reasons are"
    console.line(f"{what} in {folder / 'sweep.csv'}, to be looked at in {folder / 'sweep.html'}")
    return points[0].best_run(plan.monitor).folder if points and points[0].summary else None


def runs_of(plan: Plan, folder: Path) -> list[Run]:
    """Return the jobs of a sweep as runs."""
    return [run_of(plan, name, folder / name) for name in plan.jobs]


def run_of(plan: Plan, name: str, folder: Path) -> Run:
    """Return a job of a sweep as a run."""
    values = {key: value for key, _, value in (word.partition("=") for word in plan.varied_of(name))}
    seed = values.pop("seed", None)
    record = record_of(folder) or {"state": "waiting"}
    run = Run(name, folder, values, None if seed is None else int(seed), record["state"])
    if run.state == "finished":
        run.figures = {figure: record.get(figure) for figure in FIGURES}
    run.seed = record.get("seed", run.seed)
    run.reason = record.get("reason", "")
    return run
