"""Robustness to translation: one measure for the report and for ``cnntrain explain shift``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from conftest import Command
from torch import nn

from cnntrain.compute.precision import FP32
from cnntrain.data.loader import Normalize
from cnntrain.tasks.classification.robustness import accuracy_when_shifted, shifted


class Brightness(nn.Module):
    """Tells how many pixels are bright, wherever they are; or looks at one pixel alone."""

    def __init__(self, anywhere: bool) -> None:
        super().__init__()
        self.anywhere = anywhere

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bright = x.sum(dim=(1, 2, 3)) if self.anywhere else x[:, 0, 5, 5]
        return torch.stack([0.5 - bright, bright - 0.5], dim=1)


def test_a_shift_is_what_it_says() -> None:
    x = torch.arange(1, 10, dtype=torch.uint8).view(1, 1, 3, 3)
    assert shifted(x, 1, -2).tolist() == [[[[0, 0, 0], [3, 0, 0], [6, 0, 0]]]]
    assert torch.equal(shifted(x, 0, 0), x)


@pytest.mark.parametrize(("anywhere", "expected"), [(True, [1.0] * 5), (False, [1.0] + [0.5] * 4)])
def test_shifts_show_whether_a_model_cares_where_things_are(anywhere: bool, expected: list[float]) -> None:
    images = torch.zeros(8, 1, 11, 11, dtype=torch.uint8)
    images[::2, :, 5, 5] = 255
    labels = torch.tensor([1, 0] * 4)
    normalize = Normalize([0.0], [1.0], torch.device("cpu"))
    batches, seen = zip(images.split(3), labels.split(3), strict=True), list[int]()
    found = accuracy_when_shifted(Brightness(anywhere), batches, normalize, FP32, seen.append)
    assert found == expected and seen == [3, 3, 2]


def test_the_report_and_explain_measure_the_same(cnntrain: Command) -> None:
    assert cnntrain("train", "limit=300", "epochs=1", "model=mlp", "out=run", "precision=fp32").code == 0
    page = (Path("run") / "report.html").read_text()
    told = re.search(r"Accuracy on all 1,000 test images.*?on black: (.*?)\. ", page)
    assert told is not None
    explained = cnntrain("explain", "shift", "run=run")
    assert explained.code == 0, explained.err
    for pixels, percent in re.findall(r"(\d) px ([\d.]+)%", told[1]):
        line = re.search(rf"^ *{pixels} pixels? +([\d.]+)%", explained.out, re.M)
        assert line is not None and float(line[1]) == pytest.approx(float(percent), abs=0.051)
