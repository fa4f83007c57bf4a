"""Trained models of sequences on files, from Python, and exported with a dynamic length."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, is_told

from cnntrain.errors import UserError
from cnntrain.inference.model import load

RANDOM = np.random.default_rng(0)


def write_series() -> None:
    """Write a folder of series that rise or fall, of 4 to 20 steps."""
    for label, sign in (("up", 1), ("down", -1)):
        for number in range(20):
            steps = sign * np.arange(4 + number % 17) + RANDOM.normal(size=4 + number % 17)
            file = Path(f"d/{label}/{number}.csv")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(f"{a:.4f},{b:.4f}\n" for a, b in zip(steps, steps**2, strict=True)))


def write_texts() -> None:
    """Write a folder of questions and of answers."""
    for label, text in (("question", "who is there ?"), ("answer", "it is me .")):
        for number in range(12):
            file = Path(f"t/{label}/{number}.txt")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(" ".join([text] * (1 + number % 4)))


SERIES = ("data=series_folder", "data.root=d")
TEXTS = ("data=text_folder", "data.root=t")


def train(cnntrain: Command, *typed: str) -> None:
    """Train a small model into the folder ``run``."""
    small = ("model.width=16", "epochs=8", "batch_size=8", "report=false", "doctor=false", "out=run")
    done = cnntrain("train", *small, *typed)
    assert done.code == 0, done.err


def test_files_are_predicted_and_bad_ones_are_named(cnntrain: Command) -> None:
    write_series()
    train(cnntrain, *SERIES, "model=lstm", "optim.lr=0.01")
    Path("new").mkdir()
    Path("new/long.csv").write_text("".join(f"{step},{step**2}\n" for step in range(100)))
    Path("new/three.csv").write_text("1,2,3\n")
    Path("new/notes.md").write_text("no series")
    done = cnntrain("predict", "run", "new", "--json", "-")
    found = json.loads(done.out)
    assert [entry["file"] for entry in found["predictions"]] == ["new/long.csv"]
    assert found["predictions"][0]["classes"][0]["class"] == "up"
    assert found["failed"] == [{"file": "new/three.csv", "reason": "has 3 features, and the model takes 2"}]
    assert done.code == 1
    is_told(cnntrain("predict", "run", "new/long.csv", "invert=true"), "invert=true is for images")


def test_texts_are_predicted_by_the_vocabulary_of_training(cnntrain: Command) -> None:
    write_texts()
    train(cnntrain, *TEXTS, "model=transformer", "optim.lr=0.01")
    Path("a.txt").write_text("WHO is new here?")
    Path("b.txt").write_bytes(b"caf\xe9")
    done = cnntrain("predict", "run", "a.txt", "b.txt")
    assert "question" in done.out
    assert "b.txt: is not UTF-8: byte 3 is 0xe9" in done.err


def test_predict_takes_series_and_texts_from_python(cnntrain: Command) -> None:
    write_series()
    train(cnntrain, *SERIES, "model=gru")
    trained = load("run")
    some = [RANDOM.normal(size=(length, 2)) for length in (3, 9)]
    together, alone = trained.predict(some), torch.cat([trained.predict([one]) for one in some])
    assert together.shape == (2, 2)
    assert torch.allclose(together, alone, atol=1e-5)
    with pytest.raises(UserError, match="sequence 0 has 3 features, and the model takes 2"):
        trained.predict([np.ones((4, 3))])
    with pytest.raises(UserError, match="sequence 1: step 1, feature 2 is nan"):
        trained.predict([np.ones((4, 2)), np.array([[1, np.nan]])])


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        ("rnn", "pt2"),
        pytest.param("lstm model.bidirectional=true model.depth=2", "onnx", marks=pytest.mark.slow),
        pytest.param("rnn", "onnx", marks=pytest.mark.slow),
        pytest.param("gru model.bidirectional=true", "pt2", marks=pytest.mark.slow),
        pytest.param("transformer", "onnx,pt2", marks=pytest.mark.slow),
    ],
)
def test_an_exported_model_takes_any_length(cnntrain: Command, model: str, kinds: str) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    write_series()
    train(cnntrain, *SERIES, *f"model={model}".split(), "model.width=8", "epochs=1")
    done = cnntrain("export", "run", f"formats=[{kinds}]")
    assert done.code == 0, done.err
    trained = load("run")
    programs = [opened(kind) for kind in kinds.split(",")]
    for steps in (3, 11, 20):
        series = RANDOM.normal(size=(4, steps, 2)).astype(np.float32)
        lengths = np.array([1, 3, 2, 3])
        own = trained.predict([one[:length] for one, length in zip(series, lengths, strict=True)])
        for program in programs:
            assert np.abs(program(series, lengths) - own.numpy()).max() < 1e-4
    assert "`lengths` says where that is" in Path("run/export/README.md").read_text()


def opened(kind: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return an exported model as a function of series and their lengths."""
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession("run/export/model.onnx")
        return lambda series, lengths: session.run(None, {"series": series, "lengths": lengths})[0]
    program = torch.export.load("run/export/model.pt2").module()
    return lambda *inputs: program(*map(torch.from_numpy, inputs)).detach().numpy()


def test_what_is_for_images_alone_is_refused(cnntrain: Command) -> None:
    write_series()
    write_texts()
    is_told(cnntrain("data", "d"), "d holds series, and data audits images", "data=series_folder data.root=d")
    is_told(cnntrain("data", "t"), "t holds text, and data audits images", "data=text_folder data.root=t")
    Path("t.csv").write_text("text,label\ngood,yes\n")
    is_told(cnntrain("data", "t.csv"), "t.csv is a table, and data audits images", "data.root=t.csv")
    train(cnntrain, *SERIES, "model=rnn", "epochs=1")
    is_told(cnntrain("eval", "run", "tta=[flip]"), "tta=[flip] is for images, and these data have series")
