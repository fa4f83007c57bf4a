"""``cnntrain compare``: finished runs and sweeps from anywhere, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.markup import escape

from cnntrain.compare.diff import (
    config_of,
    data_set_of,
    differing,
    immaterial_differences,
    repeats_in,
    with_classes_named,
)
from cnntrain.compare.page import PageFacts, page
from cnntrain.compare.ranking import Point, Run, as_csv, in_order, tests_of
from cnntrain.compare.results import figures_of, headline
from cnntrain.compare.table import show
from cnntrain.config import own_runs
from cnntrain.config.keys import KEYS
from cnntrain.config.mistakes.suggestions import check_value
from cnntrain.errors import CheckpointError, UserError
from cnntrain.runs import lookup, run_files, run_folder
from cnntrain.runs.job_record import RECORD, record_of
from cnntrain.runs.named_output import json_of, message_console, write
from cnntrain.runs.records import RunSummary
from cnntrain.runtime.console import count
from cnntrain.sweep.plan import Plan
from cnntrain.tasks.chosen import BEFORE_TASKS, last_name, scores_of
from cnntrain.tasks.scores import TEST, Figure, Scores
from cnntrain.text import argument, shown_path, together


def compare(
    names: Sequence[str],
    monitor: str,
    trust: Sequence[str] = (),
    csv_file: str | None = None,
    json_file: str | None = None,
    html_file: str | None = None,
) -> None:
    """Rank runs by their validation figures, each data set's apart, and show in which keys they differ.

    Args:
        names: run folders and sweeps, as typed.
        monitor: the figure that they are ranked by, as typed; ``auto`` for the usual one of their task.
        trust: packages that may be imported for the task of a run that was not made by this user.
        csv_file: the file to write, with a row for each run.
        json_file: the file to write, with everything that is shown.
        html_file: the web page to write.

    Raises:
        UserError: a name is not a run, fewer than two runs are meant, or a file can't be written.
    """
    console = message_console(csv_file, json_file, html_file)
    folders = list(dict.fromkeys(folder for name in names for folder in folders_of(name)))
    found = [config_of(folder) for folder in folders]
    scores = scores_of_all(folders, trust)
    check_value("monitor", monitor, replace(KEYS["monitor"], choices=scores.monitors))
    if len(folders) < 2:
        raise UserError("compare needs at least two runs, or a sweep: cnntrain compare RUN RUN")
    data = [data_set_of(config) for config in found]
    configs = with_classes_named(found)
    begun = [config for config in configs if config]
    keys, repeats = differing(begun), repeats_in(begun)
    runs = [
        run_of(folder, config, keys, repeats, scores) for folder, config in zip(folders, configs, strict=True)
    ]
    for run, name in zip(runs, data, strict=True):
        run.data = name if len(set(data) - {""}) > 1 else ""
    ranked_by = scores.monitored(monitor)
    points = show(console, runs, [*keys, *repeats], ranked_by, scores)
    for key, values in immaterial_differences(begun).items():
        console.line(
            f"[dim]{key} differs too ({escape(', '.join(values))}), which is taken for the same experiment[/]"
        )
    for sweep in unfinished_sweeps(runs):
        console.line(f"to run the missing jobs: {escape(f'cnntrain resume {argument(sweep)}')}")

    order, columns = in_order(runs, points), [*keys, *repeats]
    if csv_file is not None:
        write(csv_file, as_csv(order, points, columns, scores), console)
    if html_file is not None:
        about = PageFacts(count(len(runs), "run"), Path(html_file).absolute().parent)
        write(html_file, page(about, order, points, columns, ranked_by, scores), console)
    if json_file is not None:
        write(json_file, json_of(as_dict(runs, points, ranked_by, scores)), console)


def scores_of_all(folders: Sequence[Path], trust: Sequence[str]) -> Scores:
    """Return the scores of the task that runs learn; of runs that have not begun, those of classification.

    Raises:
        UserError: they learn different tasks, or the class of their task is not to be trusted.
    """
    found: dict[str, Scores] = {}
    of_task: dict[str, Path] = {}
    for folder in folders:
        config = config_file(folder)
        task = config.get("task") or BEFORE_TASKS
        target = str(task["_target_"])
        if config and target not in found:
            found[target] = scores_of(task, trust_in(folder, config, trust))
            of_task[target] = folder
    # By what is measured: a class of the user's may have been moved to another file.
    one, *others = list(of_task) or [""]
    for other in others:
        if found[other] != found[one]:
            learns = (f"{shown_path(of_task[task])} learns {last_name(task)}" for task in (one, other))
            raise UserError(f"runs of different tasks can't be compared: {together(learns)}")
    return found[one] if found else scores_of(BEFORE_TASKS, None)


def config_file(folder: Path) -> dict[str, Any]:
    """Return the configuration of a run; nothing before it has begun."""
    path = folder / "config.yaml"
    return run_files.read_yaml(path) if path.exists() else {}


def trust_in(folder: Path, config: Mapping[str, Any], trust: Sequence[str]) -> Sequence[str] | None:
    """Return the packages that a run may name; None, for all, if this user has made it here."""
    signature = own_runs.in_comment((folder / "config.yaml").read_text(encoding="utf-8"))
    return None if own_runs.is_own({"config": config, own_runs.SIGNATURE: signature}) else trust


def folders_of(name: str) -> list[Path]:
    """Return the run folders that a typed name means: its own, or those of the jobs of a sweep."""
    sweep = lookup.find_sweep(name)
    if sweep is not None:
        return sorted({*runs_in(sweep), *planned_in(sweep)})
    path = run_folder.typed_path(name)
    if name == "last" and not path.exists():
        path = lookup.last_run()
    if path.is_file() and path.parent.name == run_folder.CHECKPOINTS:
        path = path.parent.parent
    if not path.exists():
        raise UserError(f"there is no run {name}; {lookup.hint(name)}")
    if (path / "config.yaml").exists():
        return [path]
    inside = sorted(runs_in(path))
    if not inside:
        raise UserError(
            f"{shown_path(path)} is not a run folder: it holds no config.yaml, and no run folders"
        )
    return inside


def runs_in(folder: Path) -> set[Path]:
    """Return the run folders and the jobs that lie in a folder."""
    return {path.parent for file in ("config.yaml", RECORD) for path in folder.glob(f"*/{file}")}


def planned_in(sweep: Path) -> set[Path]:
    """Return the folders of a sweep's jobs, also of those that have not started."""
    try:
        return {sweep / name for name in Plan.read(sweep).jobs}
    except CheckpointError:  # a plan that is damaged hides no run that is there
        return set()


def unfinished_sweeps(runs: Sequence[Run]) -> list[Path]:
    """Return the sweeps that have unfinished jobs."""
    parents = {run.folder.parent for run in runs if run.state in ("running", "waiting")}
    return sorted(parent for parent in parents if (parent / run_folder.SWEEP).exists())


def run_of(
    folder: Path, config: Mapping[str, str], keys: Sequence[str], repeats: Sequence[str], scores: Scores
) -> Run:
    """Return a run with its values of some keys, and what distinguishes it from its repeats."""
    values = {key: config[key] for key in keys if key in config}
    seed = int(config["seed"]) if config.get("seed", "").isdigit() else None
    split_seed = config.get("data.split_seed") if "data.split_seed" in repeats else None
    state = "running" if folder.exists() else "waiting"
    run = Run(str(folder), folder, values, seed, state=state, split_seed=split_seed)
    record = record_of(folder)
    if record is not None and record["state"] in ("failed", "pruned"):
        run.state, run.reason = record["state"], record.get("reason", "")
        return run
    try:
        summary = run_files.read_json(folder / "summary.json")
        if not is_extended(config, summary):
            run.state, run.figures = "finished", headline(summary, scores)
            run.seed = run.figures.pop("seed")
        return run
    except FileNotFoundError:
        return run
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / 'summary.json'} can't be read: {error}") from error


def is_extended(config: Mapping[str, str], summary: RunSummary) -> bool:
    """Return whether a run was resumed for more epochs than its summary covers."""
    may_stop_early = config.get("early_stopping", "null") != "null"
    return not may_stop_early and int(config.get("epochs", 0)) > int(summary["epochs"])


def as_dict(runs: Sequence[Run], points: Sequence[Point], monitor: Figure, scores: Scores) -> dict[str, Any]:
    """Return what is shown, for programs."""
    tested = Figure(TEST, scores.main)
    return {
        "monitor": monitor.name,
        "points": [
            {
                "data": point.data,
                "rank": point.rank,
                "values": point.values,
                "runs": [str(run.folder) for run in point.runs],
                "seeds": [run.seed for run in point.runs],
                "n": point.repeats,
                "planned": point.planned,
                "mean": point.summary and point.summary.mean,
                "std": point.summary and point.summary.std,
                "interval_95": point.summary and point.summary.interval,
                "p_vs_best": point.p,
                **{figure: point.mean(figure) for figure in figures_of(scores)},
                **({tested.name: tests_of(point, tested.score.name)} if point.rank == 1 else {}),
            }
            for point in points
        ],
        "unfinished": [
            {"run": str(run.folder), "state": run.state, "reason": run.reason}
            for run in runs
            if run.state != "finished"
        ],
    }
