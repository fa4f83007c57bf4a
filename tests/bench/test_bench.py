"""`cnntrain bench`: what it compares, what it says, and what it writes. No timing is asserted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, is_told

from cnntrain.bench.baselines import build_candidates, clipped
from cnntrain.config.composer import composed
from cnntrain.config.sections import BenchSettings
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.open import Data
from cnntrain.run.components import build_components
from cnntrain.runtime.console import Console

NO_MEMORY = {"training": 2, "importing torch alone": 1}  # which takes two processes
PLAIN = ("report=false", "doctor=false")  # for the run whose memory is measured
QUICK = ("bench", "model=mlp", "repeats=2", "seconds=0.05", "precision=bf16", "threads=1")


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train the run whose memory is measured here; one test below measures it in a process of its own."""

    def peak_of(code: str) -> int:
        exec(code, {})
        return 1

    monkeypatch.setattr("cnntrain.bench.bench.peak_of", peak_of)


@pytest.mark.slow
def test_it_prints_and_writes_every_figure(cnntrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnntrain.runtime.hardware.is_loaded", lambda: True)
    outcome = cnntrain(
        *QUICK, "batch_size=64", "data=fake", "data.source.size=300", "augment.mixup=0.2", *PLAIN
    )
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
@pytest.mark.usefixtures("in_this_process")
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
@pytest.mark.usefixtures("in_this_process")
def test_a_run_that_is_compiled_is_measured_compiled(cnntrain: Command) -> None:
    outcome = cnntrain(
        *QUICK, "precision=fp32", "data=fake", "data.source.size=300", "compile=true", "json=b.json"
    )
    assert outcome.code == 0, outcome.err
    told = {row["name"]: row["explanation"] for row in json.loads(Path("b.json").read_text())["rates"]}
    assert [name for name, words in told.items() if "compiled" in words] == ["cnntrain, fp32"]


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
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


def write_sequences(kind: str) -> None:
    """Write a folder ``d`` of two classes, of series or texts of unequal length."""
    for label, sign in (("a", 1), ("b", -1)):
        Path("d", label).mkdir(parents=True)
        for number in range(6):
            steps = [str(sign * step) for step in range(3 + number)]
            file = Path("d", label, str(number))
            file.with_suffix(".txt" if kind == "text" else ".csv").write_text("\n".join(["x", *steps]))


@pytest.mark.parametrize(
    ("kind", "told"),
    [("series", "sequences padded batch by batch"), ("text", "texts padded batch by batch")],
)
def test_sequences_are_learnt_by_every_contender(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch, kind: str, told: str
) -> None:
    write_sequences(kind)
    monkeypatch.setattr("cnntrain.bench.bench.peak_memory", lambda *_: NO_MEMORY)
    words = ("repeats=1", "seconds=0.01", "precision=fp32", "threads=1", "batch_size=4", "json=b.json")
    outcome = cnntrain("bench", f"data={kind}_folder", "data.root=d", "model=gru", "model.width=8", *words)
    assert outcome.code == 0, outcome.err
    assert f"{told.split()[0]}/s" in outcome.out and "images" not in outcome.out
    rates = json.loads(Path("b.json").read_text())["rates"]
    assert [row["name"] for row in rates] == ["floor", "cnntrain, fp32", "textbook loop"]
    assert all(row["images_per_second"] > 0 for row in rates)
    assert told in rates[-1]["explanation"]


def test_a_rate_counts_the_images_of_smaller_batches_as_what_they_are() -> None:
    config = composed(["model=mlp", "precision=fp32", "threads=1", "batch_size=64"], None).completed()
    built = build_components(config, None, torch.device("cpu"), Console(0))
    labels = torch.arange(10)
    images = InMemoryDataset(torch.zeros(10, 1, 28, 28, dtype=torch.uint8), labels, [*"0123456789"])
    data = Data(images, images, labels, labels[:0], "", [])
    settings = clipped(BenchSettings.from_config(config), built, data, Console(0))
    assert settings.engine.batch_size == 10
    for candidate in build_candidates(settings, built, data):
        candidate.train(3)
        assert candidate.learnt == 30


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
