"""Whether an exported detector finds what torch finds, where rounding may decide between boxes.

Non-maximum suppression is discontinuous: if the scores of two overlapping boxes differ by less than rounding,
either may be kept, and the one that is kept decides on others. Hence a box is compared with the one that the
network gives before the suppression, and the suppression is checked by its own rule.
"""

from __future__ import annotations

import torch
from torch import Tensor

from cnntrain.tasks.detection.boxes import BOX, BOX_OF, CANDIDATES, LOGITS, SCORE, pairwise_iou

ROUNDING = 1e-4  # two scores that differ by less may come in either order
OVERLAP = 1e-2  # likewise of two IoUs: batched_nms moves boxes of other classes far away, which costs digits
PIXELS = 1e-3  # a difference of sides; of large ones as a share, ROUNDING


def before_nms(found: Tensor, output: Tensor) -> Tensor:
    """Return, for each box that is found, the nearest one of its class before non-maximum suppression.

    Args:
        found: see :func:`.boxes.detections`, float32 (N, most, 6).
        output: what the network gives, float32 (N, A, 6 + classes).

    Returns:
        float32 (N, most, 6); rows without a box are as they are.
    """
    return torch.stack([nearest(rows, cells) for rows, cells in zip(found, output, strict=True)])


def nearest(found: Tensor, output: Tensor) -> Tensor:
    """Return, for each box of one image, the nearest one of its class: see :func:`before_nms`."""
    scores = output[:, LOGITS].sigmoid()
    result = found.clone()
    for place in torch.nonzero(found[:, SCORE + 1] >= 0)[:, 0].tolist():
        label = min(int(found[place, SCORE + 1]), scores.shape[1] - 1)
        rows = torch.cat([output[:, BOX], scores[:, label, None]], dim=1)
        distance = (rows - found[place, : SCORE + 1]).abs().amax(dim=1)
        result[place, : SCORE + 1], result[place, SCORE + 1] = rows[distance.argmin()], label
    return result


def agree(found: Tensor, expected: Tensor, output: Tensor, threshold: float, nms: float) -> bool:
    """Return whether boxes are those of torch, or others that rounding explains.

    Args:
        found: the boxes of the exported model, see :func:`.boxes.detections`, float32 (N, most, 6).
        expected: those of torch, likewise.
        output: what the network gives before non-maximum suppression, float32 (N, A, 6 + classes).
        threshold: the lowest score of boxes that are shown.
        nms: the largest IoU of two boxes of one class.
    """
    if not torch.allclose(found, before_nms(found, output), rtol=ROUNDING, atol=PIXELS):
        return False
    scores = output[..., LOGITS].sigmoid().flatten(1)
    candidates = scores.topk(min(CANDIDATES, scores.shape[1])).values[:, -1]
    cuts = candidates.clamp(min=threshold) if scores.shape[1] > CANDIDATES else candidates * 0 + threshold
    for one, other, cut in zip(found, expected, cuts.tolist(), strict=True):
        if not (
            is_suppressed(one, nms) and explains(other, one, cut, nms) and explains(one, other, cut, nms)
        ):
            return False
    return True


def is_suppressed(rows: Tensor, nms: float) -> bool:
    """Return whether boxes, float32 (most, 6), come by score, and none overlaps another of its class."""
    in_order = bool((rows[1:, SCORE] <= rows[:-1, SCORE] + ROUNDING).all())
    rows = rows[rows[:, SCORE + 1] >= 0]
    overlap = pairwise_iou(rows[None, :, BOX_OF], rows[None, :, BOX_OF])[0].triu(diagonal=1)
    same_class = rows[:, None, SCORE + 1] == rows[None, :, SCORE + 1]
    return in_order and not bool(((overlap > nms + OVERLAP) & same_class).any())


def explains(rows: Tensor, others: Tensor, cut: float, nms: float) -> bool:
    """Return whether boxes, float32 (most, 6), hold each of some others, or what may have suppressed it.

    Args:
        rows: the boxes of an image.
        others: the others of the same image.
        cut: the lowest score of candidates.
        nms: the largest IoU of two boxes of one class.
    """
    exist = rows[:, SCORE + 1] >= 0
    if exist.all():  # there may be no room for boxes of a lower score
        cut = max(cut, float(rows[-1, SCORE]))
    rows, others = rows[exist], others[others[:, SCORE + 1] >= 0]
    overlap = pairwise_iou(others[None, :, BOX_OF], rows[None, :, BOX_OF])[0]
    apart = (others[:, None, BOX_OF] - rows[None, :, BOX_OF]).abs().amax(dim=2)
    same_class = others[:, None, SCORE + 1] == rows[None, :, SCORE + 1]
    as_sure = rows[None, :, SCORE] >= others[:, None, SCORE] - ROUNDING
    explained = (same_class & as_sure & ((overlap >= nms - OVERLAP) | (apart <= PIXELS))).any(dim=1)
    return bool((explained | (others[:, SCORE] <= cut + ROUNDING)).all())
