"""Which cell learns which object: task-aligned assignment (Feng et al. 2021, TOOD)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cnntrain.tasks.detection.boxes import is_within, pairwise_iou

CELLS = 10  # that learn an object, at most, besides its own
OF_SCORE, OF_IOU = 0.5, 6.0  # exponents of the alignment, as in YOLOv8; the paper has 1 and 6
LEAST_IOU = 0.1  # what an object's best cell counts at least, so that each object is learnt from the start


@dataclass(frozen=True)
class Assignment:
    """What each of A cells should learn from N images.

    Args:
        owner: the object that a cell learns, its place among the M of its image, int64 (N, A).
        wanted: the score that a cell should give to the class of its object, float32 (N, A); 0: none.
    """

    owner: Tensor
    wanted: Tensor


@torch.no_grad()
def assigned(centres: Tensor, boxes: Tensor, scores: Tensor, objects: Tensor, exist: Tensor) -> Assignment:
    """Give each object the cells that fit it best by now.

    How well a cell fits is its alignment: the score that it gives to the object's class, times the IoU of its
    box, each with an exponent. A cell can learn an object if its centre is in the object's box. Besides, each
    object has a cell of its own, the nearest one that is free, so that none is left without one, however
    small it is.

    Args:
        centres: x and y of the cells, float32 (N, A, 2).
        boxes: the boxes of the cells, float32 (N, A, 4).
        scores: the scores that the cells give to the classes of the objects, float32 (N, M, A).
        objects: boxes of the objects, float32 (N, M, 4).
        exist: whether there is an object, bool (N, M).
    """
    iou = pairwise_iou(objects, boxes)
    own = nearest_free(centres, objects, exist)
    is_inside = is_within(centres, objects) & exist[..., None]
    alignment = scores**OF_SCORE * iou.clamp(min=1e-3) ** OF_IOU
    fits = alignment.where(is_inside | own, -1)
    best = fits.topk(min(CELLS, fits.shape[-1]), dim=-1)
    learns = torch.zeros_like(own).scatter(-1, best.indices, best.values >= 0)
    # A cell that several objects want learns the one that it overlaps most; an object's own cell, that one.
    taken = own.any(dim=1, keepdim=True)
    learns = own | (learns & ~taken)
    overlap = iou.where(learns, -1) + 2 * own
    owner = overlap.argmax(dim=1)
    mine = learns & torch.zeros_like(own).scatter(1, owner[:, None], True)
    fit = alignment * mine
    strongest = fit.amax(dim=-1, keepdim=True).clamp(min=torch.finfo(fit.dtype).tiny)
    most = (iou * mine).amax(dim=-1, keepdim=True).clamp(min=LEAST_IOU)
    wanted = (fit / strongest * most).sum(dim=1)
    return Assignment(owner, wanted)


def nearest_free(centres: Tensor, objects: Tensor, exist: Tensor) -> Tensor:
    """Return one cell for each object, bool (N, M, A): the nearest one that no object before it has.

    The objects choose in turn. The smallest ones choose first, since few cells are near them.
    """
    middles = (objects[..., :2] + objects[..., 2:]) / 2
    distance = torch.cdist(middles, centres)
    area = (objects[..., 2:] - objects[..., :2]).prod(dim=-1).where(exist, torch.inf)
    own = torch.zeros_like(distance, dtype=torch.bool)
    is_taken = torch.zeros_like(distance[:, 0], dtype=torch.bool)
    image = torch.arange(len(objects), device=objects.device)
    for turn in area.argsort(dim=-1, stable=True).unbind(dim=-1):
        chosen = distance[image, turn].masked_fill(is_taken, torch.inf).argmin(dim=-1)
        own[image, turn, chosen] = exist[image, turn]
        is_taken[image, chosen] |= exist[image, turn]
    return own
