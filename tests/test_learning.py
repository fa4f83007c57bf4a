"""It learns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Command, full_mnist


def accuracy_of(folder: str) -> float:
    return json.loads((Path(folder) / "summary.json").read_text())["test"]["accuracy"]  # type: ignore[no-any-return]


OPTIMIZERS = ("sgd", "adam", "adamw", "rmsprop")


@pytest.mark.parametrize(
    ("model", "least", "optim"),
    [
        *(("mlp", 0.9, optim) for optim in OPTIMIZERS),
        *(pytest.param("cnn", 0.95, optim, marks=pytest.mark.slow) for optim in OPTIMIZERS),
    ],
)
def test_every_model_learns_with_every_optimizer_as_shipped(
    cnntrain: Command, model: str, least: float, optim: str
) -> None:
    outcome = cnntrain("train", f"model={model}", f"optim={optim}", "epochs=4", "report=false", "out=run")
    assert outcome.code == 0, outcome.err
    assert accuracy_of("run") > least


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine", "onecycle"])
def test_every_schedule_learns(cnntrain: Command, schedule: str) -> None:
    assert (
        cnntrain(
            "train",
            "model=mlp",
            f"schedule={schedule}",
            "schedule.warmup=1",
            "epochs=3",
            "report=false",
            "out=run",
        ).code
        == 0
    )
    assert accuracy_of("run") > 0.85


@pytest.mark.slow
def test_mnist99_keeps_its_word(cnntrain: Command) -> None:
    root = full_mnist()
    assert cnntrain("train", "experiment=mnist99", f"data.root={root}", "report=false", "out=run").code == 0
    assert accuracy_of("run") >= 0.99
