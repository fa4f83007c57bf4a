"""sweep.html: one file, which shows what sweep.csv says."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from browser import needs_browser, seen_by
from conftest import TINY

from cnntrain.cli import main
from cnntrain.compare.page import PageFacts
from cnntrain.compare.page import page as page_of
from cnntrain.compare.ranking import Run, ranked
from cnntrain.tasks.classification.scores import SCORES

VAL_ACCURACY = SCORES.monitored("val_accuracy")
# Clicks the heading of val_loss, and leaves the order of the jobs, and what was drawn, in the page.
PROBE = """
<script>
{
const texts = selector => [...document.querySelectorAll(selector)].map(node => node.textContent);
const names = () => texts("#jobs tbody tr td:nth-child(2)");
const before = names();
[...document.querySelectorAll("#jobs th button")].find(b => b.textContent === "val_loss").click();
document.querySelector("#jobs tbody tr").click();
const found = {before, after: names(), sort: document.querySelector("#jobs th[aria-sort]").textContent,
  chosen: document.querySelectorAll("svg .chosen").length, told: document.getElementById("told").textContent,
  cells: texts("#jobs tbody td"), points: document.querySelectorAll("#points tbody tr").length,
  curves: document.querySelectorAll("#curves .job").length,
  dots: document.querySelectorAll("#times .job").length,
  lines: document.querySelectorAll("#parallel .job").length,
  effects: document.querySelectorAll("#effects svg").length,
  hinted: [...document.querySelectorAll(".scroll")].every(
    node => getComputedStyle(node).backgroundAttachment.includes("local")),
  requests: performance.getEntriesByType("resource").length};
document.body.dataset.probe = JSON.stringify(found);
}
</script>
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("swept")
    words = ("train", "-m", *TINY, "epochs=2", "precision=fp32", "threads=1", "out=sweep")
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["cnntrain", *words, "optim=sgd,adam", "optim.lr=1e-3,1e-2,1e9"])
        with pytest.raises(SystemExit):
            main.main()
    assert "sweep/sweep.html" in printed.getvalue()
    return folder / "sweep"


def figures(accuracy: float) -> dict[str, float]:
    return {"val_accuracy": accuracy, "val_loss": 1.0, "epochs_done": 1, "seconds": 1.0}


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_the_page_holds_what_sweep_csv_says(sweep: Path) -> None:
    rows = list(csv.DictReader((sweep / "sweep.csv").read_text().splitlines()))
    page = (sweep / "sweep.html").read_text()
    jobs = data_of(page)["jobs"]
    assert [job["name"] for job in jobs] == [row["job"] for row in rows]
    for job, row in zip(jobs, rows, strict=True):
        assert str(job["figures"].get("val_accuracy", "")) == row["val_accuracy"]
        assert job["values"]["optim.lr"] == row["optim.lr"]
    assert [len(job["curves"]["val_loss"]) for job in jobs if job["state"] == "finished"] == [2] * 5
    named_not_fetched = "http://www.w3.org/2000/svg"
    assert not re.search("https?:", page.replace(named_not_fetched, ""))
    assert len(page) < 5_000_000


def test_the_page_says_what_was_typed_on_which_data_and_what_the_winner_scored(sweep: Path) -> None:
    data = data_of((sweep / "sweep.html").read_text())
    assert data["title"] == "Sweep of optim, optim.lr" and data["name"] == "sweep"
    assert data["data"] == "MNISTMini"
    assert data["command"].startswith("cnntrain train -m limit=200 ")
    (winner,) = data["winners"]
    best = json.loads((sweep / data["jobs"][0]["name"] / "summary.json").read_text())
    assert winner["test_accuracy"] == best["test"]["accuracy"]


def test_a_learning_rate_lies_on_a_log_scale_and_intervals_end_at_100_percent(tmp_path: Path) -> None:
    rates = ["0.001", "0.003", "0.01", "0.03", "0.1"]
    runs = [
        Run(lr, tmp_path / lr, {"optim.lr": lr, "model": model}, 0, "finished", figures(0.9 + 0.02 * number))
        for number, (lr, model) in enumerate(zip(rates, ["a", "a", "a", "b", "b"], strict=True))
    ]
    keys = ["optim.lr", "model"]
    data = data_of(
        page_of(PageFacts("", tmp_path), runs, ranked(runs, VAL_ACCURACY), keys, VAL_ACCURACY, SCORES)
    )
    assert data["log"] == ["optim.lr"] and data["scattered"] == ["optim.lr"]
    (effect,) = data["effects"]
    assert effect["key"] == "model"
    assert all(0 <= end <= 1 for group in effect["groups"] for end in group["interval"])
    assert any(group["interval"][1] == 1 for group in effect["groups"])


def test_a_pruned_job_keeps_its_curve(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("val_accuracy,val_loss\n0.5,1.5\n,\n")
    run = Run("job", tmp_path, {"optim.lr": "1"}, state="pruned")
    (job,) = data_of(page_of(PageFacts("", tmp_path), [run], [], ["optim.lr"], VAL_ACCURACY, SCORES))["jobs"]
    assert job["curves"] == {"val_accuracy": [0.5, None], "val_loss": [1.5, None]}


def test_nothing_in_the_data_ends_the_script(tmp_path: Path) -> None:
    run = Run("</script><script>alert(1)</script>", tmp_path, {"name": "<!--"}, state="failed", reason="<b>")
    page = page_of(PageFacts("a title", tmp_path), [run], [], ["name"], VAL_ACCURACY, SCORES)
    assert page.count("</script>") == 2
    assert data_of(page)["jobs"][0]["name"] == run.name


@needs_browser
def test_a_browser_draws_it_and_sorts_it(sweep: Path) -> None:
    found = seen_by(PROBE, (sweep / "sweep.html").read_text(), milliseconds=2000)
    rows = list(csv.DictReader((sweep / "sweep.csv").read_text().splitlines()))
    assert found["before"] == [row["job"] for row in rows]
    finished = sorted((row for row in rows if row["val_loss"]), key=lambda row: float(row["val_loss"]))
    assert found["after"][:5] == [row["job"] for row in finished]
    assert found["sort"] == "val_loss" and found["chosen"] == 4 and found["requests"] == 0
    assert found["hinted"]  # a table that is cut shows that it scrolls
    assert finished[0]["job"] in found["told"]
    assert f"{float(finished[0]['val_accuracy']):.2%}" in found["cells"]
    assert (found["curves"], found["dots"], found["lines"], found["effects"]) == (5, 5, 5, 2)
