"""Sweeps from the shell: every job, in its own folder, and an honest ranking."""

from __future__ import annotations

import csv
import json
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Command, is_told
from forks import Forked


def the_sweep() -> Path:
    (folder,) = Path("outputs/sweeps").iterdir()
    return folder


def started(*overrides: str) -> Forked:
    """Begin a sweep in a process of its own."""
    return Forked("train", "-m", "report=false", *overrides)


def finished_jobs(folder: Path) -> dict[str, Any]:
    """The records of the jobs that are finished, by name."""
    records = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/job.json")}
    return {name: record for name, record in records.items() if record["state"] == "finished"}


def wait_for_jobs(process: Forked, count: int) -> None:
    """Wait until that many jobs are finished."""
    while not any(len(finished_jobs(folder)) >= count for folder in Path("outputs").glob("sweeps/*")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def ranking(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "sweep.csv").open()))


def test_every_combination_runs_and_is_ranked_by_validation(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *TINY, "optim=sgd,adam", "optim.lr=1e-4,1e-2")

    assert outcome.code == 0, outcome.err
    rows = ranking(the_sweep())
    assert len(rows) == 4
    assert {(row["optim"], row["optim.lr"]) for row in rows} == {
        (optim, lr) for optim in ("sgd", "adam") for lr in ("0.0001", "0.01")
    }
    accuracies = [float(row["val_accuracy"]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert [row["rank"] for row in rows] == list("1234")
    assert "job 4 of 4: optim=adam optim.lr=0.01" in outcome.out
    assert f"cnntrain eval {the_sweep() / rows[0]['job']}" in outcome.out
    assert all((the_sweep() / row["job"] / "summary.json").exists() for row in rows)
    assert {row["job"] for row in rows} >= {"optim-sgd_optim.lr-0.0001", "optim-adam_optim.lr-0.01"}
    assert not [column for row in rows for column in row if "test" in column]  # the test set chooses nothing


def test_a_job_that_fails_is_named_and_the_others_go_on(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *TINY, "optim=sgd", "optim.lr=1e9,1e-2")

    assert outcome.code == 1
    assert "optim.lr=1000000000.0) failed: " in outcome.err
    first, last = ranking(the_sweep())
    assert (first["state"], last["state"]) == ("finished", "failed")
    assert "NaN or infinite" in last["reason"]


def test_out_is_the_folder_of_the_sweep(cnntrain: Command, run: Path) -> None:
    assert cnntrain("train", "-m", *TINY, "seed=0,1", "out=my/sweep").code == 0
    assert len(ranking(Path("my/sweep"))) == 2
    is_told(cnntrain("train", "-m", *TINY, "optim.lr=1,2", "out=my/sweep"), "holds a sweep of other jobs")
    is_told(cnntrain("train", "-m", *TINY, "seed=0,1", f"out={run}"), "out=run holds a run")


def test_a_wrong_value_is_told_before_any_job_runs(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *TINY, "optim.lr=1e-3,abc")
    assert outcome.code == 2
    assert "optim.lr=abc" in outcome.err
    assert not Path("outputs/sweeps").exists() or not list(Path("outputs/sweeps").iterdir())


def test_a_sweep_in_use_is_told_and_ctrl_c_ends_it_and_ranks_what_is_finished(cnntrain: Command) -> None:
    process = started("model=mlp", "limit=500", "epochs=3", "seed=range(50)")
    wait_for_jobs(process, 1)
    is_told(cnntrain("resume", str(the_sweep())), "in use by another process")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()

    assert process.returncode == 130
    assert f"cnntrain resume {the_sweep()}" in err and "Traceback" not in err
    assert ("seed-0", "finished") in [(row["job"], row["state"]) for row in ranking(the_sweep())]
    assert "Ranking" in out


def test_a_sweep_that_is_killed_goes_on_where_it_was(cnntrain: Command) -> None:
    """Six jobs: each runs once, the finished ones are not touched, and the half-done one goes on."""
    sweep = ("model=mlp", "limit=500", "epochs=3", "seed=range(3)", "optim=adam,sgd", "save_every_steps=5")
    process = started(*sweep)
    wait_for_jobs(process, 2)
    process.kill()
    process.wait()
    folder = the_sweep()
    before = finished_jobs(folder)
    times = {name: (folder / name / "summary.json").stat().st_mtime_ns for name in before}
    assert 2 <= len(before) < 6

    outcome = cnntrain("resume", "last")
    assert outcome.code == 0, outcome.err
    assert f"{len(before)} jobs of 6 finished before" in outcome.out
    assert [row["state"] for row in ranking(folder)] == ["finished"] * 6
    assert {name: (folder / name / "summary.json").stat().st_mtime_ns for name in before} == times
    assert outcome.out.count("resumed after step") <= 1

    outcome = cnntrain("train", "-m", "report=false", *sweep, f"out={folder}")  # nothing is left to be done
    assert outcome.code == 0
    assert {name: (folder / name / "summary.json").stat().st_mtime_ns for name in before} == times


def test_a_resumed_job_ends_with_the_same_bits(cnntrain: Command) -> None:
    cnntrain("train", "-m", *TINY, "epochs=3", "save_every_steps=3", "seed=0,1", "out=sweep")
    job = Path("sweep/seed-1")
    whole = torch.load(job / "checkpoints/last.pt", weights_only=True)["model"]
    for name in ("job.json", "summary.json", "checkpoints/last.pt", "checkpoints/best.pt"):
        (job / name).unlink()  # which leaves it at the end of its second epoch
    outcome = cnntrain("resume", "sweep")
    assert "resumed after step" in outcome.out and "1 job of 2 finished before" in outcome.out
    resumed = torch.load(job / "checkpoints/last.pt", weights_only=True)["model"]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_larger_grid_adds_to_a_sweep(cnntrain: Command) -> None:
    cnntrain("train", "-m", *TINY, "seed=0,1", "out=sweep")
    outcome = cnntrain("train", "-m", *TINY, "seed=range(3)", "out=sweep")
    assert "2 jobs of 3 finished before" in outcome.out
    assert len(ranking(Path("sweep"))) == 3
    summaries = [json.loads(Path(f"sweep/seed-{n}/summary.json").read_text()) for n in range(3)]
    assert [summary["seed"] for summary in summaries] == [0, 1, 2]


def test_a_sweep_without_validation_is_finished_and_not_ranked(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *TINY, "optim.lr=1e-2,1e-3", "data.val_fraction=0", "out=s")
    assert outcome.code == 0, outcome.err
    assert "nothing is ranked: no images were held out for validation" in outcome.out
    assert "results: s/sweep.csv" in outcome.out and "no job is finished" not in outcome.out


def test_on_error_stop_leaves_the_rest(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *TINY, "optim=sgd", "optim.lr=1e9,1e-2,1e-3", "on_error=stop", "out=s")
    assert outcome.code == 1
    assert "2 jobs left undone" in outcome.err and "2 jobs of 3 not started" in outcome.err
    outcome = cnntrain("resume", "s")
    assert (outcome.code, len(finished_jobs(Path("s")))) == (1, 2)  # the failed one fails again


def test_long_and_odd_values_make_names_that_are_short_and_differ(cnntrain: Command) -> None:
    lists = ",".join(f"[{','.join(['16'] * n)}]" for n in (36, 37))
    run = (*TINY, f"model.hidden={lists}", "augment.shift=0,1", "precision=fp32", "threads=1", "doctor=false")
    outcome = cnntrain("train", "-m", *run)
    assert outcome.code == 0, outcome.err
    names = [row["job"] for row in ranking(the_sweep())]
    assert len(set(names)) == 4 and max(map(len, names)) <= 100
    assert not any(character in name for name in names for character in "=[]/")


def test_glob_names_the_choices_of_a_group(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *TINY, "schedule=glob([c*,o*],exclude=cos*)", "out=sweep")
    assert outcome.code == 0, outcome.err
    assert {row["schedule"] for row in ranking(Path("sweep"))} == {"constant", "onecycle"}


def test_a_key_may_belong_to_the_choices_of_a_sweep_alone(cnntrain: Command) -> None:
    small = ("model.width=4", "limit=200", "epochs=1", "report=false", "out=sweep")
    outcome = cnntrain("train", "-m", "model=gru,rnn", *small)
    assert outcome.code == 0, outcome.err
    assert len(ranking(Path("sweep"))) == 2
    is_told(cnntrain("train", "-m", "model=gru,mlp", *small[:-1]), "model=mlp has no width")


def test_no_experiment_is_one_to_compare_with(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *TINY, "experiment=null,quick", "out=sweep")
    assert outcome.code == 0, outcome.err
    assert {row["experiment"] for row in ranking(Path("sweep"))} == {"null", "quick"}
    assert cnntrain("train", *TINY, "experiment=null").code == 0


def test_several_values_in_a_file_are_a_sweep_too(cnntrain: Command) -> None:
    Path("conf/experiment").mkdir(parents=True)
    text = "# @package _global_\nhydra: {sweeper: {params: {seed: '5,6', schedule: 'glob(co*)'}}}\n"
    Path("conf/experiment/mine.yaml").write_text(text)
    assert cnntrain("train", "-m", *TINY, "experiment=mine", "out=sweep").code == 0
    assert len(ranking(Path("sweep"))) == 4


@pytest.mark.parametrize("flags", [("--cfg", "job"), ("-c", "all")])
def test_what_would_run_can_be_shown(cnntrain: Command, flags: tuple[str, ...]) -> None:
    outcome = cnntrain("train", "-m", *TINY, "seed=4,5", "launcher=joblib", *flags)
    assert outcome.code == 0 and outcome.err == "cnntrain: this is the first of 2 jobs: seed-4\n"
    assert "seed: 4" in outcome.out
    assert not Path("outputs").exists()


def test_a_resumed_sweep_keeps_its_launcher_and_its_folder_of_groups(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("joblib")
    Path("mine/optim").mkdir(parents=True)
    Path("mine/optim/own.yaml").write_text("_target_: torch.optim.SGD\nlr: 0.1\n")
    sweep = ("--config-dir", "mine", *TINY, "optim=own", "seed=0,1", "launcher=joblib", "launcher.n_jobs=1")
    assert cnntrain("train", "-m", *sweep, "out=sweep").code == 0
    folder = Path("sweep").absolute()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    for how, told in (((), "1 job by joblib"), (("launcher=local",), "job 2 of 2: seed=1")):
        (folder / "seed-1" / "job.json").unlink()
        outcome = cnntrain("resume", str(folder), *how)
        assert outcome.code == 0 and told in outcome.out, outcome


OWN_MODEL = """\
from cnntrain.models import MLP

class Net(MLP):
    def __init__(self, width, in_features, num_classes):
        super().__init__(in_features, [width], num_classes)
"""


@pytest.mark.parametrize("how", [(), ("sweeper=random", "sweeper.n_trials=3")], ids=["a grid", "a search"])
def test_the_arguments_of_a_class_of_ones_own_vary(cnntrain: Command, how: tuple[str, ...]) -> None:
    if how:
        pytest.importorskip("optuna")
    Path("mine_here.py").write_text(OWN_MODEL)
    own = ("limit=200", "epochs=1", "model._target_=mine_here.Net", "model.width=range(2,5)", "out=sweep")
    own += ("report=false",)
    outcome = cnntrain("train", "-m", *own, *how)
    assert outcome.code == 0, outcome.err
    rows = ranking(Path("sweep"))
    assert len(rows) == 3 and {row["model.width"] for row in rows} <= {"2", "3", "4"}
    assert how or {row["job"] for row in rows} == {"model.width-2", "model.width-3", "model.width-4"}


def test_what_is_typed_twice_is_one_job(cnntrain: Command) -> None:
    cnntrain("train", "-m", *TINY, "seed=5,6", "seed=1,1,2", "out=sweep")  # what is typed last counts
    assert {row["job"] for row in ranking(Path("sweep"))} == {"seed-1", "seed-2"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("seed=0,1", "seeds=3"), "seeds=N repeats every point"),
        (("launcher=local,joblib",), "launcher applies to the whole sweep"),
        (("seeds=1",), "seeds=1 is not possible"),
        (("seeds=2,3",), "seeds applies to the whole sweep"),
        (("schedule=glob(x*)",), "schedule=glob(x*) matches nothing: schedule takes constant, cosine"),
        (("epochs=glob(*)",), "glob is for groups"),
        (("seed=range(5,2)",), "seed=range(5,2) has no values, so there is nothing to run"),
        (("seed=0,1", "launcher=slurm"), "launcher"),
        (("seed=0,1", "on_error=retry"), "on_error takes continue or stop"),
    ],
)
def test_wrong_sweeps_are_told_before_torch_is_imported(
    torchless: Command, wrong: tuple[str, ...], told: str
) -> None:
    is_told(torchless("train", "-m", *TINY, *wrong), told)


@pytest.mark.parametrize("choice", ["launcher=joblib", "sweeper=random", "sweeper=optuna"])
def test_what_is_for_sweeps_is_refused_without_one(torchless: Command, choice: str) -> None:
    is_told(torchless("train", choice), f"{choice} is for sweeps: add -m, or leave it out")


@pytest.mark.parametrize(
    "plan",
    [
        "",
        "format: 9",
        "[",
        "format: 1\njobs: {../up: []}\nvaried: []\nmonitor: val_loss\nconfig_dir: null",
        "format: 1\njobs: {a: ['hydra.run.dir=x']}\nvaried: []\nmonitor: val_loss\nconfig_dir: null",
        "format: 1\njobs: {a: ['name=${oc.env:HOME}']}\nvaried: []\nmonitor: val_loss\nconfig_dir: null",
    ],
)
def test_a_damaged_or_hostile_plan_is_told(cnntrain: Command, plan: str) -> None:
    Path("sweep").mkdir()
    Path("sweep/sweep.yaml").write_text(plan)
    is_told(cnntrain("resume", "sweep"), "sweep/sweep.yaml")


def test_a_plan_of_somebody_else_may_not_name_any_class(cnntrain: Command) -> None:
    Path("sweep").mkdir()
    overrides = ["model=custom", "model._target_=os.system", "+model.command='touch hacked'"]
    plan = {"format": 1, "jobs": {"a": overrides}, "varied": [], "monitor": "val_loss", "config_dir": None}
    Path("sweep/sweep.yaml").write_text(json.dumps(plan))
    outcome = cnntrain("resume", "sweep")
    assert outcome.code == 1 and "refusing to import" in outcome.err
    assert not Path("hacked").exists()
