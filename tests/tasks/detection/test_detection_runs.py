"""Detection from the command line: training, evaluation, resumption, the report, and what is refused."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, is_told
from killed_runs import check_killed
from PIL import Image

from cnntrain.cli import main

DATA = ("data=mnist_canvas", "data.canvases=40", "data.test_canvases=12", "data.image_size=32")
TINY = (*DATA, "data.digits=[0,1]", "data.digit_size=[20,28]", "batch_size=8", "precision=fp32")
RUN = (*TINY, "model=yolo", "model.width=4", "epochs=2")
TWO_STAGE = (*TINY, "model=faster_rcnn", "model.width=4")
FIXED = ("threads=1", "channels_last=false", "report=false", "doctor=false")
TIMES = ("seconds", "images_per_second")


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def content(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


@pytest.fixture(scope="module")
def learnt_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run that has learnt to find some digits, with its report and its export."""
    folder = tmp_path_factory.mktemp("learnt") / "r"
    size = ("data.canvases=300", "data.test_canvases=40", "data.image_size=32")
    run = (DATA[0], *size, *TINY[4:], "model=yolo", "model.width=8", "epochs=3", "optim.lr=0.01")
    assert main.run(["train", *run, "-q", f"out={folder}"]) == 0
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main.run(["export", str(folder), "formats=[onnx,pt2]"]) == 0
    assert printed.getvalue().count("on 40 test images") == 2  # on which each is compared with torch
    return folder


@pytest.fixture
def learnt(learnt_run: Path, in_empty_folder: Path) -> None:
    shutil.copytree(learnt_run, "r")


def test_a_run_trains_reports_and_evaluates(cnntrain: Command, learnt: None) -> None:
    told = Path("r/train.log").read_text()
    assert "test AP" in told and "AP50" in told
    history = rows("r/metrics.csv")
    assert {"train_loss", "val_loss", "val_ap", "val_ap50"} <= history[0].keys()
    assert "train_ap" not in history[0]
    page = Path("r/report.html").read_text()
    assert all(f'id="{name}"' in page for name in ("precision", "classes", "errors", "confusion", "images"))
    assert len(rows("r/images.csv")) == 40

    evaluated = cnntrain("eval", "r", "eval_batch_size=5")
    assert evaluated.code == 0, evaluated.err
    found, test = content("r/eval_test.json"), content("r/summary.json")["test"]
    assert found["ap"] == pytest.approx(test["ap"]) and len(found["per_class"]) == 10


def test_faster_rcnn_trains_and_resumes_to_the_same_bits(cnntrain: Command) -> None:
    run = (*TINY, *FIXED, "limit=16", "batch_size=4", "model=faster_rcnn", "model.width=4")
    check_killed(cnntrain, *run, "epochs=2")
    history = rows("whole/metrics.csv")
    assert float(history[1]["train_loss"]) < float(history[0]["train_loss"]) and history[0]["val_loss"]


def test_an_exported_network_finds_the_same_boxes(learnt: None) -> None:
    """The export has compared them with torch's, and would have failed where they differ."""
    told = Path("r/export/README.md").read_text()
    assert Path("r/export/model.onnx").exists() and Path("r/export/model.pt2").exists()
    assert "uint8 (1, 1, 32, 32)" in told and "non-maximum suppression" in told
    Image.new("L", (90, 60)).save("blank.png")
    script = [sys.executable, "r/export/predict.py", "blank.png", "missing.png"]
    found = subprocess.run(script, capture_output=True, text=True, check=False)
    assert found.returncode == 1 and "missing.png: No such file" in found.stderr, found.stderr


def test_what_torch_cannot_trace_is_one_line(cnntrain: Command) -> None:
    # No threshold is chosen: of a network that knows nothing, boxes of the same score would be compared.
    untrained = ("epochs=1", "limit=8", "optim.lr=1e-9", "data.val_fraction=0", *FIXED)
    assert cnntrain("train", *TWO_STAGE, *untrained, "out=r").code == 0
    is_told(cnntrain("export", "r"), "can't be exported to pt2", "formats=[onnx,safetensors]")
    done = cnntrain("export", "r", "formats=[onnx,safetensors]")
    assert done.code == 0 and "on 12 test images" in done.out, done.err


def test_a_network_learns_to_find_digits(cnntrain: Command, learnt: None) -> None:
    scores = [float(row["val_ap50"]) for row in rows("r/metrics.csv")]
    assert max(scores) > 0.1

    # Validation chooses the lowest score of boxes that are shown, and it stays with the weights.
    threshold = torch.load("r/checkpoints/best.pt", weights_only=True)["progress"]["chosen"]["threshold"]
    test = content("r/summary.json")["test"]
    assert test["threshold"] == threshold and 0 < test["f1"] < 1
    evaluated = cnntrain("eval", "r", "split=val")
    assert f"boxes with a score of at least {threshold:.2f}: precision" in evaluated.out
    assert content("r/eval_val.json")["threshold"] == threshold
    Path("r/report.html").unlink()
    assert cnntrain("report", "r").code == 0
    page = Path("r/report.html").read_text()
    assert f"Boxes with a score of at least {threshold:.2f} have precision {test['precision']:.2%}" in page
    assert "highest F1 on the validation images" in page
    assert f"(score above {threshold:g}," in Path("r/export/README.md").read_text()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_is_killed_within_an_epoch_ends_with_the_same_bits(
    cnntrain: Command, workers: int
) -> None:
    run = (*RUN, *FIXED, "augment=digits", f"workers={workers}")
    check_killed(cnntrain, *run)
    timeless = [
        [
            {name: value for name, value in row.items() if name not in TIMES}
            for row in rows(f"{run}/metrics.csv")
        ]
        for run in ("whole", "killed")
    ]
    assert timeless[0] == timeless[1] and len(timeless[0]) == 2


def test_a_detector_of_torchvision_is_chosen_by_name(cnntrain: Command) -> None:
    words = (*TINY, "model=torchvision_detector", "model.name=ssdlite320_mobilenet_v3_large", "--cfg", "job")
    told = cnntrain("train", *words)
    assert told.code == 0, told.err
    assert "ssdlite320_mobilenet_v3_large" in told.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*TINY, "data.targets=boxes", "model=unet"), ["UNet gives", "model=faster_rcnn give"]),
        (
            ("data=mnist_mini", "model=yolo"),
            ["Detection learns from boxes", "classes", "such as data=mnist_canvas"],
        ),
        ((*RUN, "criterion=dice"), ["Dice can't compare", "for boxes take criterion=detection"]),
        ((*RUN, "monitor=val_accuracy"), ["monitor=val_accuracy", "val_ap"]),
        ((*RUN, "augment.mixup=0.2"), ["augment.mixup=0.2", "boxes"]),
        ((*RUN, "model.strides=[8,32]"), ["strides=[8, 32]", "twice the one before"]),
        ((*RUN, "balance_classes=true"), ["balance_classes=true", "DetectionLoss"]),
    ],
    ids=["unet", "classes", "dice", "accuracy", "mixup", "strides", "balance"],
)
def test_what_does_not_fit_is_one_line(
    cnntrain: Command, arguments: tuple[str, ...], told: list[str]
) -> None:
    is_told(cnntrain("train", *arguments, "out=r"), *told)
