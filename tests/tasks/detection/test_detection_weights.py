"""Detectors that start from the weights of other runs, and parts of them that stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from conftest import Command
from torch import Tensor

from cnntrain.models import FasterRCNN, Yolo
from cnntrain.optim.param_names import matching
from cnntrain.runs import checkpoint

DATA = ("data=mnist_canvas", "data.canvases=20", "data.test_canvases=2", "data.image_size=32")
TINY = (*DATA, "data.digits=[1,2]", "data.digit_size=[12,20]", "batch_size=8", "precision=fp32", "threads=1")
QUICK = (*TINY, "model.width=4", "epochs=1", "report=false", "doctor=false")


def weights(run: str) -> dict[str, Tensor]:
    found: dict[str, Tensor] = torch.load(Path(run, "checkpoints/last.pt"), weights_only=True)["model"]
    return found


def test_a_detector_takes_the_backbone_of_another_and_keeps_it(cnntrain: Command) -> None:
    assert cnntrain("train", *QUICK, "model=yolo", "out=first", "-q").code == 0
    done = cnntrain(
        "train", *QUICK, "model=faster_rcnn", "init_from=first", "freeze=backbone", "limit=8", "out=second"
    )
    assert done.code == 0, done.err
    assert "the encoder of first/checkpoints/best.pt" in done.out
    before, after = weights("first"), weights("second")
    backbone = [name for name in before if name.startswith("pyramid.backbone.")]
    assert backbone
    assert all(torch.equal(before[name], after[f"backbone.{name}"]) for name in backbone)


def test_a_detector_starts_from_one_of_other_classes(cnntrain: Command) -> None:
    assert cnntrain("train", *QUICK, "model=yolo", "out=first", "-q").code == 0
    state = checkpoint.load(Path("first/checkpoints/best.pt"))
    names = [f"other {name}" for name in state["class_names"]]
    checkpoint.write(checkpoint.serialize({**state, "class_names": names}), Path("other.pt"))
    done = cnntrain("train", *QUICK, "model=yolo", "init_from=other.pt", "optim.lr=1e-9", "out=second")
    assert done.code == 0, done.err
    assert "with a new head (pyramid.lateral, classes, boxes)" in done.out
    before, after = weights("first"), weights("second")
    grids = [name for name in before if name.startswith("classes.") and name.endswith(".2.weight")]
    assert len(grids) == 2  # each grid has its own layer of the classes
    assert not any(torch.allclose(before[name], after[name], atol=1e-4) for name in grids)
    name = "pyramid.backbone.stages.0.0.0.weight"
    assert torch.allclose(before[name], after[name], atol=1e-2)


def test_summary_follows_an_image_to_the_boxes_of_the_second_stage(cnntrain: Command) -> None:
    done = cnntrain("summary", *TINY, "model=faster_rcnn", "model.width=4")
    assert done.code == 0, done.err
    assert "box_predictor.cls_score" in done.out and "FasterRCNN: 293,545 parameters" in done.out


@pytest.mark.parametrize("kind", [Yolo, FasterRCNN])
def test_the_backbone_of_a_detector_is_its_encoder(kind: type[Yolo | FasterRCNN]) -> None:
    model = kind(1, 4, width=4)
    backbone = matching(model, "backbone", 4, "freeze")
    assert backbone and all(f".{kind.encoder[0]}." in f".{name}" for name in backbone)
    names = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}
    assert matching(model, "head", 4, "freeze") == names - backbone
