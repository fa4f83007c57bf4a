"""MLflow: a store or a server of many runs."""

from __future__ import annotations

import logging
import shlex
import time

from torch import Tensor

from cnntrain.loggers.base import Logged, Logger
from cnntrain.loggers.images import grid
from cnntrain.runs.records import EpochRow, RunSummary
from cnntrain.runs.run_folder import OUTPUTS
from cnntrain.runtime.imports import needed
from cnntrain.text import shown_path


class MLflow(Logger):
    """Writes to an MLflow store, by default the SQLite file ``outputs/mlflow.db``.

    ``mlflow ui --backend-store-uri sqlite:///outputs/mlflow.db`` shows it.

    Args:
        uri: the address of the store or the server; None: that file.
        experiment: the experiment of the runs; the jobs of a sweep go under the sweep's name.
    """

    def __init__(self, uri: str | None, experiment: str) -> None:
        needed("mlflow", "logger=mlflow")
        self.uri = uri
        self.experiment = experiment

    def begin(self, run: Logged) -> None:
        """Create a run, or go on with the one whose name the run folder keeps."""
        from mlflow.entities import Param, RunTag
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        OUTPUTS.mkdir(exist_ok=True)
        self.client = MlflowClient(self.uri or f"sqlite:///{(OUTPUTS / 'mlflow.db').absolute()}")
        self.run = run
        kept = run.folder / ".mlflow"
        self.last_step = -1
        if kept.exists():
            self.id = kept.read_text().strip()
            rows = self.client.get_metric_history(self.id, "lr")
            self.last_step = max((metric.step for metric in rows), default=-1)
            self.client.update_run(self.id, "RUNNING")
        else:
            experiment = self.experiment_id(run.sweep or self.experiment)
            created = self.client.create_run(experiment, run_name=run.folder.name)
            self.id = created.info.run_id
            kept.write_text(self.id)
            # MLflow takes up to 100 parameters at a time, and values of up to 6,000 characters.
            parameters = [Param(key, value[:500]) for key, value in run.parameters().items()]
            for first in range(0, len(parameters), 100):
                self.client.log_batch(self.id, params=parameters[first : first + 100])
            self.client.log_batch(self.id, tags=[RunTag("run_folder", str(run.folder))])
            if run.images is not None:
                self.client.log_image(self.id, grid(run.images).permute(1, 2, 0).numpy(), "first_images.png")
        for row in run.history:
            self.epoch(row)

    def experiment_id(self, name: str) -> str:
        """Return the id of an experiment, which is made if there is none of that name."""
        found = self.client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        own = None if self.uri else (OUTPUTS / "mlflow" / name).absolute().as_uri()
        return str(self.client.create_experiment(name, artifact_location=own))

    def epoch(self, row: EpochRow) -> None:
        """Record the figures of an epoch, unless they were before the run was stopped."""
        from mlflow.entities import Metric

        if row["step"] <= self.last_step:
            return
        values = self.run.figures_in(row)
        self.client.log_batch(self.id, [Metric(k, v, now(), row["step"]) for k, v in values.items()])

    def end(self, summary: RunSummary, confusion: Tensor | None) -> None:
        """Record the test figures and the images."""
        for tag, value in self.run.tested_in(summary).items():
            self.client.log_metric(self.id, tag, value, step=summary["steps"])
        if confusion is not None:
            self.client.log_image(self.id, confusion.numpy(), "confusion.png")
        self.client.set_terminated(self.id)

    def close(self) -> None:
        """Do nothing: all is written at once."""

    def opened_by(self) -> tuple[str, str]:
        """Return the command that shows the store; a server shows itself."""
        uri = self.uri or f"sqlite:///{shown_path((OUTPUTS / 'mlflow.db').absolute())}"
        if uri.startswith("http"):
            return "MLflow", uri
        return "MLflow", f"mlflow ui --backend-store-uri {shlex.quote(uri)}"


def now() -> int:
    """Return the time as MLflow counts it, in milliseconds."""
    return int(time.time() * 1000)
