"""``cnntrain explain boxes``: how a detector finds the objects of one image, and learns to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.markup import escape
from torch import Tensor

from cnntrain.data.batches import raise_if_error
from cnntrain.explain import figures
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.explain.topics.detection import boxes_figures
from cnntrain.language.translation import tr, tr_count
from cnntrain.runtime.console import Console
from cnntrain.tasks.detection.assignment import CELLS, OF_IOU, OF_SCORE
from cnntrain.tasks.detection.boxes import BOX, CANDIDATES, CENTRE, detections, exist, pairwise_iou
from cnntrain.tasks.detection.losses import learnt, scores_of_objects
from cnntrain.tasks.detection.metrics import NMS
from cnntrain.tasks.detection.task import Detection
from cnntrain.text import shown_names, shown_path

IMAGES = 50  # test images; one is looked at
LISTED = 5  # cells of an object that are listed
MOST_STEPS = 20  # of non-maximum suppression that are listed


@dataclass(frozen=True)
class Step:
    """What non-maximum suppression does with one box, the most confident first.

    Args:
        iou: the largest IoU with a box of its class that stays; 0 if there is none yet.
        rival: the place of that box, from 0; None if there is none.
        stays: whether the box stays.
    """

    iou: float
    rival: int | None
    stays: bool


@torch.no_grad()
def boxes(model: ExplainedModel, console: Console, folder: Path) -> None:
    """Show IoU, the assignment of cells to objects, and non-maximum suppression, on one test image.

    Args:
        model: a detector whose cells say what is there.
        console: the console to print to.
        folder: the folder for the figures.
    """
    assert isinstance(model.task, Detection)  # which cli/explain checks
    number, threshold = min(IMAGES, len(model.data.test)), model.task.threshold
    images, truth = raise_if_error(model.data.test.__getitems__(np.arange(number)))
    with model.precision.autocast():
        output = model.model(model.normalize(images.to(model.normalize.mean.device))).float().cpu()
    candidates = detections(output, threshold, 1.0, CANDIDATES)
    chosen = most_crowded(candidates, truth.cpu())
    image, said, y = images[chosen].cpu(), output[chosen], truth[chosen].cpu()
    objects, found = y[exist(y)], candidates[chosen][candidates[chosen][:, 5] >= 0]
    names = shown_names(model.data.train.class_names)
    words(
        console,
        tr(
            "[bold]{model}[/] looks at a test image of {size} with {objects}. Its {cells:,} "
            "cells give a box and a score for each class; boxes with a score above "
            "{threshold:.2f}: {boxes}. Among the first {number} images it is the one with the "
            "most of them.",
            model=escape(model.name),
            size="×".join(map(str, model.shape)),
            objects=tr_count(len(objects), "{number:,} object", "{number:,} objects"),
            cells=len(said),
            threshold=threshold,
            boxes=len(found),
            number=number,
        ),
    )
    steps = suppressed(found)
    kept = [place for place, step in enumerate(steps) if step.stays]
    show_overlaps(console, objects, found, kept, names)
    wanted = show_assignment(console, model.model, said, objects, names)
    show_suppression(console, found, steps, names, threshold)
    figures.save(boxes_figures.overlaps(image, objects, found[kept], names), folder / "iou.png")
    figures.save(
        boxes_figures.assignment(image, objects, said[:, CENTRE], wanted, names), folder / "assignment.png"
    )
    figures.save(boxes_figures.suppression(image, found, kept, names), folder / "nms.png")
    console.line(tr("figures: [bold]{}[/]: iou.png, assignment.png, nms.png"), shown_path(folder))


def most_crowded(candidates: Tensor, truth: Tensor) -> int:
    """Return the image with most boxes, of those with most objects but three at most.

    Args:
        candidates: boxes, float32 (N, K, 6); those of class -1 are none.
        truth: objects, float32 (N, M, 6).
    """
    objects = exist(truth).sum(dim=1).clamp(max=3)
    return int(((candidates[..., 5] >= 0).sum(dim=1) + candidates.shape[1] * objects).argmax())


def suppressed(found: Tensor) -> list[Step]:
    """Return what non-maximum suppression does with boxes, float32 (K, 6), the most confident first."""
    overlaps = pairwise_iou(found[None, :, :4], found[None, :, :4])[0]
    steps: list[Step] = []
    for place, label in enumerate(found[:, 5].tolist()):
        rivals = [other for other in range(place) if steps[other].stays and found[other, 5] == label]
        rival = max(rivals, key=lambda other: float(overlaps[place, other]), default=None)
        iou = 0.0 if rival is None else float(overlaps[place, rival])
        steps.append(Step(iou, rival, iou <= NMS))
    return steps


def show_overlaps(
    console: Console, objects: Tensor, found: Tensor, kept: Sequence[int], names: Sequence[str]
) -> None:
    """Show for each object the box that lies best, and the IoU of both as it is computed."""
    words(
        console,
        tr(
            "\n[bold cyan]1[/]  [bold]IoU[/]  [dim]how well two boxes agree[/]\n"
            "Intersection over union: the area that both boxes cover, divided by the area "
            "that at least one of them covers. 1: the same box; 0: they don't touch. "
            "Boxes are left, top, right, bottom in pixels.\n"
        ),
    )
    lines = []
    overlaps = pairwise_iou(objects[None, :, :4], found[None, kept, :4])[0]
    for truth, own in zip(objects, overlaps, strict=True):
        if not len(own) or own.max() == 0:
            lines.append((names[int(truth[4])], place_of(truth), tr("no box"), "", "", ""))
            continue
        is_right = (found[kept, 5] == truth[4]) & (own > 0)
        place = int((own + is_right).argmax())  # a box of its class before all others
        box = found[kept][place]
        sides = torch.minimum(truth[2:4], box[2:4]) - torch.maximum(truth[:2], box[:2])
        both, areas = float(sides.prod()), [float((b[2:4] - b[:2]).prod()) for b in (truth, box)]
        union = f"{areas[0]:.0f} + {areas[1]:.0f} - {both:.0f}"
        text = f"{names[int(box[5])]} {box[4]:.0%}  {place_of(box)}"
        lines.append(
            (names[int(truth[4])], place_of(truth), text, f"{both:.0f}", union, f"{float(own[place]):.2f}")
        )
    rows(
        console,
        (tr("object"), tr("its box"), tr("best box found"), tr("intersection"), tr("union"), "IoU"),
        lines,
        left=3,
    )


def show_assignment(
    console: Console, net: Any, said: Tensor, objects: Tensor, names: Sequence[str]
) -> Tensor:
    """Show which cells would learn which object, and return how much, float32 (objects, cells)."""
    words(
        console,
        tr(
            "\n"
            "[bold cyan]2[/]  [bold]Assignment[/]  [dim]which cell learns which object, and "
            "how much[/]\n"
            "A cell can learn an object if its centre lies in the object's box. How well it "
            "fits is its alignment: its score for the object's class to the power of "
            "{score_power:g}, times the IoU of its box to the power of {iou_power:g}. For each "
            "object, the {cells} best cells learn it, and so does the cell nearest to its "
            "middle, however badly it fits. wanted: the score that the cell should give, 0 "
            "elsewhere. The best of them should give the largest IoU among them, the others "
            "less, in proportion to their alignment.\n",
            score_power=OF_SCORE,
            iou_power=OF_IOU,
            cells=CELLS,
        ),
    )
    some = objects[None]
    found = learnt(said[None], some)
    scores = scores_of_objects(said[None], some)[0]
    iou = pairwise_iou(some[..., :4], said[None, :, BOX])[0]
    alignment = scores**OF_SCORE * iou**OF_IOU
    mine = found.owner == torch.arange(len(objects))[:, None]
    wanted = found.wanted * mine
    strides = strides_of(net, len(said))
    lines = []
    for place, truth in enumerate(objects):
        learning = int((wanted[place] > 0).sum())
        for rank, cell in enumerate(wanted[place].argsort(descending=True)[: min(LISTED, learning)].tolist()):
            name = names[int(truth[4])]
            x, y = said[cell, CENTRE].tolist()
            numbers = scores[place, cell], iou[place, cell], alignment[place, cell], wanted[place, cell]
            first = (
                (name, tr_count(learning, "{number:,} cell", "{number:,} cells")) if rank == 0 else ("", "")
            )
            lines.append((*first, f"({x:g}, {y:g})", strides[cell], *(f"{value:.3f}" for value in numbers)))
    headings = (
        tr("object"),
        tr("learnt by"),
        tr("centre"),
        tr("stride"),
        tr("score"),
        "IoU",
        tr("alignment"),
        tr("wanted"),
    )
    rows(console, headings, lines, left=3)
    return wanted


def strides_of(net: Any, cells: int) -> list[str]:
    """Return the stride of each cell of a detector, in words."""
    strides = net.pyramid.strides
    finest = cells / sum((strides[0] / stride) ** 2 for stride in strides)
    return [f"{stride}" for stride in strides for _ in range(round(finest * (strides[0] / stride) ** 2))]


def show_suppression(
    console: Console, found: Tensor, steps: Sequence[Step], names: Sequence[str], threshold: float
) -> None:
    """Show step by step which boxes stay."""
    words(
        console,
        tr(
            "\n"
            "[bold cyan]3[/]  [bold]Non-maximum suppression[/]  [dim]one box for each "
            "object[/]\n"
            "Several cells find the same object. The boxes come in the order of their scores, "
            "down to {threshold:g}. Each is compared with the boxes of its class that are "
            "kept: with an IoU above {nms:g} it is dropped.\n",
            threshold=threshold,
            nms=NMS,
        ),
    )
    lines = []
    for place, (row, step) in enumerate(zip(found[:MOST_STEPS], steps, strict=False)):
        rival = (
            "–" if step.rival is None else tr("{iou:.2f} with {place}", iou=step.iou, place=step.rival + 1)
        )
        answer = tr("stays") if step.stays else tr("goes: {iou:.2f} > {nms:g}", iou=step.iou, nms=NMS)
        lines.append((f"{place + 1}", names[int(row[5])], place_of(row), f"{row[4]:.1%}", rival, answer))
    rows(console, (tr("step"), tr("class"), tr("box"), tr("score"), tr("largest IoU"), ""), lines, left=3)
    left_out = (
        tr(" Not listed: {number} more.", number=len(found) - MOST_STEPS) if len(found) > MOST_STEPS else ""
    )
    stay = sum(step.stays for step in steps)
    words(
        console,
        tr("\nOf {number} boxes {stay} stay.{left_out}\n", number=len(found), stay=stay, left_out=left_out),
    )


def place_of(box: Tensor) -> str:
    """Return left, top, right and bottom of a box in words."""
    return ", ".join(f"{side:.1f}" for side in box[:4].tolist())
