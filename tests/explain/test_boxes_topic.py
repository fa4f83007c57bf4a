"""``cnntrain explain boxes``: IoU, the assignment of cells, and non-maximum suppression, of one image."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from conftest import Command, is_told

from cnntrain.explain.topics.detection.boxes import suppressed
from cnntrain.tasks.detection.boxes import detections
from cnntrain.tasks.detection.metrics import NMS

DATA = ("data=mnist_canvas", "data.canvases=40", "data.test_canvases=12", "data.image_size=32")
PLAIN = ("precision=fp32", "threads=1", "channels_last=false")
TINY = (*DATA, "data.digits=[1,2]", "data.digit_size=[12,20]", "batch_size=8", *PLAIN)
MODEL = ("model=yolo", "model.width=4", "model.strides=[4,8]", "epochs=1")
PNG = b"\x89PNG\r\n"


def test_boxes_of_a_model_that_is_trained_now_and_of_a_run(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "boxes", *TINY, *MODEL, "out=now")
    assert outcome.code == 0, outcome.err
    assert "Its 80 cells give a box" in outcome.out  # 64 and 16
    learning = re.findall(r"^\d +([\d]+) cells? ", outcome.out, flags=re.MULTILINE)
    assert learning and all(1 <= int(number) <= 11 for number in learning)
    for name in ("iou.png", "assignment.png", "nms.png"):
        assert Path("now", name).read_bytes().startswith(PNG)

    assert cnntrain("train", *TINY, *MODEL, "report=false", "doctor=false", "out=run", "-q").code == 0
    outcome = cnntrain("explain", "boxes", "run=run", "out=of_run")
    assert outcome.code == 0 and "run looks at a test image of 1×32×32" in outcome.out


def test_suppression_step_by_step_leaves_what_the_detector_leaves() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = 40 * torch.rand(1, 60, 2, generator=generator)
    box = torch.cat([corner, corner + 10 + 10 * torch.rand(1, 60, 2, generator=generator)], dim=2)
    logits = 4 * torch.randn(1, 60, 2, generator=generator)
    output = torch.cat([corner, box, logits], dim=2)
    (candidates,) = detections(output, 0.25, 1.0, 300)
    candidates = candidates[candidates[:, 5] >= 0]
    steps = suppressed(candidates)
    (expected,) = detections(output, 0.25, NMS, 100)
    expected = expected[expected[:, 5] >= 0]
    found = candidates[[place for place, step in enumerate(steps) if step.stays]]
    assert len(expected) < len(candidates)
    assert torch.equal(found, expected)
    for step in (step for step in steps if not step.stays):
        assert step.iou > NMS and step.rival is not None and steps[step.rival].stays


def test_boxes_are_explained_of_detectors_alone(cnntrain: Command) -> None:
    told = "explain boxes is about model=yolo, and this model is CNN"
    is_told(cnntrain("explain", "boxes", "model=cnn"), told)
    is_told(cnntrain("explain", "boxes", "model=faster_rcnn"), "explain boxes is about model=yolo")
