"""Sweeps from the shell: how many jobs, which one runs, and which was best. No torch until a job runs."""

from __future__ import annotations

import csv
import io
import json
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from cnntrain import run_folder
from cnntrain.checkpoint import write_atomically
from cnntrain.checks import check
from cnntrain.config import compose, plain
from cnntrain.console import Console, count
from cnntrain.errors import CnntrainError, Interrupted, UserError
from cnntrain.overrides import parse
from cnntrain.schema import KEYS, check_value

MOST_CHECKED = 100  # jobs whose whole configuration is checked before the first one runs; 0.05 s each
RESULTS = ("val_accuracy", "val_loss", "epochs", "seconds")


class Sweep:
    """The jobs of ``train -m``, in one folder.

    Args:
        overrides: as typed, with several values where several jobs are wanted.
        config_dir: the user's own folder of groups.

    Raises:
        UserError: a value is not possible; before any job has run.
    """

    def __init__(self, overrides: Sequence[str], config_dir: str | None) -> None:
        from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

        plain_overrides = [o for o in overrides if not any(p.is_sweep_override() for p in parse([o]))]
        config = compose(plain_overrides, config_dir, with_hydra=True)
        hydra, self.monitor = config.hydra, config.monitor
        parameters = [f"{key}={value}" for key, value in (hydra.sweeper.get("params") or {}).items()]
        parsed = [o for o in parse([*parameters, *overrides]) if not o.key_or_group.startswith("hydra")]
        for override in parsed:
            check_values(override)
        self.jobs: list[list[str]] = BasicSweeper.split_arguments(parsed, None)[0]
        for job in self.jobs[:MOST_CHECKED]:
            check(plain(compose(job, config_dir)))
        self.varied = [o.key_or_group for o in parsed if o.is_sweep_override()]
        self.out = next((str(o.value()) for o in parsed if o.key_or_group == "out"), None)
        self.given_folder = str(hydra.sweep.dir) if str(hydra.sweep.dir) != "." else None
        self.console = Console(config.verbose)
        self.number = 0
        self.failed: list[str] = []

    def claim_folder(self) -> Path:
        """Make the sweep's folder and return it."""
        given = self.out if self.out is not None and "out" not in self.varied else self.given_folder
        if given is None:
            folder = run_folder.claim(run_folder.OUTPUTS / "sweeps", "")
        else:
            folder = run_folder.typed_path(given)
            if (folder / "sweep.csv").exists() or (folder / "multirun.yaml").exists():
                raise UserError(f"{given} holds a sweep already: choose another folder")
            run_folder.make_folder(folder)
        self.folder = folder
        return folder

    def run_job(self, work: Callable[[Path], dict[str, Any]]) -> None:
        """Run the next job; name its failure at once and let the others go on."""
        folder = self.folder / str(self.number)
        overrides = [o for o in self.jobs[self.number] if o.partition("=")[0] in self.varied]
        text = " ".join(overrides)
        self.number += 1
        self.console.line(f"\n[bold]job {self.number} of {len(self.jobs)}: {escape(text)}[/]")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            summary = work(folder)
            record = {"state": "finished", "overrides": overrides, **headline(summary)}
        except Interrupted:
            raise
        except CnntrainError as error:
            record = {"state": "failed", "overrides": overrides, "reason": str(error)}
        except Exception as error:
            reason = f"{type(error).__name__}: {error}; the traceback is in {folder / 'train.log'}"
            with (folder / "train.log").open("a") as log:
                traceback.print_exc(file=log)
            record = {"state": "failed", "overrides": overrides, "reason": reason}
        if record["state"] == "failed":
            self.failed.append(text)
            self.console.warn(f"job {self.number} of {len(self.jobs)} ({text}) failed: {record['reason']}")
        run_folder.write_json(folder / "job.json", record)

    def discard_if_empty(self) -> None:
        """Remove the folder of a sweep that could not begin."""
        if self.number == 0:
            (self.folder / "multirun.yaml").unlink(missing_ok=True)  # Hydra's, who writes it first of all
            run_folder.discard_if_unused(self.folder)

    def report(self) -> None:
        """Print the ranking by the validation metric, write it as sweep.csv, and name the winner."""
        rows = ranked(self.folder, self.monitor)
        columns = ["rank", "job", *self.varied]
        table = Table(title=f"Ranking by {self.monitor}", title_justify="left", box=None, pad_edge=False)
        for column in (*columns, *RESULTS):
            table.add_column(column, justify="right" if column in RESULTS else "left", overflow="fold")
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*columns, "state", *RESULTS, "reason"])
        for rank, row in enumerate(rows, 1):
            finished = row["state"] == "finished"
            cells = [str(rank) if finished else "–", str(row["job"])]
            cells += [row["overrides"].get(key, "") for key in columns[2:]]
            figures = [shown(name, row.get(name)) for name in RESULTS] if finished else ["failed", "", "", ""]
            table.add_row(
                *map(escape, cells), *figures, style=None if rank > 1 or not finished else "bold green"
            )
            values = [row.get(name, "") for name in RESULTS]
            writer.writerow(
                [rank if finished else "", *cells[1:], row["state"], *values, row.get("reason", "")]
            )
        write_atomically(self.folder / "sweep.csv", text.getvalue().encode())
        self.console.line()
        self.console.table(table)
        self.console.line()
        if self.failed:
            self.console.warn(f"{count(len(self.failed), 'job')} of {len(self.jobs)} failed")
        if rows and rows[0]["state"] == "finished":
            self.console.line(f"best: [bold]cnntrain eval {self.folder / str(rows[0]['job'])}[/]")
        self.console.line(f"the ranking is in {self.folder / 'sweep.csv'}")


def check_values(override: Any) -> None:
    """Check every value that a sweep gives to a key."""
    key = override.key_or_group
    if key not in KEYS or override.is_delete():
        return
    if not override.is_sweep_override():
        check_value(key, override.value())
        return
    for text in override.sweep_string_iterator():
        check_value(key, parse([f"{key}={text}"])[0].value())


def headline(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a finished job by which it is ranked. The test set has no say in that."""
    best = summary["best"] or summary["final"]
    return {
        "val_accuracy": best["val_accuracy"],
        "val_loss": best["val_loss"],
        "epochs": summary["epochs"],
        "seconds": summary["train_seconds"],
    }


def ranked(folder: Path, monitor: str) -> list[dict[str, Any]]:
    """Read the jobs of a sweep, best first, failed ones last."""
    rows = []
    for path in folder.glob("*/job.json"):
        row = json.loads(path.read_text())
        pairs = (override.partition("=") for override in row["overrides"])
        rows.append(
            {**row, "job": int(path.parent.name), "overrides": {key: value for key, _, value in pairs}}
        )
    sign = 1 if monitor == "val_loss" else -1

    def order(row: dict[str, Any]) -> tuple[bool, float, int]:
        value = row.get(monitor)
        return row["state"] != "finished", 0.0 if value is None else sign * value, row["job"]

    return sorted(rows, key=order)


def shown(name: str, value: Any) -> str:
    """Return a figure as the table shows it."""
    if value is None:
        return "–"
    return {"val_accuracy": f"{value:.2%}", "val_loss": f"{value:.4f}", "seconds": f"{value:.1f}"}.get(
        name, str(value)
    )
