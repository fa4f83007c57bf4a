"""``logger=...``: what a run says is in the logger's own files, once, and a logger never stops a run."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Command, is_told

RUN = ("model=mlp", "limit=300", "precision=fp32", "threads=1", "report=false")


def rows_of(folder: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(folder, "metrics.csv").open()))


def tensorboard_of(folder: str) -> Any:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(Path(folder, "tensorboard")), size_guidance={"scalars": 0, "images": 0})
    return reader.Reload()


def test_tensorboard_reads_what_metrics_csv_says(cnntrain: Command) -> None:
    pytest.importorskip("tensorboard")
    outcome = cnntrain("train", *RUN, "epochs=3", "logger=tensorboard", "out=run")
    assert outcome.code == 0 and "TensorBoard: tensorboard --logdir run/tensorboard\n" in outcome.out
    reader = tensorboard_of("run")
    for tag, column in (("train/loss", "train_loss"), ("val/accuracy", "val_accuracy"), ("lr", "lr")):
        found = [(event.step, event.value) for event in reader.Scalars(tag)]
        assert found == [
            (int(row["step"]), pytest.approx(float(row[column]), rel=1e-4)) for row in rows_of("run")
        ]
    test = json.loads(Path("run/summary.json").read_text())["test"]["accuracy"]
    assert reader.Scalars("test/accuracy")[-1].value == pytest.approx(test)
    assert {"first images", "confusion"} <= set(reader.Tags()["images"])
    assert "_hparams_/session_start_info" in reader.summary_metadata


def test_a_resumed_run_is_logged_without_doubles(cnntrain: Command) -> None:
    pytest.importorskip("tensorboard")
    cnntrain("train", *RUN, "epochs=2", "logger=tensorboard", "out=run")
    assert cnntrain("resume", "run", "epochs=4").code == 0
    steps = [event.step for event in tensorboard_of("run").Scalars("val/loss")]
    assert steps == [int(row["step"]) for row in rows_of("run")] and len(steps) == 4


def test_the_training_is_the_same_with_and_without(cnntrain: Command) -> None:
    pytest.importorskip("tensorboard")
    for name, logger in (("a", "none"), ("b", "tensorboard")):
        how = ("epochs=2", "model.dropout=0.3", "augment=digits", f"logger={logger}", f"out={name}")
        cnntrain("train", *RUN, *how)
    losses = [[row["train_loss"] for row in rows_of(name)] for name in ("a", "b")]
    assert losses[0] == losses[1]


def test_mlflow_has_the_run_its_figures_and_its_sweep(cnntrain: Command) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    sweep = ("train", "-m", *TINY, "seed=0,1", "logger=mlflow", "out=outputs/sweeps/mine")
    outcome = cnntrain(*sweep)
    assert outcome.code == 0 and "INFO" not in outcome.err, outcome.err
    cnntrain("resume", "outputs/sweeps/mine/seed-1", "epochs=2")

    client = MlflowClient("sqlite:///outputs/mlflow.db")
    experiment = client.get_experiment_by_name("mine")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"seed-0", "seed-1"}
    assert runs["seed-1"].data.params["model.hidden"] == "[128]"
    history = client.get_metric_history(runs["seed-1"].info.run_id, "val/loss")
    assert [m.step for m in history] == [int(r["step"]) for r in rows_of("outputs/sweeps/mine/seed-1")]
    names = {file.path for file in client.list_artifacts(runs["seed-0"].info.run_id)}
    assert names == {"first_images.png", "confusion.png"}


def test_wandb_writes_offline(cnntrain: Command) -> None:
    pytest.importorskip("wandb")
    outcome = cnntrain("train", *TINY, "logger=wandb", "out=run")
    assert outcome.code == 0 and "warning" not in outcome.err
    assert list(Path("run/wandb").glob("offline-run-*/run-*.wandb"))


def test_several_at_once_and_one_that_fails(cnntrain: Command) -> None:
    """The event files can't be written; the run goes on, and the other logger too."""
    pytest.importorskip("tensorboard")
    Path("own.py").write_text(
        "from pathlib import Path\nfrom cnntrain.loggers import Logger\n\n"
        "class Lines(Logger):\n"
        "    def epoch(self, row):\n"
        "        with Path('lines.txt').open('a') as file:\n"
        "            file.write(f\"{row['step']}\\n\")\n"
    )
    Path("conf/logger").mkdir(parents=True)
    Path("conf/logger/lines.yaml").write_text("lines:\n  _target_: own.Lines\n")
    outcome = cnntrain(
        *("train", *TINY, "logger=[tensorboard,lines]", "logger.tensorboard.folder=config.yaml/x", "out=run")
    )
    assert outcome.code == 0
    assert outcome.err.count("logger tensorboard failed and is left out") == 1
    assert Path("lines.txt").read_text().split() == [row["step"] for row in rows_of("run")]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("logger=tensorbord",), "unknown logger 'tensorbord': did you mean logger=tensorboard?"),
        (("logger=[tensorboard,mlfow]",), "unknown logger 'mlfow': did you mean logger=mlflow?"),
        (("logger=wandb", "logger.wandb.mode=offlin"), "did you mean logger.wandb.mode=offline?"),
        (("logger.mlflow.uri=x",), "belongs to logger=mlflow"),
    ],
)
def test_wrong_input_is_told(torchless: Command, arguments: tuple[str, ...], told: str) -> None:
    is_told(torchless("train", *arguments), told)


def test_a_missing_package_is_told_before_data_are_read(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    told = cnntrain("train", *TINY, "logger=wandb", "data=mnist", "data.root=nowhere")
    is_told(told, "logger=wandb needs wandb", "pip install 'wandb>=")
    assert not Path("nowhere").exists()
    shutil.rmtree("outputs", ignore_errors=True)
