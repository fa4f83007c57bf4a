"""``cnntrain explain anchors``: the first stage of Faster R-CNN on one image: anchors, proposals, NMS."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.markup import escape
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import clip_boxes_to_image

from cnntrain.data.batches import raise_if_error
from cnntrain.explain import figures
from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.explain.topics.detection import anchors_figures
from cnntrain.explain.topics.detection.boxes import place_of
from cnntrain.language.translation import tr, tr_count
from cnntrain.models import FasterRCNN
from cnntrain.runtime.console import Console
from cnntrain.tasks.detection.boxes import BOX_OF, exist, pairwise_iou
from cnntrain.tasks.detection.matching import IOU
from cnntrain.text import shown_names, shown_path

IMAGES = 50  # test images; one is looked at
MOST_OBJECTS = 3  # more would only fill the screen
LISTED = 10  # proposals


@dataclass(frozen=True)
class Proposed:
    """What the first stage makes of one image.

    Args:
        anchors: the anchors in the order of the maps, float32 (A, 4).
        level: the map of each anchor, int64 (A,).
        shapes: rows and columns of each map.
        found: the object that each anchor should find, int64 (A,): -1 background, -2 neither.
        before: the boxes with the highest objectness of each map, moved and clipped, float32 (P, 4).
        score: the objectness of each of those, from 0 to 1, float32 (P,).
        after: the boxes that suppression leaves, the most confident first, float32 (Q, 4).
        sure: the objectness of each of those, float32 (Q,).
    """

    anchors: Tensor
    level: Tensor
    shapes: list[tuple[int, int]]
    found: Tensor
    before: Tensor
    score: Tensor
    after: Tensor
    sure: Tensor


@torch.no_grad()
def anchors(model: ExplainedModel, console: Console, folder: Path) -> None:
    """Show anchors, which of them learn to find an object, and what becomes proposals, on one test image.

    Args:
        model: a Faster R-CNN.
        console: the console to print to.
        folder: the folder for the figures.
    """
    net = model.model
    assert isinstance(net, FasterRCNN)  # which cli/explain checks
    images, truth = raise_if_error(model.data.test.__getitems__(np.arange(min(IMAGES, len(model.data.test)))))
    chosen = int(exist(truth).sum(dim=1).clamp(max=MOST_OBJECTS).argmax())
    image, objects = images[chosen], truth[chosen][exist(truth)[chosen]].cpu()
    seen = proposed(model, net, image, objects)
    names = shown_names(model.data.train.class_names)
    words(
        console,
        tr(
            "[bold]{model}[/] looks at a test image of {size} with {objects}, in two stages. The first one "
            "proposes boxes that may hold something, of any class; the second one looks at each of them once "
            "more. This is the first.",
            model=escape(model.name),
            size="×".join(map(str, model.shape)),
            objects=tr_count(len(objects), "{number:,} object", "{number:,} objects"),
        ),
    )
    show_anchors(console, net, seen)
    show_matches(console, net, seen, objects, names)
    show_proposals(console, net, seen, objects)
    image = image.cpu()
    drawn = anchors_figures.by_level(image, middle_ones(seen), strides_of(net))
    figures.save(drawn, folder / "anchors.png")
    positive = [seen.anchors[seen.found == place] for place in range(len(objects))]
    figures.save(anchors_figures.positive(image, objects, positive, names), folder / "positive.png")
    before, after = torch.column_stack([seen.before, seen.score]), torch.column_stack([seen.after, seen.sure])
    drawn = anchors_figures.proposals(image, objects, before, after)
    figures.save(drawn, folder / "proposals.png")
    console.line(tr("figures: [bold]{}[/]: anchors.png, positive.png, proposals.png"), shown_path(folder))


def proposed(model: ExplainedModel, net: FasterRCNN, image: Tensor, objects: Tensor) -> Proposed:
    """Return what the first stage makes of an image, uint8 (C, H, W), with objects, float32 (M, 6)."""
    x = model.normalize(image[None].to(model.normalize.mean.device))
    with model.precision.autocast():
        features = net.backbone(x)
    maps, rpn = [each.float() for each in features.values()], net.heads.rpn
    size = (x.shape[2], x.shape[3])
    placed = rpn.anchor_generator(ImageList(x, [size]), maps)
    scores, moves = rpn.head(maps)
    counts, shapes = [score[0].numel() for score in scores], [tuple(each.shape[2:]) for each in maps]
    objectness, moves = concat_box_prediction_layers(scores, moves)
    boxes = rpn.box_coder.decode(moves, placed).view(1, -1, 4)
    after, sure = rpn.filter_proposals(boxes, objectness, [size], counts)
    chosen, begin = [], 0
    for score in objectness.flatten().split(counts):
        chosen.append(begin + score.topk(min(rpn.pre_nms_top_n(), len(score))).indices)
        begin += len(score)
    kept = torch.cat(chosen)
    overlaps = pairwise_iou(objects[None, :, BOX_OF], placed[0][None].cpu())[0]
    level = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    before = clip_boxes_to_image(boxes[0][kept], size)
    return Proposed(
        placed[0].cpu(),
        level,
        shapes,
        rpn.proposal_matcher(overlaps),
        before.cpu(),
        objectness.flatten()[kept].sigmoid().cpu(),
        after[0].cpu(),
        sure[0].cpu(),
    )


def strides_of(net: FasterRCNN) -> list[int]:
    """Return the pixels from one place of each map to the next."""
    backbone: Any = net.backbone
    return list(backbone.pyramid.strides)


def middle_ones(seen: Proposed) -> list[Tensor]:
    """Return the anchors around the middle place of each map, float32 (anchors of a place, 4) each."""
    found = []
    for number, (high, wide) in enumerate(seen.shapes):
        own = seen.anchors[seen.level == number]
        found.append(own.view(high, wide, -1, 4)[high // 2, wide // 2])
    return found


def show_anchors(console: Console, net: FasterRCNN, seen: Proposed) -> None:
    """Show the number and the sizes of the anchors of each map."""
    words(
        console,
        tr(
            "\n"
            "[bold cyan]1[/]  [bold]Anchors[/]  [dim]boxes of fixed sizes at each place of the "
            "maps[/]\n"
            "An anchor is where the network begins: for each, it says whether it holds "
            "something, and how far to move its sides. Small objects are found on the fine "
            "map, large ones on the coarse one.\n"
        ),
    )
    lines = []
    for stride, shape, own in zip(strides_of(net), seen.shapes, middle_ones(seen), strict=True):
        sides = (own[:, 2:] - own[:, :2]).tolist()
        sizes = ", ".join(f"{wide:.0f}×{high:.0f}" for wide, high in sides)
        lines.append((f"{stride}", "×".join(map(str, shape)), sizes, f"{len(own) * math.prod(shape):,}"))
    rows(console, (tr("stride"), tr("map"), tr("sizes in pixels"), tr("anchors")), lines, left=3)


def show_matches(
    console: Console, net: FasterRCNN, seen: Proposed, objects: Tensor, names: Sequence[str]
) -> None:
    """Show which anchors learn to find an object."""
    matcher, sampler = net.heads.rpn.proposal_matcher, net.heads.rpn.fg_bg_sampler
    words(
        console,
        tr(
            "\n[bold cyan]2[/]  [bold]Which anchors are positive[/]  [dim]by their IoU with the objects[/]\n"
            "An anchor is positive, and learns to find an object, if their IoU is at least {high:g}; so does "
            "the best anchor of each object, however low its IoU. Below {low:g} it is background. What lies "
            "between learns nothing.\n",
            high=matcher.high_threshold,
            low=matcher.low_threshold,
        ),
    )
    overlaps = pairwise_iou(objects[None, :, BOX_OF], seen.anchors[None])[0]
    strides, lines = strides_of(net), []
    for place, truth in enumerate(objects):
        best = int(overlaps[place].argmax())
        stride = strides[int(seen.level[best])]
        positive = int((seen.found == place).sum())
        over = int((overlaps[place] >= IOU).sum())
        cells = (place_of(truth), place_of(seen.anchors[best]), f"{stride}", f"{overlaps[place, best]:.2f}")
        lines.append((names[int(truth[4])], *cells, f"{over}", f"{positive}"))
    headings = (tr("object"), tr("its box"), tr("best anchor"), tr("stride"), tr("IoU"))
    rows(console, (*headings, tr("IoU ≥ {iou:g}", iou=IOU), tr("positive")), lines, left=3)
    positive, neither = int((seen.found >= 0).sum()), int((seen.found == matcher.BETWEEN_THRESHOLDS).sum())
    words(
        console,
        tr(
            "\nOf {anchors:,} anchors {positive:,} are positive, {background:,} background, {neither:,} "
            "neither. A step draws {drawn} of them, at most {share:.0%} positive.\n",
            anchors=len(seen.anchors),
            positive=positive,
            background=len(seen.anchors) - positive - neither,
            neither=neither,
            drawn=sampler.batch_size_per_image,
            share=sampler.positive_fraction,
        ),
    )


def show_proposals(console: Console, net: FasterRCNN, seen: Proposed, objects: Tensor) -> None:
    """Show the boxes that the second stage gets, before and after suppression."""
    rpn = net.heads.rpn
    words(
        console,
        tr(
            "[bold cyan]3[/]  [bold]Proposals[/]  [dim]the most confident boxes, without those "
            "that overlap[/]\n"
            "Each anchor is moved as the network says. At most {before} of each map are kept, "
            "those with the highest objectness. Non-maximum suppression removes a box whose "
            "IoU with a more confident one of the same map is above {nms:g}; the {after} most "
            "confident go to the second stage.\n",
            before=rpn.pre_nms_top_n(),
            nms=rpn.nms_thresh,
            after=rpn.post_nms_top_n(),
        ),
    )
    lines = []
    overlaps = pairwise_iou(seen.after[None], objects[None, :, BOX_OF])[0].amax(dim=1)
    for place in range(min(LISTED, len(seen.after))):
        row = seen.after[place]
        lines.append((f"{place + 1}", place_of(row), f"{seen.sure[place]:.1%}", f"{overlaps[place]:.2f}"))
    rows(console, ("", tr("proposal"), tr("objectness"), tr("largest IoU with an object")), lines, left=2)
    known = objects[None, :, BOX_OF]
    counts = [
        (len(boxes), int((pairwise_iou(known, boxes[None])[0].amax(dim=1) >= IOU).sum()))
        for boxes in (seen.anchors, seen.before, seen.after)
    ]
    (all_of_them, at_first), (before, then), (after, at_last) = counts
    words(
        console,
        tr(
            "\nOf {all_of_them:,} anchors {before:,} become boxes that are compared, and {after:,} become "
            "proposals. At an IoU of {iou:g}, {at_first} of {objects} have an anchor, {then} a box before "
            "and {at_last} after suppression.\n",
            all_of_them=all_of_them,
            before=before,
            after=after,
            iou=IOU,
            objects=tr_count(len(objects), "{number:,} object", "{number:,} objects"),
            at_first=at_first,
            then=then,
            at_last=at_last,
        ),
    )
