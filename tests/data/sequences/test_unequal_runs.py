"""Runs on sequences of unequal length: the user's own data sets, folders and tables; resumed, evaluated."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told

OWN = '''
import numpy as np
from torch import nn
from torch.utils.data import Dataset


class Waves(Dataset):
    """Sines and cosines of unequal length."""

    classes = ["sine", "cosine"]

    def __init__(self, train):
        self.count, self.seed = (60, 0) if train else (20, 1)

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        random = np.random.default_rng((self.seed, index))
        steps = np.arange(random.integers(5, 30)) / 5
        wave = np.sin(steps) if index % 2 == 0 else np.cos(steps)
        return np.stack([wave, steps], 1) + 0.1 * random.normal(size=(len(steps), 2)), index % 2


class Mean(nn.Module):
    """The mean step, and a linear layer."""

    def __init__(self, input_shape, num_classes, inputs):
        super().__init__()
        assert inputs == "series"
        self.output = nn.Linear(input_shape[2] - 1, num_classes)

    def forward(self, x):
        is_there = 1 - x[:, 0, :, -1:]
        return self.output((x[:, 0, :, :-1] * is_there).sum(1) / is_there.sum(1))


class Words(Dataset):
    """Questions and answers."""

    def __init__(self, train):
        self.count = 40 if train else 10

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return ("who is there " if index % 2 else "it is me ") * (1 + index % 5), index % 2


class Broken(Waves):
    """A series with NaN."""

    def __getitem__(self, index):
        series, label = super().__getitem__(index)
        return series * (float("nan") if index == 7 else 1), label
'''
WAVES = ("data=series", "data.source._target_=own.Waves", "batch_size=8", "threads=1", "report=false")


@pytest.fixture(autouse=True)
def own(in_empty_folder: Path) -> None:
    """Write the user's module."""
    Path("own.py").write_text(OWN)


def weights(folder: str) -> dict[str, torch.Tensor]:
    """Return the weights at the end of a run."""
    state = torch.load(Path(folder) / "checkpoints" / "last.pt", weights_only=True)
    model: dict[str, torch.Tensor] = state["model"]
    return model


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_a_data_set_of_the_users_is_learnt(cnntrain: Command, model: str) -> None:
    done = cnntrain("train", *WAVES, f"model={model}", "epochs=6", "out=run", "optim.lr=0.01")
    assert done.code == 0, done.err
    assert "Waves: 54 train, 6 val, 20 test; up to 29 steps of 2 features, 2 classes" in done.out
    assert json.loads(Path("run/summary.json").read_text())["test"]["accuracy"] > 0.9
    again = cnntrain("eval", "run")
    assert again.code == 0, again.err


def test_a_network_of_the_users_gets_steps_and_padding(cnntrain: Command) -> None:
    done = cnntrain("train", *WAVES, "model=custom", "model._target_=own.Mean", "epochs=1", "out=run")
    assert done.code == 0, done.err
    assert cnntrain("eval", "run").code == 0


def test_a_run_that_is_interrupted_goes_on_to_the_same_bits(cnntrain: Command) -> None:
    shown = (*WAVES, "model=gru", "epochs=3", "augment.crop=0.5", "augment.jitter=0.1", "model.dropout=0.1")
    assert cnntrain("train", *shown, "out=whole").code == 0
    assert cnntrain("train", *shown, "out=parts", "epochs=2", "schedule=constant").code == 0
    assert cnntrain("train", *shown, "out=whole2", "schedule=constant").code == 0
    assert cnntrain("resume", "parts", "epochs=3").code == 0
    one, other = weights("whole2"), weights("parts")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert any(not torch.equal(one[name], value) for name, value in weights("whole").items())


def test_a_run_goes_on_in_the_middle_of_an_epoch(cnntrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnntrain.training import trainer

    whole = (*WAVES, "model=lstm", "epochs=2", "save_every_steps=3")
    assert cnntrain("train", *whole, "out=whole").code == 0
    before = trainer.Trainer.after_step

    def stop(self: trainer.Trainer) -> None:
        before(self)
        if self.progress.step == 10:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "after_step", stop)
        assert cnntrain("train", *whole, "out=parts").code != 0
    assert cnntrain("resume", "parts").code == 0
    one, other = weights("whole"), weights("parts")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_texts_of_the_users_are_learnt_and_the_vocabulary_is_in_the_checkpoint(cnntrain: Command) -> None:
    done = cnntrain(
        "train", "data=text", "data.source._target_=own.Words", "model=lstm", "epochs=4", "out=run"
    )
    assert done.code == 0, done.err
    state = torch.load("run/checkpoints/last.pt", weights_only=True)
    assert state["config"]["data"]["vocabulary"] == "who there me it is"
    assert state["model"]["reader.weight"].shape[0] == 6
    assert Path("run/report.html").exists()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("model=cnn",), "CNN takes images, and these data have series"),
        (("model=lstm", "model.read=patches"), "read=patches is for images"),
        (("model=lstm", "augment.flip=0.5"), "augment.flip=0.5 is for images, and these data have series"),
        (("model=lstm", "augment.mixup=0.5"), "augment.mixup=0.5 is for images"),
        (("model=lstm", "augment=photos"), "augment=photos: augment."),
        (("model=lstm", "data.resize=pad"), "data.resize=pad is for images"),
        (("model=lstm", "data.targets=masks"), "data.targets=masks is for images"),
        (("model=lstm", "data.mean=[1,2,3]"), "data.mean=[1,2,3] has 3 values for data.features=2"),
        (("model=lstm", "data.source._target_=own.Broken"), "Broken[7]: step 1, feature 1 is nan"),
        (("model=lstm", "data.features=3"), "data.features=3, but the data have 2"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    cnntrain: Command, typed: tuple[str, ...], told: str
) -> None:
    is_told(cnntrain("train", *WAVES, *typed), told)


def test_results_do_not_depend_on_the_batches_of_the_evaluation(cnntrain: Command) -> None:
    fixed = (*WAVES[:3], "model=gru", "epochs=1", "limit=30")
    for size in (1, 7):
        assert cnntrain("train", *fixed, f"eval_batch_size={size}", f"out=run{size}").code == 0
    one, other = (json.loads(Path(f"run{size}/summary.json").read_text())["test"] for size in (1, 7))
    assert one["accuracy"] == other["accuracy"] < 1
    assert one["loss"] == pytest.approx(other["loss"], abs=1e-6)
    mistakes = [Path(f"run{size}/mistakes.csv").read_text().splitlines() for size in (1, 7)]
    assert [row.split(",")[:3] for row in mistakes[0]] == [row.split(",")[:3] for row in mistakes[1]]


@pytest.mark.parametrize(
    ("data", "source", "word", "speed"),
    [("series", "Waves", "sequence", "seq/s"), ("text", "Words", "text", "text/s")],
)
def test_nothing_on_the_screen_calls_sequences_images(
    cnntrain: Command, data: str, source: str, word: str, speed: str
) -> None:
    words = (f"data={data}", f"data.source._target_=own.{source}", "model=rnn", "out=run")
    done = cnntrain("train", *words, "epochs=2", "workers=2", "batch_size=100", "limit=30")
    assert done.code == 0, done.err
    told = " ".join((done.out + done.err).split())
    assert speed in told and f"the 30 training {word}s" in told and f"the {word}s are in memory" in told
    assert f"few validation {word}s" in told and f"one {word} is" in told
    page = re.sub("<(style|script).*?</(style|script)>", "", Path("run/report.html").read_text(), flags=re.S)
    assert f"{word}s" in re.sub("<[^>]*>", "", page)
    names = [Path(f"some/{number}.{'csv' if data == 'series' else 'txt'}") for number in range(2)]
    Path("some").mkdir()
    for name in names:
        name.write_text("1,2\n3,4\n")
    predicted = cnntrain("predict", "run", "some")
    assert predicted.code == 0 and f"2 {word}s: " in predicted.out, predicted.err
    unheld = cnntrain("eval", "run", "split=val", "data.val_fraction=0")
    is_told(unheld, f"split=val holds no {word}s")
    shown = "".join((told, predicted.out, unheld.err, re.sub("<[^>]*>", "", page)))
    assert not re.findall(r".{0,60}\b(?:images?|img|pictures?|pixels?)\b.{0,40}", shown)


def test_a_model_of_images_takes_no_sequences(cnntrain: Command, run: Path) -> None:
    done = cnntrain("eval", str(run), "data=series", "data.source._target_=own.Waves")
    is_told(done, "the model takes images, and these data have series")


def test_a_run_of_texts_begins_with_weights_of_the_same_vocabulary_alone(
    cnntrain: Command, run: Path
) -> None:
    words = ("data=text", "data.source._target_=own.Words", "model=rnn", "epochs=1", "report=false")
    assert cnntrain("train", *words, "out=texts").code == 0
    assert cnntrain("train", *words, "init_from=texts", "out=more").code == 0
    told = "that run has another data.vocabulary, so that its numbers mean other words"
    is_told(cnntrain("train", *words, "init_from=texts", "data.vocabulary=it is me who there"), told)
    told = "that run was trained on images, and these data have series"
    is_told(cnntrain("train", *WAVES, "model=rnn", f"init_from={run}"), told)
