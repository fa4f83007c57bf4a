"""Runs of earlier commits: every command takes them, and gives the result that the commit itself gave."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from conftest import Command
from PIL import Image

from cnntrain.runs import checkpoint

ARCHIVES = sorted((Path(__file__).parents[1] / "old_runs").glob("*.tar.xz"))
TEST_ACCURACY = 0.329  # of each, as its summary.json has it


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name.partition(".")[0])
def run(request: pytest.FixtureRequest) -> Path:
    """Return the folder of a run that an earlier commit has made."""
    with tarfile.open(request.param) as archive:
        archive.extractall(".", filter="data")
    return Path("run")


def test_it_is_as_small_as_a_test_needs() -> None:
    assert len(ARCHIVES) >= 4
    assert all(path.stat().st_size < 30_000 for path in ARCHIVES)


def test_eval_gives_what_it_gave_then(cnntrain: Command, run: Path) -> None:
    outcome = cnntrain("eval", "run")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads((run / "eval_test.json").read_text())["accuracy"] == TEST_ACCURACY
    assert json.loads((run / "summary.json").read_text())["test"]["accuracy"] == TEST_ACCURACY


def test_it_is_used_and_exported(cnntrain: Command, run: Path) -> None:
    Image.fromarray(np.zeros((28, 28), dtype=np.uint8)).save("black.png")
    outcome = cnntrain("predict", "run", "black.png")
    assert (outcome.code, outcome.err) == (0, ""), outcome.err
    outcome = cnntrain("export", "run", "formats=[safetensors]")
    assert (outcome.code, outcome.err) == (0, ""), outcome.err
    assert (run / "export" / "model.safetensors").exists()


@pytest.mark.usefixtures("undrawn")
def test_it_is_compared_and_reported(cnntrain: Command, run: Path) -> None:
    outcome = cnntrain("report", "run")
    assert (outcome.code, outcome.err) == (0, ""), outcome.err
    assert (run / "report.html").exists()
    (run / "copy").mkdir()
    for name in ("config.yaml", "summary.json"):
        (run / "copy" / name).write_bytes((run / name).read_bytes())
    assert cnntrain("compare", "run", "run/copy").code == 0


def test_it_goes_on_and_is_a_run_of_today_from_then_on(cnntrain: Command, run: Path) -> None:
    before = checkpoint.load(run / "checkpoints" / "last.pt")["progress"]
    outcome = cnntrain("resume", "run", "epochs=2")
    assert (outcome.code, outcome.err) == (0, ""), outcome.err
    after = checkpoint.load(run / "checkpoints" / "last.pt")["progress"]
    assert (before["epoch"], after["epoch"]) == (1, 2)
    assert after["history"][0] == before["history"][0]
    assert after["history"][1]["train_loss"] < before["history"][0]["train_loss"]


def test_another_run_starts_from_it(cnntrain: Command, run: Path) -> None:
    model = ("model=cnn", "model.channels=[2]", "model.head=[]", "model.pool_size=7")
    outcome = cnntrain("train", *model, "limit=64", "epochs=1", "report=false", "init_from=run", "out=new")
    assert outcome.code == 0, outcome.err
    assert "with its head" in outcome.out
