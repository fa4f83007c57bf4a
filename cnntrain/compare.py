"""``cnntrain compare``: finished runs and sweeps from anywhere, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cnntrain import run_folder
from cnntrain.checkpoint import write_atomically
from cnntrain.console import Console
from cnntrain.errors import UserError
from cnntrain.ranking import FIGURES, Point, Run, as_csv, finished_run, in_order, show
from cnntrain.report.sweep_page import write_page
from cnntrain.schema import leaves, shown

# Keys that do not make a run another experiment.
ASIDE = (
    "seed",
    "data.split_seed",
    "out",
    "name",
    "seeds",
    "verbose",
    "on_error",
    "data.root",
    "workers",
    "eval_batch_size",
    "save_every_steps",
    "save_every_minutes",
)


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
        UserError: a name is no run, or fewer than two runs are meant.
    """
    folders = list(dict.fromkeys(folder for name in names for folder in folders_of(name)))
    if len(folders) < 2:
        raise UserError("compare needs at least two runs, or a sweep: cnntrain compare RUN RUN")
    configs = {folder: config_of(folder) for folder in folders}
    keys = differing(list(configs.values()))
    runs = [run_of(folder, configs[folder], keys) for folder in folders]
    points = show(Console(1), runs, keys, monitor)
    order = in_order(runs, points)
    if csv_file is not None:
        write_atomically(run_folder.typed_path(csv_file), as_csv(order, points, [*keys, "seed"]).encode())
    if html_file is not None:
        write_page(run_folder.typed_path(html_file), f"{len(runs)} runs", order, [*keys, "seed"], monitor)
    if json_file is not None:
        run_folder.write_json(run_folder.typed_path(json_file), as_json(runs, points, monitor))


def folders_of(name: str) -> list[Path]:
    """Return the run folders that a typed name means: its own, or those of the jobs of a sweep."""
    sweep = run_folder.find_sweep(name)
    if sweep is not None:
        return sorted(path.parent for path in sweep.glob("*/config.yaml"))
    path = run_folder.typed_path(name)
    if name == "last" and not path.exists():
        path = run_folder.last_run()
    if not path.is_dir():
        raise UserError(f"there is no run {name}; {run_folder.hint(name)}")
    if not (path / "config.yaml").exists():
        raise UserError(f"{path} is no run folder: it holds no config.yaml")
    return [path]


def config_of(folder: Path) -> dict[str, str]:
    """Return the configuration of a run, each key with its value as typed."""
    try:
        config = yaml.safe_load((folder / "config.yaml").read_text())
        values = {key: shown(value) for key, value in leaves(config)}
        # A class by its name, under the name of its group: optim Adam.
        return {
            key.removesuffix("._target_"): v.rpartition(".")[2] if key.endswith("._target_") else v
            for key, v in values.items()
        }
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise UserError(f"{folder / 'config.yaml'} can't be read: {error}") from error


def differing(configs: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the keys that do not have the same value in all configurations that have them.

    Arguments of a class count only where the class is the same; that it is another one is a key of its own.
    """
    keys = dict.fromkeys(key for config in configs for key in config)
    return [
        key
        for key in keys
        if key not in ASIDE
        and not key.startswith("launcher.")
        and len({config[key] for config in configs if key in config}) > 1
    ]


def run_of(folder: Path, config: Mapping[str, str], keys: Sequence[str]) -> Run:
    """Return a run with its values of some keys; it counts as running until its summary is there."""
    values = {key: config[key] for key in keys if key in config}
    try:
        return finished_run(str(folder), folder, values, run_folder.read_json(folder / "summary.json"))
    except FileNotFoundError:
        return Run(str(folder), folder, values, state="running")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / 'summary.json'} can't be read: {error}") from error


def as_json(runs: Sequence[Run], points: Sequence[Point], monitor: str) -> dict[str, Any]:
    """Return what is shown, for programs."""
    return {
        "monitor": monitor,
        "points": [
            {
                "values": point.values,
                "runs": [str(run.folder) for run in point.runs],
                "seeds": [run.seed for run in point.runs],
                "n": len(point.runs),
                "mean": point.summary and point.summary.mean,
                "deviation": point.summary and point.summary.deviation,
                "half_width_95": point.summary and point.summary.half_width,
                "p_against_best": point.p,
                **{figure: point.mean(figure) for figure in FIGURES},
            }
            for point in points
        ],
        "unfinished": [str(run.folder) for run in runs if run.state != "finished"],
    }
