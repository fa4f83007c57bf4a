"""``cnntrain eval RUN tta=[flip,shift]``: several views of each image, and their mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import TINY, Command, is_told
from torch import Tensor, nn

from cnntrain.tasks.classification.tta import Views


class Corner(nn.Module):
    """Logits that depend on one pixel alone, so that each view of an image has its own."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0, 1, 1], torch.zeros(len(x))], dim=1)


@pytest.mark.parametrize(
    ("kinds", "pixels"),
    [
        (["flip"], [(1, 1), (1, 4)]),
        (["shift"], [(1, 1), (1, 2), (1, 0), (2, 1), (0, 1)]),
        (
            ["flip", "shift"],
            [(r, c) for r, c in ((1, 1), (1, 2), (1, 0), (2, 1), (0, 1))]
            + [(r, 5 - c) for r, c in ((1, 1), (1, 0), (1, 2), (2, 1), (0, 1))],
        ),
    ],
)
def test_probabilities_are_averaged_over_the_views(kinds: list[str], pixels: list[tuple[int, int]]) -> None:
    x = torch.arange(36.0).view(1, 1, 6, 6) / 10
    said = Views(Corner(), kinds)(x).softmax(dim=1)[0, 0]
    expected = torch.stack([x[0, 0, row, column] for row, column in pixels]).sigmoid().mean()
    assert said.item() == pytest.approx(expected.item(), abs=1e-6)


def test_eval_says_so_and_the_run_stays_as_it_was(cnntrain: Command) -> None:
    cnntrain("train", *TINY, "out=run")
    plain = cnntrain("eval", "run").out
    seen = cnntrain("eval", "run", "tta=[shift]")
    assert seen.code == 0 and "mean over views by shift" in seen.out
    assert json.loads(Path("run/eval_test.json").read_text())["tta"] == ["shift"]
    assert cnntrain("eval", "run").out == plain


def test_wrong_views_are_told(cnntrain: Command) -> None:
    cnntrain("train", *TINY, "out=run")
    is_told(cnntrain("eval", "run", "tta=[flop]"), "tta=[flop] is not possible", "flip or shift")
    is_told(cnntrain("eval", "run", "tta=flop"), "tta=flop is not possible", "flip or shift")
    one, listed = (cnntrain("eval", "run", f"tta={views}") for views in ("flip", "[flip]"))
    assert one.code == 0 and "mean over views by flip" in one.out and one.out == listed.out
