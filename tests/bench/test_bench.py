"""`cnntrain bench`: what it compares, what it says, and what it writes. No timing is asserted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, is_told

QUICK = ("bench", "model=mlp", "repeats=2", "seconds=0.05", "precision=bf16", "threads=1")


@pytest.mark.slow
def test_it_prints_and_writes_every_figure(cnntrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnntrain.runtime.hardware.is_loaded", lambda: True)
    outcome = cnntrain(*QUICK, "batch_size=64", "data=fake", "data.source.size=300", "augment.mixup=0.2")
    assert outcome.code == 0, outcome.err
    (path,) = Path("outputs/bench").glob("*.json")
    assert str(path) in outcome.out
    report: dict[str, Any] = json.loads(path.read_text())
    names = [row["name"] for row in report["rates"]]
    assert names == ["floor", "cnntrain, bf16", "cnntrain, fp32", "textbook loop"]
    for row in report["rates"]:
        assert 0 < row["slowest"] <= row["images_per_second"] <= row["fastest"]
        assert f"{row['images_per_second']:,.0f}" in outcome.out
    assert report["rates"][0]["ratio_to_floor"] == 1.0
    assert sum(report["shares_of_a_step"].values()) == pytest.approx(1)
    memory = report["peak_memory_bytes"]
    assert memory["training"] > memory["importing torch alone"] > 10_000_000
    assert (report["repeats"], report["batch_size"]) == (2, 64)
    assert report["machine_busy"] and "other processes used the processor" in outcome.err
    assert "model=mlp" in report["overrides"] and "repeats=2" not in report["overrides"]


@pytest.mark.slow
def test_masks_are_learnt_by_every_contender(cnntrain: Command) -> None:
    canvases = (
        "data=mnist_canvas",
        "data.canvases=60",
        "data.test_canvases=10",
        "model=unet",
        "model.width=2",
    )
    quick = ("bench", "repeats=1", "seconds=0.02", "precision=fp32", "threads=1", "batch_size=8")
    outcome = cnntrain(*quick, *canvases, "model.depth=1", "json=b.json")
    assert outcome.code == 0, outcome.err
    rates = json.loads(Path("b.json").read_text())["rates"]
    assert [row["name"] for row in rates] == ["floor", "cnntrain, fp32", "textbook loop"]
    assert all(row["images_per_second"] > 0 for row in rates)


@pytest.mark.slow
def test_a_run_that_is_compiled_is_measured_compiled(cnntrain: Command) -> None:
    outcome = cnntrain(
        *QUICK, "precision=fp32", "data=fake", "data.source.size=300", "compile=true", "json=b.json"
    )
    assert outcome.code == 0, outcome.err
    told = {row["name"]: row["explanation"] for row in json.loads(Path("b.json").read_text())["rates"]}
    assert [name for name, words in told.items() if "compiled" in words] == ["cnntrain, fp32"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "told"),
    [
        (("model=yolo", "augment=digits"), "canvases composed"),
        (("model=faster_rcnn", "freeze=backbone"), "torchvision's reference: canvases composed"),
    ],
    ids=["yolo", "faster_rcnn"],
)
def test_boxes_are_learnt_by_every_contender(cnntrain: Command, model: tuple[str, ...], told: str) -> None:
    canvases = ("data=mnist_canvas", "data.canvases=60", "data.test_canvases=10")
    quick = ("bench", "repeats=1", "seconds=0.02", "precision=fp32", "threads=1", "batch_size=2")
    outcome = cnntrain(*quick, *canvases, *model, "model.width=4", "json=b.json")
    assert outcome.code == 0, outcome.err
    rates = json.loads(Path("b.json").read_text())["rates"]
    assert [row["name"] for row in rates] == ["floor", "cnntrain, fp32", "textbook loop"]
    assert all(row["images_per_second"] > 0 for row in rates)
    assert told in rates[-1]["explanation"]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("repeats=0", "repeats=0 is not possible"),
        ("seconds=fast", "seconds takes a number above 0"),
        ("repeat=3", "unknown key repeat: did you mean repeats?"),
        ("optim.lrr=1", "did you mean optim.lr=1?"),
        ("repeats=1,2", "names several values"),
    ],
)
def test_wrong_input_is_told_before_torch_is_imported(torchless: Command, wrong: str, told: str) -> None:
    is_told(torchless("bench", wrong), told)


def test_data_that_are_streamed_cannot_be_compared(cnntrain: Command) -> None:
    is_told(cnntrain(*QUICK, "data.cache=off"), "bench needs the data in memory")
