"""Whether an exported detector finds the same: rounding may decide between boxes, and nothing else may."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cnntrain.tasks.detection.task import Detection

TASK = Detection((1, 64, 64), 2)
BOXES = [[0, 0, 20, 20], [4, 0, 24, 20], [9, 0, 29, 20], [40, 40, 60, 60]]  # IoU 0.67, 0.6; 0.38 of 1 and 3


def output(*scores: float) -> Tensor:
    """Return what a network gives of BOXES, float32 (1, 4, 8), with scores of the first class."""
    logits = torch.tensor([scores, [1e-6] * len(scores)]).T.logit()
    return torch.cat([torch.zeros(4, 2), torch.tensor(BOXES).float(), logits], dim=1)[None]


def same(found: Tensor, given: Tensor) -> bool:
    return TASK.means_the_same(found, TASK.activate(given), given)


def test_boxes_whose_scores_are_as_high_may_suppress_one_another_either_way() -> None:
    given, other = output(0.9, 0.9 - 1e-6, 0.8, 0.7), output(0.9 - 1e-6, 0.9, 0.8, 0.7)
    one, found = TASK.activate(given), TASK.activate(other)
    assert (one[..., 5] >= 0).sum() != (found[..., 5] >= 0).sum(), "and what is left of the others differs"
    assert same(found, given) and same(one, given)
    assert (found - TASK.counterpart(found, one, given)).abs().max() < 1e-5
    assert same(TASK.activate(output(0.5, 0.1, 0.1, 0.25 - 1e-6)), output(0.5, 0.1, 0.1, 0.25 + 1e-6))


def changed(found: Tensor, row: int, column: int, value: float) -> Tensor:
    found = found.clone()
    found[0, row, column] += value
    return found


GIVEN = output(0.9, 0.8, 0.7, 0.6)
RIGHT = TASK.activate(GIVEN)


@pytest.mark.parametrize(
    "found",
    [
        changed(RIGHT, 0, 0, 0.1),
        changed(RIGHT, 0, 4, 0.01),
        changed(RIGHT, 0, 5, 1),
        changed(RIGHT, 2, 5, -1),
        RIGHT[:, [1, 0, *range(2, RIGHT.shape[1])]],
        RIGHT[:, [1, *range(1, RIGHT.shape[1])]],
        TASK.activate(output(0.8, 0.9, 0.7, 0.6)),
        TASK.boxes(GIVEN, 0.25, 0.99, RIGHT.shape[1]),
        TASK.boxes(GIVEN, 0.65, 0.6, RIGHT.shape[1]),
    ],
    ids=["side", "score", "class", "missing", "order", "twice", "other", "no suppression", "threshold"],
)
def test_what_rounding_does_not_explain_is_another_answer(found: Tensor) -> None:
    assert same(RIGHT, GIVEN) and not same(found, GIVEN)
