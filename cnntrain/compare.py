"""``cnntrain compare``: finished runs and sweeps from anywhere, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape

from cnntrain import run_folder
from cnntrain.differences import config_of, differing, of_no_account, with_classes_named
from cnntrain.errors import UserError
from cnntrain.jobs import RECORD, record_of
from cnntrain.output import screen_beside, write
from cnntrain.ranking import FIGURES, Point, Run, as_csv, finished_run, in_order, tests_of
from cnntrain.report.sweep_page import page
from cnntrain.report.table import show


def compare(
    names: Sequence[str], monitor: str, csv_file: str | None, json_file: str | None, html_file: str | None
) -> None:
    """Rank runs by their validation figures, and show in which keys they differ.

    Args:
        names: run folders and sweeps, as typed.
        monitor: ``val_accuracy`` or ``val_loss``.
        csv_file: where to write a row for each run.
        json_file: where to write all that is shown.
        html_file: where to write the page to look at.

    Raises:
        UserError: a name is no run, fewer than two runs are meant, or a file can't be written.
    """
    console = screen_beside(csv_file, json_file, html_file)
    folders = list(dict.fromkeys(folder for name in names for folder in folders_of(name)))
    if len(folders) < 2:
        raise UserError("compare needs at least two runs, or a sweep: cnntrain compare RUN RUN")
    configs = with_classes_named([config_of(folder) for folder in folders])
    begun = [config for config in configs if config]
    keys = differing(begun)
    runs = [run_of(folder, config, keys) for folder, config in zip(folders, configs, strict=True)]
    points = show(console, runs, keys, monitor)
    for key, values in of_no_account(begun).items():
        console.line(
            f"[dim]{key} differs too ({escape(', '.join(values))}), which is taken for the same experiment[/]"
        )

    order, columns = in_order(runs, points), [*keys, "seed"]
    if csv_file is not None:
        write(csv_file, as_csv(order, points, columns), console)
    if html_file is not None:
        write(html_file, page(f"{len(runs)} runs", order, points, columns, monitor), console)
    if json_file is not None:
        text = json.dumps(as_dict(runs, points, monitor), indent=2, allow_nan=False)
        write(json_file, f"{text}\n", console)


def folders_of(name: str) -> list[Path]:
    """Return the run folders that a typed name means: its own, or those of the jobs of a sweep."""
    sweep = run_folder.find_sweep(name)
    if sweep is not None:
        return sorted({path.parent for file in ("config.yaml", RECORD) for path in sweep.glob(f"*/{file}")})
    path = run_folder.typed_path(name)
    if name == "last" and not path.exists():
        path = run_folder.last_run()
    if path.is_file() and path.parent.name == run_folder.CHECKPOINTS:
        path = path.parent.parent
    if not path.exists():
        raise UserError(f"there is no run {name}; {run_folder.hint(name)}")
    if not (path / "config.yaml").exists():
        raise UserError(f"{path} is no run folder: it holds no config.yaml")
    return [path]


def run_of(folder: Path, config: Mapping[str, str], keys: Sequence[str]) -> Run:
    """Return a run with its values of some keys."""
    values = {key: config[key] for key in keys if key in config}
    seed = int(config["seed"]) if config.get("seed", "").isdigit() else None
    record = record_of(folder) or {}
    if record.get("state") in ("failed", "pruned"):
        return Run(str(folder), folder, values, seed, record["state"], reason=record.get("reason", ""))
    try:
        summary = run_folder.read_json(folder / "summary.json")
        if goes_on(config, summary):
            return Run(str(folder), folder, values, seed, state="running")
        return finished_run(str(folder), folder, values, summary)
    except FileNotFoundError:
        return Run(str(folder), folder, values, seed, state="running")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / 'summary.json'} can't be read: {error}") from error


def goes_on(config: Mapping[str, str], summary: Mapping[str, Any]) -> bool:
    """Say whether a run was resumed for more epochs than those after which its summary was written."""
    may_stop_early = config.get("early_stopping", "null") != "null"
    return not may_stop_early and int(config.get("epochs", 0)) > int(summary["epochs"])


def as_dict(runs: Sequence[Run], points: Sequence[Point], monitor: str) -> dict[str, Any]:
    """Return what is shown, for programs."""
    ranked = bool(points) and points[0].summary is not None
    return {
        "monitor": monitor,
        "points": [
            {
                "values": point.values,
                "runs": [str(run.folder) for run in point.runs],
                "seeds": [run.seed for run in point.runs],
                "n": point.seeds,
                "planned": point.planned,
                "mean": point.summary and point.summary.mean,
                "deviation": point.summary and point.summary.deviation,
                "half_width_95": point.summary and point.summary.half_width,
                "p_against_best": point.p,
                **{figure: point.mean(figure) for figure in FIGURES},
            }
            for point in points
        ],
        "test_accuracy_of_best": tests_of(points[0]) if ranked else [],
        "unfinished": [
            {"run": str(run.folder), "state": run.state, "reason": run.reason}
            for run in runs
            if run.state != "finished"
        ],
    }
