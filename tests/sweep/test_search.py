"""`sweeper=optuna` and `sweeper=random`: points that are asked for, and what came of them."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Command, is_told
from forks import Forked

optuna = pytest.importorskip("optuna")
from optuna.storages.journal import JournalFileBackend

SEARCH = ("train", "-m", "model=mlp", "limit=300", "epochs=1", "precision=fp32", "threads=1", "report=false")
LR = "optim.lr=interval(1e-5,1e-1)"


def records(folder: str) -> dict[str, dict[str, Any]]:
    return {path.parent.name: json.loads(path.read_text()) for path in Path(folder).glob("*/job.json")}


def trials(folder: str) -> list[Any]:
    storage = optuna.storages.JournalStorage(JournalFileBackend(f"{folder}/optuna.log"))
    return optuna.load_study(study_name="cnntrain", storage=storage).trials  # type: ignore[no-any-return]


def test_a_search_tries_its_points_and_ranks_them(cnntrain: Command) -> None:
    space = (LR, "optim=sgd,adam", "batch_size=interval(16,32)", "limit=range(300,200,-50)")
    outcome = cnntrain(*SEARCH, *space, "sweeper=optuna", "sweeper.n_trials=4", "out=s")
    assert outcome.code == 0, outcome.err
    assert "job 4 of 4" in outcome.out and "Ranking by val_accuracy" in outcome.out
    found = records("s")
    assert len(found) == 4
    for record in found.values():
        values = dict(word.split("=") for word in record["overrides"])
        assert 1e-5 <= float(values["optim.lr"]) <= 1e-1 and values["optim"] in ("sgd", "adam")
        assert 16 <= int(values["batch_size"]) <= 32 and values["limit"] in ("300", "250")
    best = max(found.values(), key=lambda record: record["val_accuracy"])
    assert max(t.value for t in trials("s") if t.value is not None) == best["val_accuracy"]


def test_a_diverging_region_is_a_failed_trial_and_not_the_end(cnntrain: Command) -> None:
    lr = "optim.lr=interval(1e-2,1e9)"
    outcome = cnntrain(*SEARCH, "optim=sgd", lr, "sweeper=random", "sweeper.n_trials=6", "out=s")
    assert outcome.code == 1
    states = [trial.state.name for trial in trials("s")]
    assert set(states) == {"COMPLETE", "FAIL"} and len(states) == 6
    assert "Ranking" in outcome.out


def test_a_search_that_is_killed_goes_on_with_what_it_knew(cnntrain: Command) -> None:
    words = [*SEARCH, LR, "sweeper=optuna", "sweeper.n_trials=5", "epochs=3", "out=s"]
    process = Forked(*words)
    while sum(record["state"] != "running" for record in records("s").values()) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = {name: record for name, record in records("s").items() if record["state"] != "running"}

    outcome = cnntrain("resume", "s")
    assert outcome.code == 0, outcome.err
    after = records("s")
    assert len(after) == 5 and all(record["state"] != "running" for record in after.values())
    assert {name: after[name] for name in before} == before
    assert all(trial.state.is_finished() for trial in trials("s"))
    assert sorted(t.user_attrs["job"] for t in trials("s") if "job" in t.user_attrs) == sorted(after)
    assert cnntrain("resume", "s").code == 0 and len(records("s")) == 5  # nothing is left
    told = "type its train command again with out=s and a larger sweeper.n_trials"
    is_told(cnntrain("resume", "s", "sweeper.n_trials=6"), "sweeper.n_trials=6: ", told)
    done = cnntrain(*words, "sweeper.n_trials=6")
    assert done.code == 0 and len(records("s")) == 6, done.err


def test_hopeless_jobs_are_stopped_by_their_validation_curve(cnntrain: Command) -> None:
    grid = "optim.lr=" + ",".join(["1e-2"] * 1 + ["1e-9"])
    run = (*SEARCH, "epochs=3", grid, "seed=range(40)", "sweeper=optuna", "sweeper.sampler=random")
    outcome = cnntrain(*run, "sweeper.n_trials=11", "out=s")
    assert outcome.code == 0, outcome.err
    stopped = [record for record in records("s").values() if record["state"] == "pruned"]
    assert stopped and all("optim.lr=1e-09" in record["overrides"] for record in stopped)
    assert "worse than the median" in outcome.out and "pruned" in outcome.err


def test_intervals_are_searched_on_the_scale_that_is_meant() -> None:
    from cnntrain.sweep.search import distribution

    assert distribution("optim.lr=interval(1e-4,1e-1)").log
    assert not distribution("optim.lr=tag(linear, interval(1e-4,1e-1))").log
    assert not distribution("optim.momentum=interval(0.5,0.99)").log
    assert distribution("optim.momentum=tag(log, interval(0.5,0.99))").log
    whole = distribution("batch_size=interval(16,128)")
    assert (whole.low, whole.high, type(whole).__name__) == (16, 128, "IntDistribution")
    assert distribution("batch_size=range(16,65,16)").step == 16
    assert list(distribution("optim=sgd,adam").choices) == ["sgd", "adam"]


def test_several_jobs_at_a_time(cnntrain: Command) -> None:
    pytest.importorskip("joblib")
    words = ("sweeper=random", "sweeper.n_trials=4", "launcher=joblib", "launcher.n_jobs=2", "out=s")
    outcome = cnntrain(*SEARCH, LR, *words)
    assert outcome.code == 0, outcome.err
    assert len(records("s")) == 4 and all(trial.state.name == "COMPLETE" for trial in trials("s"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((LR,), "add sweeper=random or sweeper=optuna"),
        (("sweeper=optuna",), "a search needs a key to search"),
        ((LR, "sweeper=optuna", "seeds=3"), "seeds=N repeats the points of a grid"),
        ((LR, "sweeper=optuna", "data.val_fraction=0"), "a search needs a validation set"),
        (("optim.lr=interval(-1,1)", "sweeper=random"), "optim.lr=-1"),
        (("optim.lr=interval(1e-1,1e-4)", "sweeper=random"), "is empty: write interval(LOW,HIGH)"),
        (
            ("model.dropout=tag(log,interval(0,0.9))", "sweeper=random"),
            "is on a log scale: both ends must be above 0",
        ),
        (("batch_size=interval(8,16.5)", "sweeper=random"), "batch_size=16.5 is not possible"),
        ((LR, "sweeper=optuna", "sweeper.n_trials=0"), "sweeper.n_trials=0 is not possible"),
        ((LR, "sweeper=random", "~sweeper.seed"), "sweeper.seed is missing"),
        ((LR, "sweeper=bayes"), "unknown sweeper 'bayes': did you mean sweeper=optuna?"),
    ],
)
def test_what_cannot_be_searched_is_told(torchless: Command, words: tuple[str, ...], told: str) -> None:
    is_told(torchless("train", "-m", *TINY, *words), told)


def test_a_missing_optuna_is_told(cnntrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    is_told(cnntrain(*SEARCH, LR, "sweeper=optuna", "out=s"), "pip install 'optuna>=")
    assert not Path("s").exists()
