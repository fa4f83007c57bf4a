"""The benchmark's command line, its arithmetic and its networks; none of it needs the other tools."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "scripts"
RUNS = [(0.99, 20.0), (0.9899, 10.0), (0.992, 30.0)]  # accuracy and seconds


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "bench_peers.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import bench_tables

    return bench_tables


def test_help() -> None:
    done = bench("--help")

    assert done.returncode == 0
    for word in ("--root DIR", "--to-99", "--seeds N", "--markdown", "cnntrain-fp32"):
        assert word in done.stdout
    assert "--candidate" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--root", "nowhere"], "train-images-idx3-ubyte is missing: --root takes"),
        (["--root", "nowhere", "--repeats", "0"], "0 is not a whole number from 1"),
        ([], "required: --root"),
    ],
)
def test_wrong_input_is_told_in_a_line(arguments: list[str], words: str) -> None:
    done = bench(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("bench_peers: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr


def test_ratios_are_taken_within_each_round(tables: Any) -> None:
    # The machine was half as fast in the second round; the last one was cut short before its floor.
    rounds = [
        {("mlp", "floor"): 1000.0, ("mlp", "cnntrain"): 900.0, ("cnn", "skorch"): 70.0},
        {("mlp", "floor"): 500.0, ("mlp", "cnntrain"): 400.0},
        {("mlp", "floor"): 1000.0, ("mlp", "cnntrain"): 850.0},
        {("mlp", "cnntrain"): 100.0},
    ]

    floor, ours, skorch = tables.summarise(rounds)

    assert (floor["tool"], floor["median"], floor["of_floor"]) == ("floor", 1000, 1)
    assert (ours["tool"], ours["median"], ours["of_floor"]) == ("cnntrain", 625, 0.85)
    assert (skorch["model"], skorch["median"], skorch["of_floor"]) == ("cnn", 70, None)
    assert tables.throughput_rows([ours, skorch])[1:] == [
        ("MLP, batch 32", "cnntrain, precision=auto", "625", "100–900", "0.85"),
        ("CNN, batch 64", "skorch", "70", "70–70", "–"),
    ]


def test_comparison_to_99_percent(tables: Any) -> None:
    example = {"run": tables.EXAMPLE, "epochs": 4, "accuracy": 0.9902, "seconds": 200.0}
    ours = [{"run": f"seed={i}", "epochs": 2, "accuracy": a, "seconds": s} for i, (a, s) in enumerate(RUNS)]

    comparison = tables.compare([example, *ours])

    assert comparison == {"runs": 3, "reached": 2, "median_seconds": 20, "ratio": 10, "is_least": False}
    assert tables.goal_line(comparison).endswith("the example takes 10.0 times as long")
    assert "at least 10.0" in tables.goal_line(tables.compare([{**example, "accuracy": 0.98}, *ours]))
    assert tables.compare([example])["ratio"] is None


def test_markdown(tables: Any, capsys: pytest.CaptureFixture[str]) -> None:
    tables.show([("tool", "images/s"), ("floor", "7")], ["two cores"], as_markdown=True)

    assert capsys.readouterr().out == "| tool | images/s |\n| --- | ---: |\n| floor | 7 |\n\ntwo cores\n"


def test_the_networks_are_those_of_cnntrain(tables: Any) -> None:
    import peers

    from cnntrain.models import CNN, LSTM, MLP

    shape = (1, 28, 28)
    ours = {"mlp": MLP(784, 128, 10), "cnn": CNN(shape, 10, [16, 32], head=[128])}
    ours["lstm"] = LSTM(shape, 10, 128)
    assert ours.keys() == tables.BATCH_SIZES.keys()
    for name, model in ours.items():
        shapes = [weight.shape for weight in peers.build(name).parameters()]
        assert shapes == [weight.shape for weight in model.parameters()]
        assert peers.build(name)(torch.zeros(2, *shape)).shape == (2, 10)
