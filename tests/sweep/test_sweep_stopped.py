"""Sweeps whose processes are stopped, killed or lost, wherever their jobs run."""

from __future__ import annotations

import csv
import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import TINY, Command
from forks import Forked

SWEEP = ("model=mlp", "limit=2000", "epochs=6", "precision=fp32", "threads=1", "out=sweep")
SWEEP += ("report=false",)
LAUNCHERS = {
    "local": [],
    "joblib": ["launcher=joblib", "launcher.n_jobs=2"],
    "submitit": ["launcher=submitit", "launcher.cluster=local", "launcher.cpus=1", "launcher.at_once=2"],
    "ray": ["launcher=ray"],
}
# The processes of these engines take seconds to start.
STARTED = [
    pytest.param(name, marks=pytest.mark.slow if name in ("submitit", "ray") else ()) for name in LAUNCHERS
]


def states() -> dict[str, str]:
    """What the jobs' records say, by the job's name."""
    return {
        path.parent.name: json.loads(path.read_text())["state"] for path in Path("sweep").glob("*/job.json")
    }


def finished() -> set[str]:
    return {name for name, state in states().items() if state == "finished"}


def ranked() -> list[str]:
    return [row["job"] for row in csv.DictReader(Path("sweep/sweep.csv").open()) if row["rank"]]


def begun(launcher: str, jobs: int) -> subprocess.Popen[str] | Forked:
    """A sweep in a process of its own, one job of which is finished."""
    if launcher != "local" and importlib.util.find_spec(launcher) is None:
        pytest.skip(f"needs {launcher}")
    words = ["train", "-m", *SWEEP, f"seed=range({jobs})", *LAUNCHERS[launcher]]
    process: subprocess.Popen[str] | Forked
    if launcher == "local":
        process = Forked(*words)
    else:  # engines start Python anew, and end with the interpreter
        command = [sys.executable, "-m", "cnntrain", *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not finished():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("launcher", STARTED)
def test_sigterm_stops_every_launcher_cleanly(launcher: str) -> None:
    process = begun(launcher, jobs=6)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)

    assert process.returncode == 143, err
    assert "Traceback" not in err and "failed" not in err and "leaked" not in err
    assert err.rstrip().endswith("to go on: cnntrain resume sweep")
    assert set(ranked()) == finished() and len(finished()) < 6


HIDING = """
import os, signal, time
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, image_size, num_classes):
        super().__init__()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        finally:
            None.clean_up  # as libraries do that are interrupted in the middle of a change
"""


@pytest.mark.parametrize("words", [[], ["-m", "seed=0,1"]])
def test_ctrl_c_is_heard_though_the_code_that_it_meets_makes_another_error_of_it(words: list[str]) -> None:
    Path("hiding.py").write_text(HIDING)
    process = Forked("train", *TINY, "model=custom", "model._target_=hiding.Net", *words, "out=run")
    _, err = process.communicate()
    assert process.returncode == 130 and "failed" not in err and "can't" not in err, err


IN_A_FINALIZER = """
import os, signal
from torch import nn

class Ended:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)

class Net(nn.Sequential):
    def __init__(self, in_features, num_classes):
        super().__init__(nn.Flatten(), nn.Linear(in_features, num_classes))
        Ended()
"""


def test_a_signal_that_meets_a_finalizer_stops_the_job_without_a_traceback() -> None:
    """Such as that of a bar. Python drops what is raised in one, and prints a traceback of it."""
    Path("finalizer.py").write_text(IN_A_FINALIZER)
    own = ("limit=200", "epochs=1000", "model._target_=finalizer.Net", "precision=fp32", "report=false")

    process = Forked("train", "-m", *own, "seed=0,1", "out=sweep")
    _, err = process.communicate()

    assert process.returncode == 143 and "Traceback" not in err, err
    assert err.rstrip().endswith("to go on: cnntrain resume sweep")
    assert not finished()


CIRCLE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, in_channels, image_size, num_classes):
        first, second = ValueError("no"), ValueError("never")
        first.__cause__, second.__cause__ = second, first
        raise first
"""


def test_an_error_whose_causes_go_in_a_circle_is_told() -> None:
    Path("circle.py").write_text(CIRCLE)
    process = Forked("train", *TINY, "model=custom", "model._target_=circle.Net", "out=run")
    assert "Net can't be built: no" in process.communicate(timeout=120)[1]
    assert process.returncode == 2


@pytest.mark.slow
def test_a_sweep_that_is_killed_can_be_resumed_at_once(cnntrain: Command) -> None:
    """Though the workers of the killed process are still at it: they notice, and get out of the way."""
    begun("joblib", jobs=4).kill()
    before = {name: (Path("sweep") / name / "job.json").stat().st_mtime_ns for name in finished()}

    outcome = cnntrain("resume", "sweep", "launcher=local")

    assert outcome.code == 0, outcome.err
    assert "failed" not in outcome.err and len(finished()) == len(ranked()) == 4
    assert all((Path("sweep") / name / "job.json").stat().st_mtime_ns == at for name, at in before.items())


def test_a_job_whose_process_dies_costs_no_other(cnntrain: Command) -> None:
    pytest.importorskip("joblib")
    Path("deadly.py").write_text(
        "import os\nfrom cnntrain.models import MLP\n\n"
        "class Net(MLP):\n"
        "    def __init__(self, fatal, in_features, num_classes):\n"
        "        if fatal == 1:\n"
        "            os.kill(os.getpid(), 9)\n"
        "        super().__init__(in_features, [8], num_classes)\n"
    )
    own = (
        "limit=200",
        "epochs=1",
        "threads=1",
        "precision=fp32",
        "model._target_=deadly.Net",
        "report=false",
    )
    outcome = cnntrain("train", "-m", *own, "model.fatal=range(3)", "out=sweep", *LAUNCHERS["joblib"])

    assert outcome.code == 1
    reason = "its process was lost: killed, perhaps because memory ran out"
    assert f"(model.fatal=1) failed: {reason}" in outcome.err
    assert "Traceback" not in outcome.err and outcome.out.count("val accuracy") == 2
    assert sorted(states().values()) == ["failed", "finished", "finished"]


def test_a_job_that_another_process_is_doing_is_left_to_it(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    cnntrain("train", "-m", *TINY, "seed=0,1", "out=sweep")
    record = Path("sweep/seed-1/job.json")
    record.write_text('{"state": "running"}\n')
    monkeypatch.setattr("cnntrain.sweep.job.PATIENCE_SECONDS", 0.0)
    lock = "import fcntl, sys, time; f = open('sweep/seed-1/.lock', 'a'); fcntl.lockf(f, fcntl.LOCK_EX)"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{lock}; print('held', flush=True); time.sleep(60)"], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None and holder.stdout.readline()
        outcome = cnntrain("resume", "sweep")
    finally:
        holder.kill()
        holder.wait()
    assert outcome.code == 1 and "sweep/seed-1 is in use by another process" in outcome.err
    assert record.read_text() == '{"state": "running"}\n'


def test_why_a_job_failed_is_in_its_log(cnntrain: Command) -> None:
    """In words, and with the traceback of what was raised in the user's own code."""
    Path("fragile.py").write_text(
        "from cnntrain.models import MLP\n\n"
        "class Net(MLP):\n"
        "    def __init__(self, at, in_features, num_classes):\n"
        "        super().__init__(in_features, [8], num_classes)\n"
        "        self.at = at\n"
        "        assert at != 'first'\n\n"
        "    def forward(self, x):\n"
        "        assert self.at != 'last' or not self.training\n"
        "        return super().forward(x)\n"
    )
    own = ("limit=200", "model._target_=fragile.Net", "precision=fp32", "threads=1", "report=false")
    outcome = cnntrain("train", "-m", *own, "epochs=1", "model.at=first,last", "out=sweep")
    assert outcome.code == 1 and "Traceback" not in outcome.err
    for at in ("first", "last"):
        log = Path(f"sweep/model.at-{at}/train.log").read_text()
        assert "Traceback" in log and "fragile.py" in log and "AssertionError" in log
    cnntrain("train", "-m", *TINY, "optim=sgd", "optim.lr=1e9", "epochs=1,2", "out=other")
    assert "failed: the loss became NaN" in Path("other/epochs-1/train.log").read_text()
    headings = Path("other/sweep.csv").read_text().splitlines()[0].split(",")
    assert len(set(headings)) == len(headings)  # epochs is what was asked for, and what was done
