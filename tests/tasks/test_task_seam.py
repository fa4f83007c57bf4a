"""A task of a user's own: it needs one class, and nothing of the package changes for it.

The task is a regression on images of digits: the target is the number that the image shows.
"""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Command, is_told
from PIL import Image

import cnntrain as package
from cnntrain.config.keys import leaves
from cnntrain.report.reproduce import command_of, settings

TASK = """
from dataclasses import dataclass

import torch

from cnntrain.tasks.base import Task
from cnntrain.tasks.metrics import Evaluation, Result, RunningMean
from cnntrain.tasks.scores import LOSS, Score, Scores


class MeanError(RunningMean):
    def __init__(self, device, shard=None):
        super().__init__(device, shard)
        self.sums["error"] = torch.zeros((), device=device, dtype=torch.float64)

    @property
    def mae(self):
        return self.mean("error")

    def extract(self, output, y):
        return ((output.detach() - y).abs().sum(),)

    def add(self, errors):
        self.sums["error"] += torch.stack(errors).sum()


@dataclass(frozen=True)
class Errors(Result):
    mae: float
    within_one: float


class Measure(Evaluation):
    def __init__(self, device):
        super().__init__(device)
        for name in ("error", "within_one"):
            self.sums[name] = torch.zeros((), device=device, dtype=torch.float64)

    def add(self, output, y):
        distance = (output - y).abs()
        self.sums["error"] += distance.sum()
        self.sums["within_one"] += (distance < 1).sum()

    def summed(self, loss, examples, sums):
        mae, within_one = (float(sums[name]) / examples for name in ("error", "within_one"))
        return Errors(loss, examples, mae, within_one)


class Number(Task):
    scores = Scores((LOSS, Score("mae", "mae", higher_is_better=False)))
    of_output = "one number"
    named = ("quantity", "value")

    @property
    def output_shape(self):
        return (1,)

    def targets(self, labels):
        return labels.float()[:, None]

    def running_mean(self, device, shard=None):
        return MeanError(device, shard)

    def evaluation(self, device):
        return Measure(device)

    def decode(self, activated, class_names, most):
        return [(("number", float(value)),) for value in activated[:, 0]]
"""
RUN = (
    "task._target_=numbers_task.Number",
    "criterion._target_=torch.nn.MSELoss",
    *("model=mlp", "model.hidden=[16]", "limit=600", "epochs=3", "optim.lr=0.01", "precision=fp32"),
)
TRUST = "trust=[numbers_task]"


@pytest.fixture
def task() -> None:
    Path("numbers_task.py").write_text(TASK)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def summary_of(run: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(run, "summary.json").read_text())
    return content


def test_the_api_and_the_report_know_the_scores_of_a_task_of_ones_own(task: None) -> None:
    run = package.train([*RUN, "verbose=0", "report=false"], out="r", epochs=1)
    assert f"test mae: {run.scores.main.text(run.summary['test']['mae'])}, test loss:" in repr(run)
    values = dict(leaves(yaml.safe_load(Path("r/config.yaml").read_text())))
    command = command_of(values, run.scores.monitors[0])
    assert command is not None and "monitor" not in command
    (monitor,) = (row for row in settings(values, run.scores.monitors[0]) if row.key == "monitor")
    assert (monitor.default, monitor.differs) == ("val_mae", False)


def test_a_task_of_ones_own_trains_evaluates_and_predicts(cnntrain: Command, task: None) -> None:
    done = cnntrain("train", *RUN, "out=r")
    assert done.code == 0, done.err
    assert "train mae" in done.out + done.err
    history = rows(Path("r/metrics.csv"))
    assert {"train_loss", "train_mae", "val_loss", "val_mae"} <= history[0].keys()
    assert not any("accuracy" in name for name in history[0])
    errors = [float(row["val_mae"]) for row in history]
    assert errors[-1] < errors[0]
    assert summary_of("r")["best"]["val_mae"] == pytest.approx(min(errors), rel=1e-5)
    tested = summary_of("r")["test"]
    assert tested.keys() == {"loss", "mae", "within_one", "examples"}

    assert cnntrain("eval", "r", TRUST).code == 0
    evaluated = json.loads(Path("r/eval_test.json").read_text())
    assert evaluated["mae"] == pytest.approx(tested["mae"])

    Image.new("L", (28, 28)).save("a.png")
    predicted = cnntrain("predict", "r", "a.png", TRUST, "--csv", "p.csv")
    (row,) = rows(Path("p.csv"))
    assert predicted.code == 0 and row["quantity"] == "number"
    assert f"number {float(row['value']):7.4g}" in predicted.out
    assert cnntrain("predict", "r", "a.png", TRUST, "--json", "p.json").code == 0
    (found,) = json.loads(Path("p.json").read_text())["predictions"]
    assert found["outputs"] == [{"quantity": "number", "value": pytest.approx(float(row["value"]), rel=1e-4)}]

    only = "only, and this run learns Number"
    is_told(cnntrain("explain", "zero_grad", *RUN), f"is for classification and segmentation {only}")
    is_told(cnntrain("explain", "shift", "run=r", TRUST), f"explain shift is for classification {only}")


def test_its_report_shows_curves_scores_and_predictions(cnntrain: Command, task: None) -> None:
    done = cnntrain("train", *RUN, "out=r")
    assert "report: r/report.html" in done.out
    page = Path("r/report.html").read_text()
    found = re.findall(r'<section id="(\w+)">', page)
    own = ["curves", "scores", "predictions", "maps", "filters", "layers", "environment", "configuration"]
    assert sorted(found) == sorted(own)
    tested = summary_of("r")["test"]
    assert f"{tested['mae']:.4f} <small>test mae, 1,000 images</small>" in page
    assert f'<th scope="row">within one</th><td class="long">{tested["within_one"]:.4g}</td>' in page
    assert page.count("<figcaption>number ") == 48
    assert not re.search("accuracy|confusion", page.partition("<h2>Environment")[0].rpartition("</style>")[2])
    assert {path.stem for path in Path("r/plots").iterdir()} >= {"loss", "mae", "learning_rate"}
    Path("r/report.html").unlink()
    assert cnntrain("report", "r", TRUST).code == 0
    own_part = page[page.index('id="scores"') : page.index('id="maps"')]
    assert own_part in Path("r/report.html").read_text()


def test_runs_are_compared_by_its_scores(cnntrain: Command, task: None) -> None:
    for number, lr in enumerate(("0.0001", "0.01")):
        assert (
            cnntrain("train", *RUN, "epochs=1", f"optim.lr={lr}", "report=false", f"out=r{number}").code == 0
        )
    compared = cnntrain("compare", "r0", "r1", "--json", "c.json")
    assert compared.code == 0 and "Ranking by val_mae" in compared.out, compared.err
    found = json.loads(Path("c.json").read_text())
    assert found["monitor"] == "val_mae"
    assert [point["runs"] for point in found["points"]] == [["r1"], ["r0"]]
    assert found["points"][0]["test_mae"] == [summary_of("r1")["test"]["mae"]]
    told = cnntrain("compare", "r0", "r1", "monitor=val_accuracy")
    assert told.code == 2 and "monitor takes val_mae or val_loss" in told.err


def test_a_task_of_somebody_elses_run_is_trusted_before_it_is_imported(
    cnntrain: Command, task: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (0, 1):
        assert cnntrain("train", *RUN, "epochs=1", "report=false", f"out=r{number}").code == 0
    monkeypatch.setenv("XDG_STATE_HOME", str(Path("another").absolute()))  # of who has not made the runs
    told = cnntrain("compare", "r0", "r1")
    assert told.code == 2 and "allow with trust=[numbers_task]" in told.err
    assert cnntrain("compare", "r0", "r1", TRUST).code == 0


def test_a_score_that_it_does_not_have_chooses_no_epoch(cnntrain: Command, task: None) -> None:
    told = cnntrain("train", *RUN, "monitor=val_accuracy", "data=mnist", "data.root=nowhere", "out=r")
    assert told.code == 2 and told.err.count("\n") == 1
    assert "monitor=val_accuracy is not possible: it takes val_mae or val_loss" in told.err
    assert not Path("r").exists()


def test_the_doctor_knows_what_every_task_has_in_common(cnntrain: Command, task: None) -> None:
    assert cnntrain("train", *RUN, "optim.lr=1e-9", "report=false", "out=r").code == 0
    (finding,) = summary_of("r")["findings"]
    assert finding["finding"] == "the learning rate is too low"


def test_what_it_does_not_have_is_not_shown(cnntrain: Command, task: None) -> None:
    assert "every class" not in cnntrain("train", *RUN, "epochs=1", "report=false", "out=r").out
    assert cnntrain("resume", "r", "epochs=2", "report=false", TRUST).code == 0
    assert len(rows(Path("r/metrics.csv"))) == 2
    told = cnntrain("eval", "r", "tta=[flip]", TRUST)
    assert told.code == 2 and "tta=[flip] is not possible: Number has no such views" in told.err


def test_jobs_of_a_sweep_are_ranked_by_its_score(cnntrain: Command, task: None) -> None:
    assert cnntrain("train", "-m", *RUN, "epochs=1", "optim.lr=0.0001,0.01", "out=s").code == 0
    assert [row["optim.lr"] for row in rows(Path("s/sweep.csv"))] == ["0.01", "0.0001"]


def test_an_unknown_task_and_one_with_arguments(cnntrain: Command, task: None) -> None:
    assert "a class of your own: task._target_=my_pkg.MyClass" in cnntrain("train", "task=nonsense").err
    told = cnntrain("train", *RUN, "task.depth=3").err
    assert "task.depth: Number has no such argument" in told
