"""Rankings over seeds, and runs from anywhere side by side."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Command, is_told
from rich.console import Console as RichConsole

from cnntrain.compare.columns import significance
from cnntrain.compare.diff import differing, immaterial_differences, repeats_in, with_classes_named
from cnntrain.compare.ranking import Point, Run, ranked
from cnntrain.tasks.classification.scores import SCORES
from cnntrain.tasks.scores import VAL_LOSS, Figure

VAL_ACCURACY = SCORES.monitored("val_accuracy")
FIXED = (*TINY, "precision=fp32", "threads=1")


def rows_of(path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(path).read_text().splitlines()))


def run(name: str, seed: int, accuracy: float | None, state: str = "finished") -> Run:
    figures: dict[str, Any] = {"val_accuracy": accuracy, "val_loss": 1.0, "epochs_done": 1, "seconds": 1.0}
    values = {"optim": name}
    return Run(f"{name}-{seed}", Path(name), values, seed, state, figures if state == "finished" else {})


def points(**accuracies: list[float]) -> list[Run]:
    return [run(name, seed, a) for name, values in accuracies.items() for seed, a in enumerate(values)]


def test_points_are_ranked_by_their_mean_over_seeds() -> None:
    found = ranked(points(lucky=[0.99, 0.5, 0.5], steady=[0.9, 0.9, 0.9]), VAL_ACCURACY)
    assert [point.values["optim"] for point in found] == ["steady", "lucky"]
    assert found[0].summary is not None and found[0].summary.mean == pytest.approx(0.9)
    assert len(found[0].runs) == 3


def test_the_loss_is_better_when_lower() -> None:
    runs = points(a=[0.5], b=[0.6])
    runs[0].figures["val_loss"] = 0.1
    assert ranked(runs, VAL_LOSS)[0].values["optim"] == "a"


def test_what_differs_by_more_than_chance_has_a_small_p() -> None:
    noise = [0.01, -0.01, 0.02, 0.0, -0.02]
    best = [0.95 + n for n in noise]
    close = [0.945 + n for n in reversed(noise)]
    far = [0.80 + n / 2 for n in noise]
    found = {
        point.values["optim"]: point.p
        for point in ranked(points(best=best, close=close, far=far), VAL_ACCURACY)
    }
    assert found["best"] is None
    assert found["close"] is not None and found["close"] > 0.05
    assert found["far"] is not None and found["far"] < 0.001


def test_only_seeds_that_both_have_are_compared() -> None:
    runs = [run("a", 0, 0.9), run("a", 1, 0.91), run("b", 1, 0.8), run("b", 2, 0.81)]
    assert ranked(runs, VAL_ACCURACY)[1].p is None


def test_the_same_seed_twice_counts_once() -> None:
    (point,) = ranked([run("a", 0, 0.9), run("a", 0, 0.9), run("a", 1, 0.8)], VAL_ACCURACY)
    assert (point.repeats, len(point.runs)) == (2, 3)
    assert point.summary is not None and point.summary.n == 2
    assert point.summary.mean == point.mean("val_accuracy") == pytest.approx(0.85)


def test_a_point_says_how_many_of_its_seeds_failed() -> None:
    (point,) = ranked([run("a", 0, 0.9), run("a", 1, None, "failed")], VAL_ACCURACY)
    assert (point.repeats, point.planned) == (1, 2)


def test_the_loss_decides_between_equal_accuracies() -> None:
    runs = points(a=[0.9], b=[0.9])
    runs[1].figures["val_loss"] = 0.5
    assert [point.values["optim"] for point in ranked(runs, VAL_ACCURACY)] == ["b", "a"]


@pytest.mark.parametrize("monitor", SCORES.ranked)
def test_what_was_not_validated_comes_last(monitor: Figure) -> None:
    runs = [run("none", 0, None), run("some", 0, 0.5)]
    runs[0].figures["val_loss"] = None
    assert [point.values["optim"] for point in ranked(runs, monitor)] == ["some", "none"]


def test_what_is_not_finished_or_not_validated_is_not_ranked() -> None:
    assert ranked([run("a", 0, None, "failed"), run("b", 0, None, "running")], VAL_ACCURACY) == []
    assert ranked([run("a", 0, None)], VAL_ACCURACY)[0].summary is None


def test_seeds_repeat_every_point(cnntrain: Command) -> None:
    outcome = cnntrain("train", "-m", *FIXED, "optim=sgd,adam", "seeds=3", "out=sweep")
    assert outcome.code == 0, outcome.err
    rows = rows_of("sweep/sweep.csv")
    assert sorted((row["optim"], row["seed"]) for row in rows) == [
        (optim, seed) for optim in ("adam", "sgd") for seed in "012"
    ]
    assert [row["rank"] for row in rows] == list("111222")
    assert "95% interval" in outcome.out and "p vs. best" in outcome.out and "Holm" in outcome.out
    winner = rows[0]["optim"]
    tests = [
        json.loads((Path("sweep") / row["job"] / "summary.json").read_text())["test"]["accuracy"]
        for row in rows
        if row["optim"] == winner
    ]
    assert f"test accuracy of the best: {sum(tests) / 3:.2%}" in outcome.out
    assert not [column for column in rows[0] if "test" in column]


def test_seeds_alone_make_a_sweep(cnntrain: Command) -> None:
    assert cnntrain("train", *FIXED, "seeds=2", "out=sweep").code == 0
    assert {path.parent.name for path in Path("sweep").glob("*/job.json")} == {"seed-0", "seed-1"}


def test_runs_from_anywhere_are_compared(cnntrain: Command) -> None:
    cnntrain("train", *FIXED, "optim.lr=1e-2", "out=a")
    cnntrain("train", *FIXED, "optim=sgd", "out=b")
    cnntrain("train", "-m", *FIXED, "optim.lr=1e-3,1e-4", "out=c")
    outcome = cnntrain("compare", "a", "b", "c", "--csv", "x.csv", "--json", "x.json", "--html", "x.html")
    assert outcome.code == 0, outcome.err
    rows = rows_of("x.csv")
    assert {row["job"] for row in rows} == {"a", "b", "c/optim.lr-0.001", "c/optim.lr-0.0001"}
    assert {row["optim"] for row in rows} == {"Adam", "SGD"}
    assert set(rows[0]) >= {"optim.lr", "seed"} and "optim.momentum" not in rows[0]
    report = json.loads(Path("x.json").read_text())
    best = max(rows, key=lambda row: float(row["val_accuracy"]))
    assert report["points"][0]["runs"] == [best["job"]] and best["job"] in Path("x.html").read_text()


def config(**values: str) -> dict[str, str]:
    return {"seed": "0", "data.split_seed": "0", "optim._target_": "torch.optim.Adam", **values}


def test_keys_that_make_no_other_experiment_do_not_part_runs() -> None:
    one = config(device="cpu", out="a", threads="1", precision="fp32")
    other = config(
        device="cuda", out="b", threads="2", precision="bf16", seed="1", **{"data.split_seed": "1"}
    )
    assert differing([one, other]) == ["precision"]
    assert immaterial_differences([one, other]) == {"threads": ["1", "2"]}


def test_another_split_repeats_an_experiment() -> None:
    runs = [config(), config(**{"data.split_seed": "7"})]
    assert differing(runs) == []
    assert repeats_in(runs) == ["seed", "data.split_seed"]
    followers = [config(), config(seed="7", **{"data.split_seed": "7"})]
    assert repeats_in(followers) == ["seed"]


def test_two_classes_of_one_name_stay_two() -> None:
    named = with_classes_named([config(**{"model._target_": name}) for name in ("one.Net", "two.Net")])
    assert [c["model"] for c in named] == ["one.Net", "two.Net"] and named[0]["optim"] == "Adam"
    assert differing(named) == ["model"]


@contextmanager
def patched_width(columns: int) -> Iterator[None]:
    """A screen of so many columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RichConsole, "width", property(lambda console: columns, lambda console, width: None))
        yield


def job(folder: str, state: str, test: float = 0.5, **values: Any) -> None:
    """Leave the files of a run behind, without the run."""
    path = Path(folder)
    path.mkdir(parents=True)
    settings = {"seed": 0, "epochs": 2, "early_stopping": None, "optim": {"_target_": "Adam", "lr": 1.0}}
    (path / "config.yaml").write_text(json.dumps({**settings, **values}))
    record = {"state": state, "overrides": [], "reason": "" if state == "finished" else f"it {state}"}
    (path / "job.json").write_text(json.dumps(record))
    epoch = {"val_accuracy": test, "val_loss": 1.0}
    summary = {"best": epoch, "epochs": 2, "train_seconds": 1.0, "seed": 0, "test": {"accuracy": test}}
    if state == "finished":
        (path / "summary.json").write_text(json.dumps(summary))


def test_what_failed_is_named_with_its_state(torchless: Command) -> None:
    for name, state in {"a": "finished", "b": "failed", "c": "running", "d": "pruned"}.items():
        job(f"s/{name}", state)
    job("s/never", "failed")
    Path("s/never/config.yaml").unlink()  # which failed before it had a configuration
    Path("s/sweep.yaml").touch()
    outcome = torchless("compare", "s", "--json", "x.json", "--csv", "x.csv")
    assert "2 jobs of 5 failed: s/b, s/never" in outcome.err
    assert "1 job of 5 not finished: s/c" in outcome.err
    unfinished = json.loads(Path("x.json").read_text())["unfinished"]
    assert {"run": "s/b", "state": "failed", "reason": "it failed"} in unfinished and len(unfinished) == 4
    assert {row["job"]: row["state"] for row in rows_of("x.csv")}["s/b"] == "failed"


def test_only_the_test_figures_of_the_winner_are_told(torchless: Command) -> None:
    job("a", "finished", 0.75, optim="x")
    job("b", "finished", 0.25, optim="y")
    outcome = torchless("compare", "a", "b", "--json", "x.json")
    assert "test accuracy of the best: 75.00%" in outcome.out
    points = json.loads(Path("x.json").read_text())["points"]
    assert [point.get("test_accuracy") for point in points] == [[0.75], None]


def test_each_data_set_has_a_ranking(torchless: Command) -> None:
    def source(name: str) -> dict[str, Any]:
        return {"source": {"_target_": f"cnntrain.data.sources.{name}"}}

    job("digits/a", "finished", 0.75, optim="x", data=source("MNISTMini"))
    job("digits/b", "finished", 0.25, optim="y", data=source("MNISTMini"))
    job("made/up", "finished", 0.95, optim="x", data=source("Fake"))
    outcome = torchless("compare", "made/up", "digits/a", "digits/b", "--json", "x.json", "--html", "x.html")
    assert "Results on different data sets can't be compared" in outcome.out
    assert "Ranking by val_accuracy on MNISTMini, runs in digits" in outcome.out
    assert "test accuracy of the best on Fake: 95.00%" in outcome.out
    assert "test accuracy of the best on MNISTMini: 75.00%" in outcome.out
    found = json.loads(Path("x.json").read_text())["points"]
    assert [(p["data"], p["rank"], p["runs"]) for p in found] == [
        ("Fake", 1, ["made/up"]),
        ("MNISTMini", 1, ["digits/a"]),
        ("MNISTMini", 2, ["digits/b"]),
    ]


def test_two_runs_of_one_configuration_are_two_rows(torchless: Command) -> None:
    job("outputs/train/a", "finished", 0.75)
    job("outputs/train/b", "finished", 0.25)
    job("elsewhere", "finished", 0.5)
    outcome = torchless("compare", "outputs/train", "elsewhere")
    rows = [line for line in outcome.out.splitlines() if re.match(r" +[123] ", line)]
    assert [row.split()[1] for row in rows] == ["outputs/train/a", "elsewhere", "outputs/train/b"]
    assert [row.split()[2] for row in rows] == ["75.00%", "50.00%", "25.00%"]
    assert "test accuracy of the best: 75.00%" in outcome.out and "eval outputs/train/a" in outcome.out


def test_jobs_that_have_not_started_are_counted_and_the_sweep_is_named(torchless: Command) -> None:
    job("s/a", "finished")
    plan = {"format": 1, "jobs": {"a": [], "b": [], "c": []}, "varied": [], "monitor": "val_accuracy"}
    Path("s/sweep.yaml").write_text(json.dumps({**plan, "config_dir": None}))
    outcome = torchless("compare", "s")
    assert "2 jobs of 3 not started" in outcome.err
    assert "to run the missing jobs: cnntrain resume s" in outcome.out


@pytest.mark.parametrize(
    ("p", "shown"), [(0.0497, "0.0497"), (0.0503, "0.05"), (0.36, "0.36"), (0.001, "0.001")]
)
def test_p_is_shown_on_its_side_of_the_level(p: float, shown: str) -> None:
    point = Point({}, [], None, 1, p=p)
    assert significance(point) == shown


@pytest.mark.parametrize(
    "damage", [{"test": None}, {"seed": [1]}, {"best": {"val_accuracy": "x", "val_loss": 1}}]
)
def test_a_summary_that_is_none_is_told(torchless: Command, damage: dict[str, Any]) -> None:
    for name in ("a", "b"):
        job(name, "finished")
    summary = json.loads(Path("a/summary.json").read_text())
    Path("a/summary.json").write_text(json.dumps({**summary, **damage}))
    is_told(torchless("compare", "a", "b"), "a/summary.json can't be read")


def test_a_run_of_another_task_is_told(torchless: Command) -> None:
    for name in ("a", "b"):
        job(name, "finished")
    config = json.loads(Path("b/config.yaml").read_text())
    other = {"_target_": "cnntrain.tasks.Segmentation"}
    Path("b/config.yaml").write_text(json.dumps({**config, "task": other}))
    told = "runs of different tasks can't be compared: a learns Classification and b learns Segmentation"
    is_told(torchless("compare", "a", "b"), told)


def test_two_image_folders_are_two_data_sets(torchless: Command) -> None:
    folder = {"_target_": "cnntrain.data.sources.Folder", "test_fraction": 0.15}
    for name, fraction in {"cats": 0.15, "dogs": 0.15, "more": 0.3}.items():
        source = {**folder, "test_fraction": fraction}
        root = "/images/cats" if name == "more" else f"/images/{name}"
        job(name, "finished", data={"source": source, "root": root})
    assert "Ranking by val_accuracy on /images/dogs" in torchless("compare", "cats", "dogs").out
    outcome = torchless("compare", "cats", "more")  # one folder, split in two ways
    assert "can't be compared" not in outcome.out and "data.source.test_fraction" in outcome.out


def test_splits_repeat_an_experiment_and_their_first_model_is_offered(torchless: Command) -> None:
    for split, accuracy in enumerate([0.5, 0.9]):
        job(f"s/{split}", "finished", accuracy, data={"split_seed": split})
    outcome = torchless("compare", "s/0", "s/1", "--csv", "x.csv")
    assert "70.00%" in outcome.out and "best: cnntrain eval s/0" in outcome.out
    assert [row["data.split_seed"] for row in rows_of("x.csv")] == ["0", "1"]


@pytest.mark.parametrize("columns", [80, 120])
def test_runs_that_differ_in_ten_keys_are_one_line_each(torchless: Command, columns: int) -> None:
    keys = {f"key_{number}": "value" * 4 for number in range(10)}
    for name in ("outputs/train/2026-01-31_12-00-00_mobilenet_v3_large-rmsprop", "outputs/train/b"):
        job(name, "finished", 0.5, **{key: value + name[-1] for key, value in keys.items()})
    with patched_width(columns):
        lines = torchless("compare", *map(str, Path("outputs/train").iterdir())).out.splitlines()
    assert max(map(len, lines)) <= columns
    (row,) = (line for line in lines if "mobilenet" in line and "50.00%" in line)
    assert row.split()[0] in "12"
    assert sum("key_" in line for line in lines) == 10


def test_what_is_not_significant_is_told_with_what_to_do(cnntrain: Command) -> None:
    for optim, accuracies in {"x": [0.8, 0.9], "y": [0.7, 0.91]}.items():
        for seed, accuracy in enumerate(accuracies):
            job(f"{optim}{seed}", "finished", accuracy, optim=optim, seed=seed)
            summary = json.loads(Path(f"{optim}{seed}/summary.json").read_text())
            Path(f"{optim}{seed}/summary.json").write_text(json.dumps({**summary, "seed": seed}))
    outcome = cnntrain("compare", "x0", "x1", "y0", "y1")
    assert "not significantly different from the best; more repeats (seeds=N)" in outcome.out
    assert "% to 100.00%" in outcome.out  # no interval of an accuracy goes beyond


def test_a_run_that_is_made_longer_is_not_finished(torchless: Command) -> None:
    job("a", "finished")
    job("b", "finished", epochs="9")
    assert "1 job of 2 not finished: b" in torchless("compare", "a", "b").err


def test_a_checkpoint_means_its_run(torchless: Command) -> None:
    job("a", "finished", optim="x")
    job("b", "finished", optim="y")
    Path("a/checkpoints").mkdir()
    Path("a/checkpoints/best.pt").touch()
    assert torchless("compare", "a/checkpoints/best.pt", "b").code == 0


def test_wrong_names_are_told_with_the_nearest(torchless: Command) -> None:
    job("runs/first", "finished")
    job("outputs/sweeps/2026/one", "finished")
    Path("outputs/sweeps/2026/sweep.yaml").touch()
    is_told(torchless("compare", "runs/frist"), "there is no run runs/frist; the nearest: runs/first")
    is_told(torchless("compare", "2062"), "the nearest: outputs/sweeps/2026")
    Path("file").touch()
    is_told(torchless("compare", "file", "runs/first"), "file is not a run folder")
    is_told(torchless("compare", "runs/first", "outputs/sweeps/2026/one", "--csv", "runs"), "runs can't")


def test_the_shell_is_offered_runs_and_monitor_but_no_run_to_write_to(torchless: Command) -> None:
    job("outputs/train/one", "finished")
    offered = torchless("_complete", "compare", "").out.split()
    assert offered == ["last", "outputs/train/one", "monitor=", "trust="]
    assert torchless("_complete", "compare", "x", "monitor=val_l").out == "monitor=val_loss\n"
    assert torchless("_complete", "compare", "x", "--csv", "").out == ""


def test_a_run_that_is_not_finished_is_named(cnntrain: Command) -> None:
    cnntrain("train", *FIXED, "out=a")
    cnntrain("train", *FIXED, "optim.lr=1e-2", "out=b")
    Path("b/summary.json").unlink()
    assert "1 job of 2 not finished" in cnntrain("compare", "a", "b").err


def test_wrong_runs_are_told(cnntrain: Command) -> None:
    cnntrain("train", *FIXED, "name=mine")
    is_told(cnntrain("compare"), "compare needs runs")
    is_told(cnntrain("compare", "last"), "compare needs at least two runs")
    is_told(cnntrain("compare", "last", "nowhere"), "there is no run nowhere")
    is_told(cnntrain("compare", "last", "."), "is not a run folder")
    is_told(cnntrain("compare", "last", "last", "monitor=test"), "monitor takes val_accuracy or val_loss")
    is_told(cnntrain("compare", "last", "--cvs", "x"), "did you mean --csv?")
