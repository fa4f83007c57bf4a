"""What detectors share with all other networks: folders, processes, loggers, averages, sweeps, comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import box_tree
import numpy as np
import pytest
from conftest import Command, is_told
from forks import ended, started
from killed_runs import check_killed

SMALL = (
    "model.width=4",
    "batch_size=8",
    "precision=fp32",
    "threads=1",
    "channels_last=false",
    "doctor=false",
)
DATA = ("data=mnist_canvas", "data.canvases=40", "data.test_canvases=11", "data.image_size=32")
RUN = (*DATA, "data.digits=[0,1]", "data.digit_size=[20,28]", *SMALL, "report=false")


def content(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_on_a_folder_that_is_killed_ends_with_the_same_bits(cnntrain: Command, workers: int) -> None:
    box_tree.coco(Path("data"), range(40))
    streams = ("data.cache=off",) if workers else ()  # workers have images to decode
    run = ("data=folder", "data.root=data", "model=yolo", *SMALL, *streams, "augment.flip=0.5")
    run += ("augment.shift=3", "epochs=2", "report=false", f"workers={workers}")
    check_killed(cnntrain, *run)
    assert content("whole/summary.json")["test"] == content("killed/summary.json")["test"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["yolo", "faster_rcnn"])
def test_two_processes_count_each_image_and_object_once(cnntrain: Command, model: str) -> None:
    run = (*RUN, f"model={model}", "epochs=1", "device=cpu", "out=two")
    for code, _, err in ended(started(2, "train", *run)):
        assert code == 0, err
    two = content("two/summary.json")
    assert two["test"]["examples"] == 11
    assert cnntrain("eval", "two", "eval_batch_size=4").code == 0
    one = content("two/eval_test.json")
    assert one["per_class"] == two["per_class"]
    assert all(one[name] == pytest.approx(value, abs=1e-6) for name, value in two["test"].items())


def test_averaged_weights_are_evaluated_and_kept(cnntrain: Command) -> None:
    assert cnntrain("train", *RUN, "model=yolo", "epochs=2", "ema=0.5", "out=r").code == 0
    assert cnntrain("eval", "r").code == 0
    kept = content("r/eval_test.json")
    assert kept["loss"] == pytest.approx(content("r/summary.json")["test"]["loss"])


def test_loggers_get_the_scores_and_images_with_their_boxes(cnntrain: Command) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    assert cnntrain("train", *RUN, "model=yolo", "epochs=1", "logger=tensorboard", "out=r").code == 0
    reader = events.EventAccumulator("r/tensorboard", size_guidance={"images": 0})
    reader.Reload()
    assert {"val/ap", "val/ap50", "test/ap"} <= set(reader.Tags()["scalars"])
    pixels = as_array(reader.Images("first images")[0].encoded_image_string)
    assert np.abs(pixels - pixels.mean(axis=2, keepdims=True)).max() > 20, "no box is in colour"


def as_array(encoded: bytes) -> np.ndarray:
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")).astype(int)


def test_detectors_are_swept_and_compared_by_their_average_precision(cnntrain: Command) -> None:
    done = cnntrain("train", "-m", *RUN, "model=yolo,faster_rcnn", "epochs=1", "limit=16", "out=s")
    assert done.code == 0, done.err
    assert "test AP of the best" in done.out
    done = cnntrain("compare", "s/model-yolo", "s/model-faster_rcnn")
    assert done.code == 0 and "Ranking by val_ap" in done.out, done.err


def test_what_detectors_have_no_use_for_is_one_line(cnntrain: Command) -> None:
    assert cnntrain("train", *RUN, "model=yolo", "epochs=1", "limit=8", "out=r").code == 0
    is_told(cnntrain("eval", "r", "tta=[flip]"), "tta=[flip] is not possible", "Detection")
    told = cnntrain("explain", "--as-script", "s.py", *RUN, "model=yolo")
    is_told(told, "--as-script is for classification only")
