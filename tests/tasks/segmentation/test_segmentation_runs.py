"""Segmentation from the command line: training, evaluation, resumption, sweeps, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Command, is_told
from forks import ended, started
from killed_runs import check_killed, weights
from PIL import Image

DATA = ("data=mnist_canvas", "data.canvases=40", "data.test_canvases=12", "data.image_size=24")
DIGITS = ("data.digits=[1,1]", "data.digit_size=[20,24]")
TINY = (*DATA, *DIGITS, "model=unet", "model.width=4", "model.depth=2", "batch_size=8", "precision=fp32")
FIXED = ("threads=1", "channels_last=false")  # which is measured otherwise
RUN = (*TINY, *FIXED, "epochs=2", "report=false", "doctor=false")
SAME = ("epoch", "step", "train_loss", "train_miou", "val_loss", "val_miou", "val_dice")


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def content(path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


def test_a_run_trains_evaluates_and_resumes(cnntrain: Command) -> None:
    done = cnntrain("train", *TINY, "epochs=2", "report=false", "out=r")
    assert done.code == 0, done.err
    history = rows("r/metrics.csv")
    assert {"train_miou", "train_dice", "val_miou", "val_dice"} <= history[0].keys()
    best = max(float(row["val_miou"]) for row in history)
    summary = content("r/summary.json")
    assert summary["best"]["val_miou"] == pytest.approx(best, rel=1e-5)
    names = {"loss", "miou", "dice", "pixel_accuracy", "boundary_f1", "examples"}
    assert names <= summary["test"].keys()
    assert "test mIoU" in done.out and "95% interval" in done.out

    evaluated = cnntrain("eval", "r")
    assert evaluated.code == 0 and "boundary F1" in evaluated.out, evaluated.err
    report = content("r/eval_test.json")
    assert report["miou"] == pytest.approx(summary["test"]["miou"])
    assert len(report["per_class"]) == 11 and report["miou_interval"][0] <= report["miou"]

    assert cnntrain("resume", "r", "epochs=3").code == 0
    assert len(rows("r/metrics.csv")) == 3


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_that_is_killed_within_an_epoch_ends_with_the_same_bits(
    cnntrain: Command, workers: int
) -> None:
    run = (*RUN, "augment=digits", f"workers={workers}")
    check_killed(cnntrain, *run)
    timeless = [
        [{name: value for name, value in row.items() if name in SAME} for row in rows(f"{run}/metrics.csv")]
        for run in ("whole", "killed")
    ]
    assert timeless[0] == timeless[1] and len(timeless[0]) == 2


@pytest.mark.parametrize("criterion", ["dice", "ce_dice", "focal"])
def test_each_loss_trains(cnntrain: Command, criterion: str) -> None:
    done = cnntrain("train", *RUN, "epochs=4", "optim.lr=0.01", f"criterion={criterion}", "out=r")
    assert done.code == 0, done.err
    losses = [float(row["train_loss"]) for row in rows("r/metrics.csv")]
    assert losses[-1] < losses[0]


def test_accumulation_changes_nothing_but_the_memory(cnntrain: Command) -> None:
    for name, accumulate in (("whole", 1), ("parts", 4)):
        model = "model.batch_norm=false"  # which looks at the whole batch
        done = cnntrain(
            "train", *RUN, model, "balance_classes=true", f"accumulate={accumulate}", f"out={name}"
        )
        assert done.code == 0, done.err
    one, other = (float(rows(f"{name}/metrics.csv")[0]["train_loss"]) for name in ("whole", "parts"))
    assert one == pytest.approx(other, rel=1e-3)


def test_jobs_of_a_sweep_are_ranked_by_the_mean_iou(cnntrain: Command) -> None:
    done = cnntrain("train", "-m", *RUN, "optim.lr=1e-30,0.01", "out=s")
    assert done.code == 0, done.err
    ranked = cnntrain("compare", "s", "--csv", "t.csv")
    assert ranked.code == 0, ranked.err
    found = [float(row["val_miou"]) for row in rows("t.csv")]
    assert found == sorted(found, reverse=True) and len(found) == 2


def test_loggers_get_images_with_their_masks_over_them_and_the_confusion_of_pixels(cnntrain: Command) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = cnntrain("train", *RUN, "augment=digits", "epochs=1", "logger=tensorboard", "out=r")
    assert done.code == 0, done.err
    reader = EventAccumulator("r/tensorboard", size_guidance={"images": 0})
    reader.Reload()
    assert {"val/miou", "val/dice", "test/miou"} <= set(reader.Tags()["scalars"])
    first = reader.Images("first images")[0].encoded_image_string
    pixels = np.asarray(Image.open(io.BytesIO(first)).convert("RGB")).astype(int)
    assert np.abs(pixels - pixels.mean(axis=2, keepdims=True)).max() > 20, "no mask is in colour"
    assert reader.Images("confusion")


@pytest.mark.slow
def test_two_processes_count_each_image_and_pixel_once(cnntrain: Command) -> None:
    run = (*RUN, "epochs=1", "model.batch_norm=false", "data.test_canvases=11", "device=cpu")
    assert cnntrain("train", *run, "out=one").code == 0
    for code, _, err in ended(started(2, "train", *run, "out=two")):
        assert code == 0, err
    one, two = content("one/summary.json"), content("two/summary.json")
    assert two["test"]["examples"] == 11
    assert sum(map(sum, two["confusion_matrix"])) == 11 * 24 * 24
    assert two["test"]["miou"] == pytest.approx(one["test"]["miou"], abs=1e-3)


def test_averaged_weights_are_evaluated_and_kept(cnntrain: Command) -> None:
    assert cnntrain("train", *RUN, "ema=0.5", "out=r").code == 0
    assert cnntrain("eval", "r").code == 0
    kept = content("r/eval_test.json")["miou"]
    assert kept == pytest.approx(content("r/summary.json")["test"]["miou"])


def test_layers_are_frozen_by_name(cnntrain: Command) -> None:
    assert cnntrain("train", *RUN, "seed=1", "epochs=1", "optim.lr=1e-30", "out=start").code == 0
    done = cnntrain("train", *RUN, "init_from=start", "freeze=backbone", "optim.lr=0.1", "out=r")
    assert done.code == 0, done.err
    before, after = weights("start"), weights("r")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            (*DATA, *DIGITS, "model=mlp"),
            ["MLP gives (2, 11)", "one logit a class and pixel, as model=unet gives"],
        ),
        (
            ("data=mnist_mini", "model=unet"),
            [
                "UNet gives (2, 10, 28, 28)",
                "one logit a class; a network that labels pixels",
                "data=mnist_canvas",
            ],
        ),
        ((*TINY, "monitor=val_accuracy"), ["monitor=val_accuracy", "val_miou"]),
        ((*TINY, "criterion=dice", "balance_classes=true"), ["balance_classes=true", "Dice"]),
        (("data=mnist_mini", "criterion=dice"), ["Dice can't compare logits with class numbers"]),
        ((*TINY, "criterion.weight=[1,2]"), ["criterion.weight"]),
        ((*TINY, "augment.mixup=0.2"), ["augment.mixup=0.2", "masks"]),
        (
            ("data=mnist_mini", "model=torchvision", "model.name=fcn_resnet50"),
            ["segmentation network", "or data with masks, such as data=mnist_canvas"],
        ),
    ],
    ids=["mlp", "classes", "accuracy", "balanced dice", "dice of classes", "weights", "mixup", "fcn"],
)
def test_what_does_not_fit_is_one_line(
    cnntrain: Command, arguments: tuple[str, ...], told: list[str]
) -> None:
    is_told(cnntrain("train", *arguments, "out=r"), *told)


@pytest.mark.parametrize("monitor", ["val_accuracy", "accuracy"])
def test_no_score_of_another_task_is_proposed(cnntrain: Command, monitor: str) -> None:
    told = cnntrain("train", *TINY, f"monitor={monitor}").err
    assert "monitor takes val_miou, val_dice or val_loss" in told and "did you mean" not in told
