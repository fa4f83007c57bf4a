"""What the training doctor says of boxes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnntrain.config.compose import compose, plain
from cnntrain.config.sections import DoctorSettings
from cnntrain.tasks import Detection
from cnntrain.tasks.doctor import Finding, Finished

NAMES = ("cat", "dog", "hen")
COUNT, SIDE = 40, 64


def objects(side: float = 16.0) -> Tensor:
    """An object of each class at another place of each image, float32 (N, 3, 6)."""
    generator = torch.Generator().manual_seed(0)
    corners = (SIDE - side) * torch.rand(COUNT, 3, 2, generator=generator)
    labels = torch.arange(3.0).expand(COUNT, 3)[..., None]
    return torch.cat([corners, corners + side, labels, torch.zeros(COUNT, 3, 1)], dim=2)


def cells(y: Tensor, label: int | None = None, score: float = 3.0) -> Tensor:
    """What cells say that find exactly these objects, or name them all with one class."""
    centres = (y[..., :2] + y[..., 2:4]) / 2
    labels = y[..., 4].long() if label is None else torch.full_like(y[..., 4], label).long()
    logits = (score + 12.0) * torch.nn.functional.one_hot(labels, len(NAMES)) - 12.0
    return torch.cat([centres, y[..., :4], logits], dim=2)


def told(
    y: Tensor, output: Tensor | None = None, ap50: float = 0.0, words: Sequence[str] = ()
) -> list[Finding]:
    task = Detection((1, SIDE, SIDE), len(NAMES))
    collector = task.collector()
    collector.observe(torch.zeros(1, 1, SIDE, SIDE), y)
    collector.add(cells(y) if output is None else output, y)
    kept, row = collector.local_results(), {"step": 500, "val_ap50": ap50}
    counts = y[..., 4].flatten().long().bincount(minlength=len(NAMES)).tolist()
    settings = DoctorSettings.from_config(plain(compose(["data=mnist_canvas", "model=yolo", *words])))
    return task.findings(Finished(settings, [row], counts, NAMES, COUNT, COUNT, kept, kept, False))


def test_a_healthy_run_is_told_nothing() -> None:
    assert told(objects(), ap50=0.9) == []


def test_classes_that_no_image_shows() -> None:
    (finding,) = told(objects()[:, :2], ap50=0.9)
    assert finding.finding == "classes are missing in training" and "hen" in finding.evidence


def test_boxes_that_are_shares_of_the_image_or_pixels_of_a_larger_one() -> None:
    y = objects()
    for scale in (1 / SIDE, 10.0):
        scaled = y.clone()
        scaled[..., :4] *= scale
        (finding,) = told(scaled)
        assert finding.finding == "the boxes are at the wrong scale" and "64×64" in finding.evidence


def test_objects_that_are_smaller_than_half_a_cell() -> None:
    (finding,) = told(objects(side=3), ap50=0.9)
    assert "100% of the objects are below 4 pixels" in finding.evidence
    assert "'model.strides=[4,8,16]'" in finding.fix


def test_why_nothing_is_found() -> None:
    y = objects()
    away = y.clone()
    away[..., :4] += 40
    assert told(y, cells(away))[0].finding == "no box comes near the objects"
    (finding,) = told(y, cells(y, label=0))
    assert (
        finding.finding == "boxes lie right, but have other classes"
        and "33% one of their class" in finding.evidence
    )
    assert told(y, cells(y, score=-3.0))[0].finding == "boxes lie right, but have low scores"
