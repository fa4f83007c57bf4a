"""What a task declares as its scores is what files, screens, rankings and ``monitor`` follow from."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import TINY, Command, is_told
from rich.console import Console as RichConsole
from torch import zeros

from cnntrain.compare.page import PageFacts, page
from cnntrain.compare.ranking import Run, as_csv, ranked
from cnntrain.compare.results import headline
from cnntrain.compare.table import show
from cnntrain.config.keys import KEYS
from cnntrain.errors import UserError
from cnntrain.loggers import Logged
from cnntrain.runtime.console import Console
from cnntrain.tasks.classification.scores import SCORES
from cnntrain.tasks.scores import LOSS, Score, Scores
from cnntrain.training.epoch_table import EpochTable
from cnntrain.training.progress import Progress

MIOU = Score("miou", "mIoU", higher_is_better=True, is_fraction=True, bounds=(0.0, 1.0))
ERROR = Score("pixel_error", "error", higher_is_better=False)
SEGMENTATION = Scores((LOSS, MIOU, ERROR))
VAL_MIOU = SEGMENTATION.monitored("val_miou")


def measured(loss: float, miou: float, error: float) -> Any:
    return SimpleNamespace(loss=loss, miou=miou, pixel_error=error, seen=10)


def trained() -> Progress:
    """Return two epochs: the second has the better mIoU and the worse loss."""
    progress = Progress(SEGMENTATION)
    for val in (measured(1.0, 0.25, 8.0), measured(2.0, 0.5, 4.0)):
        progress.end_epoch(progress.row(measured(0.5, 0.75, 2.0), val, 2.0), VAL_MIOU)
    return progress


def test_the_columns_of_metrics_csv_follow_from_the_scores(tmp_path: Path) -> None:
    trained().write_metrics(tmp_path)
    first, last = csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines())
    assert list(first) == [
        *("epoch", "step", "lr", "train_loss", "train_miou", "train_pixel_error"),
        *("val_loss", "val_miou", "val_pixel_error", "seconds", "images_per_second"),
    ]
    assert (first["val_miou"], last["val_pixel_error"]) == ("0.25", "4.0")


def test_the_table_of_epochs_follows_from_the_scores() -> None:
    table = EpochTable(SEGMENTATION, epochs=2, width=200)
    headings, row = table.headings(), table.row(trained().history[1])
    assert "train loss  train mIoU  train error  val loss  val mIoU  val error" in headings
    assert len(row) == len(headings)
    assert "0.5000      75.00%       2.0000    2.0000    50.00%     4.0000" in row


@pytest.mark.parametrize(("monitor", "best"), [("val_miou", 2), ("val_pixel_error", 2), ("val_loss", 1)])
def test_the_best_epoch_follows_from_the_monitored_score(monitor: str, best: int) -> None:
    progress = Progress(SEGMENTATION)
    found = [progress.end_epoch(row, SEGMENTATION.monitored(monitor)) for row in trained().history]
    assert found == [True, best == 2]
    assert progress.best is not None and progress.best["epoch"] == best


def test_monitor_takes_the_validation_figures_the_loss_last() -> None:
    assert SEGMENTATION.monitors == ("val_miou", "val_pixel_error", "val_loss")
    assert SCORES.monitors == ("val_accuracy", "val_loss")
    with pytest.raises(UserError, match="monitor=val_accuracy is not possible: it takes val_miou or"):
        SEGMENTATION.monitored("val_accuracy")


def test_what_loggers_get_follows_from_the_scores() -> None:
    told = Logged(Path(), {}, SEGMENTATION, [], zeros(0))
    assert told.figures_in({**trained().history[0], "val_miou": None}) == {
        **{"train/loss": 0.5, "train/miou": 0.75, "train/pixel_error": 2.0},
        **{"val/loss": 1.0, "val/pixel_error": 8.0, "lr": 0.0, "images_per_second": 5.0},
    }
    summary = {"test": {"loss": 1, "miou": 0.5, "pixel_error": 3, "per_class": []}}
    assert told.tested_in(summary) == {"test/loss": 1, "test/miou": 0.5, "test/pixel_error": 3}


def run(folder: Path, name: str, miou: float, error: float) -> Run:
    """Return a finished run, whose summary is in its folder."""
    row = {"val_miou": miou, "val_pixel_error": error, "val_loss": 1.0}
    summary = {"best": row, "epochs": 1, "train_seconds": 2.0, "seed": 0, "test": {"miou": miou / 2}}
    (folder / name).mkdir()
    (folder / name / "summary.json").write_text(json.dumps(summary))
    (folder / name / "metrics.csv").write_text(f"val_miou,val_pixel_error,val_loss\n{miou},{error},1.0\n")
    figures = headline(summary, SEGMENTATION)
    return Run(name, folder / name, {"optim": name}, figures.pop("seed"), "finished", figures)


def test_rankings_follow_from_the_scores(tmp_path: Path) -> None:
    runs = [run(tmp_path, "a", 0.5, 1.0), run(tmp_path, "b", 0.75, 3.0)]
    by_error = ranked(runs, SEGMENTATION.monitored("val_pixel_error"))
    assert [point.values["optim"] for point in by_error] == ["a", "b"]
    points = ranked(runs, VAL_MIOU)
    assert [point.values["optim"] for point in points] == ["b", "a"]
    head, best = csv.reader(as_csv([runs[1]], points, ["optim"], SEGMENTATION).splitlines())
    assert head[4:] == ["val_miou", "val_pixel_error", "val_loss", "epochs_done", "seconds", "reason"]
    assert best[:6] == ["1", "b", "b", "finished", "0.75", "3.0"]


def test_the_screen_and_the_page_of_a_ranking_follow_from_the_scores(tmp_path: Path) -> None:
    console, text = Console(), io.StringIO()
    console.screen = RichConsole(file=text, width=120)
    runs = [run(tmp_path, "a", 0.5, 1.0), run(tmp_path, "b", 0.75, 3.0)]
    points = show(console, runs, ["optim"], VAL_MIOU, SEGMENTATION)
    told = " ".join(text.getvalue().split())
    assert "Ranking by val_miou rank run optim val_miou val_pixel_error val_loss epochs seconds" in told
    assert "1 b b 75.00% 3.0000 1.0000 1 2.00 2 a a 50.00%" in told
    assert "test mIoU of the best: 37.50%" in told

    shown = page(PageFacts("", tmp_path), runs, points, ["optim"], VAL_MIOU, SEGMENTATION)
    found = re.search(r'id="data"[^>]*>(.*?)</script>', shown, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert data["scores"]["val_miou"] == {"is_fraction": True, "higher_is_better": True}
    assert data["scores"]["val_pixel_error"] == {"is_fraction": False, "higher_is_better": False}
    assert data["jobs"][1]["curves"]["val_miou"] == [0.75]
    assert data["tested"] == "test_miou" and data["winners"] == [{"data": "", "test_miou": 0.375, "n": 1}]


OWN_TASK = """
from cnntrain.tasks import Classification
from cnntrain.tasks.classification.metrics import RunningAccuracy
from cnntrain.tasks.scores import LOSS, Score, Scores

class Mean(RunningAccuracy):
    macro_f1 = 0.5

class Own(Classification):
    scores = Scores((LOSS, Score("macro_f1", "F1", higher_is_better=True, is_fraction=True)))

    def running_mean(self, device, shard=None):
        return Mean(device, shard)
"""


def test_a_task_of_ones_own_has_scores_of_its_own(cnntrain: Command) -> None:
    Path("mine.py").write_text(OWN_TASK)
    own = ("task._target_=mine.Own", "doctor=false", "out=run")
    outcome = cnntrain("train", *TINY, *own, "monitor=val_macro_f1")
    assert outcome.code == 0, outcome.err
    assert "train loss train F1 val loss val F1" in " ".join(outcome.out.split())
    assert "weights of epoch 1, the best by val_macro_f1" in outcome.out
    (row,) = csv.DictReader(Path("run/metrics.csv").read_text().splitlines())
    assert row["train_macro_f1"] == "0.5" and "val_macro_f1" in row
    assert "the best by val_macro_f1" in cnntrain("train", *TINY, *own[:2], "out=other").out
    told = cnntrain("train", *TINY, *own[:2], "monitor=val_accuracy", "out=third")
    is_told(told, "monitor=val_accuracy is not possible: it takes val_macro_f1 or val_loss")


def test_a_sweep_of_a_task_of_ones_own_is_ranked_by_its_scores(cnntrain: Command) -> None:
    Path("mine.py").write_text(OWN_TASK)
    own = ("task._target_=mine.Own", "doctor=false", "monitor=val_macro_f1", "out=sweep")
    outcome = cnntrain("train", "-m", *TINY, *own, "optim=sgd,adam")
    assert outcome.code == 0, outcome.err
    assert "Ranking by val_macro_f1" in outcome.out and "test macro f1 of the best: " in outcome.out
    rows = list(csv.DictReader(Path("sweep/sweep.csv").read_text().splitlines()))
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert float(rows[0]["val_macro_f1"]) >= float(rows[1]["val_macro_f1"])


def test_the_values_of_monitor_are_those_of_the_task(torchless: Command) -> None:
    assert set(SCORES.monitors) < set(KEYS["monitor"].choices)
    told = torchless("train", "monitor=val_macro_f1")
    is_told(told, "monitor takes val_accuracy or val_loss, or auto")
    masks = ("data.targets=masks", "monitor=val_accuracy")
    is_told(torchless("train", *masks), "monitor takes val_miou, val_dice or val_loss")


def test_a_score_is_spelt_in_sentences_as_in_its_heading_unless_that_is_short() -> None:
    spelt = [
        Score(name, heading, higher_is_better=True).words
        for name, heading in (("miou", "mIoU"), ("accuracy", "acc"), ("top_5", "top-5"))
    ]
    assert spelt == ["mIoU", "accuracy", "top 5"]
