"""Runs of recurrent networks and Transformers are resumed, exported and fine-tuned as those of a CNN are."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command
from killed_runs import check_killed, weights
from PIL import Image

from cnntrain.data.sources.builtin import MNISTMini
from cnntrain.inference.model import load

PLAIN = ("limit=100", "batch_size=20", "epochs=2", "precision=fp32", "threads=1", "report=false")
SMALL = {
    "rnn": ("model=rnn", "model.width=8"),
    "lstm": ("model=lstm", "model.width=8", "model.depth=2", "model.dropout=0.3", "model.bidirectional=true"),
    "gru": ("model=gru", "model.width=8", "model.read=patches", "model.pooling=mean", "model.dropout=0.3"),
    "transformer": ("model=transformer", "model.width=8", "model.heads=2", "model.dropout=0.3"),
    "vit": ("model=vit", "model.width=8", "model.heads=2", "model.depth=1", "model.dropout=0.3"),
}


@pytest.mark.parametrize(("name", "workers"), [("lstm", 0), ("vit", 2)])
def test_a_run_that_is_killed_within_an_epoch_ends_with_the_same_bits(
    cnntrain: Command, name: str, workers: int
) -> None:
    run = (*SMALL[name], *PLAIN, "augment=digits", f"workers={workers}")
    check_killed(cnntrain, *run)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_what_is_exported_gives_the_same_probabilities(cnntrain: Command, name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    assert cnntrain("train", *SMALL[name], *PLAIN, "epochs=1", "doctor=false", "out=run").code == 0
    outcome = cnntrain("export", "run", "formats=[onnx,pt2,safetensors]")
    assert outcome.code == 0, outcome.err
    images = MNISTMini(train=False).images
    expected = load("run", ["precision=fp32"]).predict(images).numpy()
    session = onnxruntime.InferenceSession("run/export/model.onnx")
    program = torch.export.load("run/export/model.pt2").module()
    for begin, end in itertools.pairwise((0, 1, 4, 100)):  # batches of 1, 3 and 96
        part = images[begin:end]
        for found in (session.run(None, {"images": part.numpy()})[0], program(part).detach().numpy()):
            assert np.abs(found - expected[begin:end]).max() < 1e-4


@pytest.mark.parametrize("name", SMALL)
def test_weights_are_taken_over_frozen_averaged_and_clipped(cnntrain: Command, name: str) -> None:
    run = (*SMALL[name], *PLAIN, "epochs=1", "doctor=false")
    assert cnntrain("train", *run, "out=first").code == 0
    words = ("init_from=first", "freeze=backbone", "ema=0.9", "grad_clip=1", "accumulate=2")
    outcome = cnntrain("train", *run, *words, "out=second")
    assert outcome.code == 0, outcome.err
    before, after = weights("first"), weights("second")
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"output.weight", "output.bias"}
    assert cnntrain("eval", "second").code == 0


def test_a_sweep_compares_ways_of_reading(cnntrain: Command) -> None:
    run = ("model=gru", "model.width=4", *PLAIN, "epochs=1", "doctor=false")
    outcome = cnntrain("train", "-m", *run, "model.read=rows,columns,patches", "out=sweep")
    assert outcome.code == 0, outcome.err
    assert all(read in outcome.out for read in ("rows", "columns", "patches"))
    assert len(list(Path("sweep").glob("*/summary.json"))) == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rnn", ["model.read=pixels", "data.image_size=8", "data.channels=3"]),
        ("lstm", ["model.read=columns", "precision=bf16"]),
        ("gru", ["model.read=patches", "model.patch=4", "precision=auto"]),
        ("transformer", ["model.read=pixels", "model.heads=2", "data.image_size=6"]),
    ],
)
def test_images_of_any_size_are_read_in_any_way_and_predicted(
    cnntrain: Command, name: str, words: list[str]
) -> None:
    run = ("limit=60", "epochs=1", "threads=1", "report=false", "doctor=false", "model.width=8")
    outcome = cnntrain("train", *run, f"model={name}", *words, "out=run")
    assert outcome.code == 0, outcome.err
    for number, size in enumerate(((28, 28), (40, 60))):
        Image.new("L", size, 128).save(f"{number}.png")
    outcome = cnntrain("predict", "run", "0.png", "1.png")
    assert outcome.code == 0 and "2 images" in outcome.out, outcome.err


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_images_with_more_or_fewer_rows_go_through_an_exported_recurrent_network(
    cnntrain: Command, name: str
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    run = (*PLAIN, "epochs=1", "doctor=false", "model.width=8")
    words = ("model.depth=2", "model.bidirectional=true") if name == "lstm" else ()
    assert cnntrain("train", *run, f"model={name}", *words, "out=run").code == 0
    outcome = cnntrain("export", "run", "formats=[onnx]")
    assert outcome.code == 0, outcome.err
    assert (
        "`model.onnx` takes any height, since each row is a step" in Path("run/export/README.md").read_text()
    )
    session = onnxruntime.InferenceSession("run/export/model.onnx")
    network = load("run", ["precision=fp32"]).model
    for count, rows in ((1, 28), (5, 28), (2, 9), (3, 40)):
        images = torch.randint(0, 256, (count, 1, rows, 28), dtype=torch.uint8)
        with torch.no_grad():
            expected = network((images / 255 - 0.1307) / 0.3081).softmax(dim=1).numpy()
        found = session.run(None, {"images": images.numpy()})[0]
        assert found.shape == (count, 10) and np.abs(found - expected).max() < 1e-4
