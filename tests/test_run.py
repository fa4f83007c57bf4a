"""What a run leaves behind, and what the person sees of it."""

from __future__ import annotations

import copy
import csv
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
import torch
import yaml
from conftest import TINY, Command, is_told, run_folders

from cnntrain.cli import main
from cnntrain.config.composer import Composer
from cnntrain.run import train


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["cnntrain", "train", *TINY, "epochs=2", "-q", "out=run"])
        with pytest.raises(SystemExit, match="0"):
            main.main()
    return folder / "run"


def summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text())  # type: ignore[no-any-return]


def test_what_is_found_out_goes_into_the_run_folder_and_not_into_the_configuration(tmp_path: Path) -> None:
    config = Composer(None).settings([*TINY, "batch_size=500", "threads=1", "verbose=0"])
    typed = copy.deepcopy(config)
    train(config, tmp_path)
    assert config == typed and config["precision"] == "auto"
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert written["batch_size"] <= 200 and written["precision"] in ("fp32", "bf16")
    assert list(written) == list(typed)


def test_the_run_folder_holds_everything(finished: Path) -> None:
    files = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    assert files - {".lock"} == {
        "config.yaml",
        "metrics.csv",
        "summary.json",
        "train.log",
        "checkpoints/last.pt",
        "checkpoints/previous.pt",
        "checkpoints/best.pt",
    }


def test_metrics_has_a_row_an_epoch(finished: Path) -> None:
    rows = list(csv.DictReader((finished / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert list(rows[0]) == [
        "epoch",
        "step",
        "lr",
        "train_loss",
        "train_accuracy",
        "val_loss",
        "val_accuracy",
        "seconds",
        "images_per_second",
    ]


def test_the_configuration_is_resolved(finished: Path) -> None:
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["data"]["split_seed"] == config["seed"] == 0
    assert config["model"] == {
        "_target_": "cnntrain.models.MLP",
        "hidden": [128],
        "activation": "ReLU",
        "dropout": 0.0,
    }


def test_the_summary_says_what_was_reached_and_how(finished: Path) -> None:
    told = summary(finished)
    assert told["parameters"] == 101_770
    assert told["test"]["examples"] == 1_000
    assert sum(map(sum, told["confusion_matrix"])) == 1_000
    assert len(told["per_class"]) == 10
    assert told["command"].startswith("cnntrain train limit=200")
    assert told["versions"]["torch"] == torch.__version__
    rows = list(csv.DictReader((finished / "metrics.csv").open()))
    assert told["best"]["val_accuracy"] == max(float(row["val_accuracy"]) for row in rows)


def test_a_checkpoint_is_tensors_and_plain_types_and_says_its_format(finished: Path) -> None:
    state = torch.load(finished / "checkpoints" / "best.pt", weights_only=True)
    assert state["format_version"] == 1
    assert state["input_shape"] == [1, 28, 28]
    assert state["class_names"] == [str(digit) for digit in range(10)]
    assert state["normalization"] == {"mean": [0.1307], "std": [0.3081]}


def test_a_checkpoint_alone_can_be_evaluated_elsewhere(cnntrain: Command, finished: Path) -> None:
    shutil.copy(finished / "checkpoints" / "best.pt", "model.pt")

    outcome = cnntrain("eval", "model.pt")

    assert outcome.code == 0, outcome.err
    assert f"test accuracy {summary(finished)['test']['accuracy']:.2%}" in outcome.out


def test_eval_measures_each_split(cnntrain: Command, finished: Path) -> None:
    for split, size in {"train": 200, "val": 500, "test": 1_000}.items():
        assert cnntrain("eval", str(finished), f"split={split}").code == 0
        report = json.loads((finished / f"eval_{split}.json").read_text())
        assert report["examples"] == size
    best = summary(finished)["best"]
    assert json.loads((finished / "eval_val.json").read_text())["accuracy"] == best["val_accuracy"]


@pytest.mark.parametrize("command", ["eval", "predict"])
def test_a_best_epoch_that_is_gone_is_told(cnntrain: Command, command: str) -> None:
    # Steps too short to change a weight: no later epoch is better than the first.
    still = ("limit=32", "epochs=2", "model=mlp", "optim=sgd", "optim.lr=1e-30", "report=false")
    assert cnntrain("train", *still, "out=run").code == 0
    typed = {"predict": ["../x.png"]}.get(command, [])
    PIL.Image.new("L", (28, 28)).save("../x.png")
    assert "warning" not in cnntrain(command, "run", *typed).err
    Path("run/checkpoints/best.pt").unlink()
    done = cnntrain(command, "run", *typed)
    assert done.code == 0, done.err
    assert "best.pt is gone. last.pt is used in its place. It is of epoch 2; the best was epoch 1" in done.err
    if command == "eval":
        assert "is gone" not in cnntrain("eval", "run/checkpoints/last.pt").err


def test_eval_says_that_data_have_other_classes(cnntrain: Command, finished: Path) -> None:
    told = "the model takes images of 1×28×28 in 10 classes, but the data have 1×28×28 in 47 classes"
    is_told(cnntrain("eval", str(finished), "data=emnist"), told)


def test_the_folder_of_the_checkpoints_is_the_run_too(cnntrain: Command, finished: Path) -> None:
    assert str(finished / "checkpoints" / "best.pt") in cnntrain("eval", str(finished / "checkpoints")).out
    assert cnntrain("train", *TINY, "out=checkpoints").code == 0
    assert "checkpoints/checkpoints/best.pt" in cnntrain("eval", "checkpoints").out


def test_last_is_the_newest_run_wherever_it_is(cnntrain: Command) -> None:
    cnntrain("train", *TINY)
    cnntrain("train", *TINY, "out=elsewhere/run", "seed=1")

    outcome = cnntrain("eval", "last")

    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("elsewhere/run/checkpoints/best.pt")


def test_a_second_run_has_a_folder_of_its_own(cnntrain: Command) -> None:
    for _ in range(3):
        assert cnntrain("train", *TINY).code == 0
    assert len(run_folders()) == 3


def test_name_names_the_folder(cnntrain: Command) -> None:
    cnntrain("train", *TINY, "name=first try")
    assert run_folders()[0].name.endswith("_first try")


def test_limit_accumulation_clipping_and_early_stopping_do_what_they_say(cnntrain: Command) -> None:
    outcome = cnntrain(
        *("train", *TINY, "epochs=30", "optim.lr=1e-9", "early_stopping=2"),
        *("accumulate=4", "grad_clip=1", "precision=bf16", "workers=1", "out=run"),
    )
    assert outcome.code == 0, outcome.err
    assert "200 train" in outcome.out and "bf16" in outcome.out
    assert "stopped early" in outcome.out
    assert summary(Path("run"))["epochs"] < 30


def test_without_validation_the_last_epoch_is_tested(cnntrain: Command) -> None:
    outcome = cnntrain("train", *TINY, "data.val_fraction=0", "epochs=2", "out=run")
    assert outcome.code == 0, outcome.err
    assert "the last epoch" in outcome.out
    assert summary(Path("run"))["best"] is None


def test_the_same_seed_gives_the_same_run_and_another_another(cnntrain: Command) -> None:
    results = []
    for number, seed in enumerate([3, 3, 4]):
        cnntrain("train", *TINY, "augment=digits", f"seed={seed}", f"out={number}")
        results.append(summary(Path(str(number)))["final"]["train_loss"])
    assert results[0] == results[1] != results[2]


def test_a_pipe_and_a_log_get_neither_colours_nor_bars(cnntrain: Command) -> None:
    outcome = cnntrain("train", *TINY, "out=run")
    log = Path("run/train.log").read_text()
    assert "\x1b" not in outcome.out + outcome.err + log
    assert "\r" not in outcome.out + outcome.err + log
    assert outcome.err == ""
    assert "test accuracy" in log


def test_quiet_prints_nothing(cnntrain: Command) -> None:
    outcome = cnntrain("train", *TINY, "-q")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")


def test_verbose_prints_the_configuration_and_the_classes(cnntrain: Command) -> None:
    outcome = cnntrain("train", *TINY, "verbose=2")
    assert "label_smoothing: 0.0" in outcome.out
    assert "precision" in outcome.out and "recall" in outcome.out


def test_a_reader_that_goes_away_does_not_end_the_run() -> None:
    command = [sys.executable, "-m", "cnntrain", "train", *TINY, "out=run"]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.stderr == ""
    assert (Path("run") / "summary.json").exists()


def test_a_loss_that_explodes_ends_the_run_with_advice(cnntrain: Command) -> None:
    outcome = cnntrain("train", *TINY, "out=other", "optim=sgd", "optim.lr=1e9", "schedule=constant")
    assert outcome.code == 1
    assert "became NaN or infinite at step" in outcome.err
    assert "learning rate 1e+09" in outcome.err
    assert "grad_clip=1" in outcome.err
    assert "Traceback" not in outcome.err


def test_nothing_reaches_for_the_network(cnntrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a socket was connected")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert cnntrain("train", *TINY).code == 0
    assert cnntrain("eval", "last").code == 0
    assert cnntrain("summary").code == 0


def test_a_class_of_ones_own_is_trained(cnntrain: Command) -> None:
    Path("my_nets.py").write_text(
        "from torch import nn\n\n\n"
        "class Wide(nn.Sequential):\n"
        "    def __init__(self, in_features: int, num_classes: int, width: int):\n"
        "        layers = nn.Linear(in_features, width), nn.Linear(width, num_classes)\n"
        "        super().__init__(nn.Flatten(), *layers)\n"
    )
    outcome = cnntrain(
        "train",
        "limit=200",
        "epochs=1",
        "model._target_=my_nets.Wide",
        "model.width=7",
        "report=false",
        "out=run",
    )
    assert outcome.code == 0, outcome.err
    assert summary(Path("run"))["parameters"] == 784 * 7 + 7 + 7 * 10 + 10
    assert cnntrain("eval", "run").code == 0
    assert cnntrain("eval", "run", "trust=[my_nets]").code == 0
    assert cnntrain("resume", "run", "trust=[my_nets]", "epochs=2").code == 0


def test_a_data_set_of_ones_own_is_one_yaml_file_and_one_class(cnntrain: Command) -> None:
    Path("my_data.py").write_text(
        "import numpy as np\nfrom PIL import Image\nfrom torch.utils.data import Dataset\n\n\n"
        "class Stripes(Dataset):\n"
        "    classes = ['across', 'down']\n\n"
        "    def __init__(self, train: bool, count: int):\n"
        "        self.count = count\n\n"
        "    def __len__(self):\n        return self.count\n\n"
        "    def __getitem__(self, index):\n"
        "        if index >= self.count:\n            raise IndexError\n"
        "        pixels = np.zeros((12, 12), np.uint8)\n"
        "        pixels[::3] = 255\n"
        "        return Image.fromarray(pixels if index % 2 else pixels.T.copy()), index % 2\n"
    )
    Path("conf/data").mkdir(parents=True)
    Path("conf/data/stripes.yaml").write_text(
        "source: {_target_: my_data.Stripes, count: 200}\nchannels: 1\nimage_size: 12\nnum_classes: 2\n"
        "mean: [0.33]\nstd: [0.47]\nval_fraction: 0.2\nsplit_seed: 0\n"
    )
    outcome = cnntrain("train", "data=stripes", "model=mlp", "epochs=3", "report=false", "out=run")
    assert outcome.code == 0, outcome.err
    assert summary(Path("run"))["test"]["accuracy"] == 1.0


def test_a_folder_that_holds_other_files_is_left_alone(cnntrain: Command) -> None:
    Path("images").mkdir()
    Path("images/cat.jpg").write_text("an image")
    is_told(cnntrain("train", *TINY, "out=images"), "out=images is not empty, it holds cat.jpg")
    assert [path.name for path in Path("images").iterdir()] == ["cat.jpg"]


def test_eval_measures_the_loss_that_training_has_measured(cnntrain: Command) -> None:
    assert cnntrain("train", *TINY, "balance_classes=true", "eval_batch_size=7", "out=run").code == 0
    assert cnntrain("eval", "run", "split=val", "eval_batch_size=256").code == 0
    measured = json.loads(Path("run/eval_val.json").read_text())["loss"]
    assert measured == pytest.approx(summary(Path("run"))["best"]["val_loss"], rel=1e-5)
