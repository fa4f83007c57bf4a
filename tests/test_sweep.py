"""Sweeps from the shell: every job, in its own folder, and an honest ranking."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from conftest import TINY, Command


def the_sweep() -> Path:
    (folder,) = Path("outputs/sweeps").iterdir()
    return folder


def ranking(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "sweep.csv").open()))


def test_every_combination_runs_and_is_ranked_by_validation(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *TINY, "optim=sgd,adam,rmsprop", "optim.lr=1e-4,1e-2")

    assert outcome.code == 0, outcome.err
    rows = ranking(the_sweep())
    assert len(rows) == 6
    assert {(row["optim"], row["optim.lr"]) for row in rows} == {
        (optim, lr) for optim in ("sgd", "adam", "rmsprop") for lr in ("0.0001", "0.01")
    }
    accuracies = [float(row["val_accuracy"]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert [row["rank"] for row in rows] == list("123456")
    assert "job 6 of 6: optim=rmsprop optim.lr=0.01" in outcome.out
    assert f"cnntrain eval {the_sweep() / rows[0]['job']}" in outcome.out
    assert all((the_sweep() / str(number) / "summary.json").exists() for number in range(6))


def test_a_range_of_seeds(cnntrain: Command) -> None:
    assert cnntrain("train", "-m", *TINY, "seed=range(3)").code == 0
    seeds = [json.loads((the_sweep() / str(n) / "summary.json").read_text())["seed"] for n in range(3)]
    assert seeds == [0, 1, 2]


def test_a_job_that_fails_is_named_and_the_others_go_on(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *TINY, "optim=sgd", "optim.lr=1e9,1e-2")

    assert outcome.code == 1
    assert "optim.lr=1000000000.0) failed: " in outcome.err
    first, last = ranking(the_sweep())
    assert (first["state"], last["state"]) == ("finished", "failed")
    assert "NaN or infinite" in last["reason"]


def test_out_is_the_folder_of_the_sweep(cnntrain: Command) -> None:
    assert cnntrain("train", "-m", *TINY, "seed=0,1", "out=my/sweep").code == 0
    assert len(ranking(Path("my/sweep"))) == 2
    assert cnntrain("train", "-m", *TINY, "seed=0,1", "out=my/sweep").code == 2


def test_a_wrong_value_is_told_before_any_job_runs(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *TINY, "optim.lr=1e-3,abc")
    assert outcome.code == 2
    assert "optim.lr=abc" in outcome.err
    assert not Path("outputs/sweeps").exists() or not list(Path("outputs/sweeps").iterdir())


def test_model_selection_never_sees_the_test_set(cnntrain: Command) -> None:
    cnntrain("train", "-m", *TINY, "seed=0,1")
    assert not [column for row in ranking(the_sweep()) for column in row if "test" in column]


def test_ctrl_c_ends_the_sweep_and_ranks_what_is_finished() -> None:
    command = [sys.executable, "-m", "cnntrain", "train", "-m", "model=mlp", "epochs=3", "seed=range(50)"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not list(Path("outputs").glob("sweeps/*/0/job.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()

    assert process.returncode == 130
    assert "stopped" in err and "Traceback" not in err
    assert "0" in [row["job"] for row in ranking(the_sweep())]
    assert "Ranking" in out
