"""``tta=[flip,shift]`` of ``cnntrain eval`` and ``predict``: several views of each image, and their mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import TINY, Command, is_told
from PIL import Image
from torch import Tensor, nn

from cnntrain.data.sources.builtin import MNISTMini
from cnntrain.inference.model import load
from cnntrain.tasks.classification.tta import Views
from cnntrain.tasks.segmentation.tta import Views as PixelViews


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


class Uneven(nn.Module):
    """Logits of each pixel that are its value, and in the right half of the image 1 more."""

    def forward(self, x: Tensor) -> Tensor:
        more = (torch.arange(x.shape[-1]) >= x.shape[-1] // 2).float()
        return torch.cat([x + more, torch.zeros_like(x)], dim=1)


@pytest.mark.parametrize("kinds", [["flip"], ["shift"], ["flip", "shift"]])
def test_probabilities_of_pixels_are_moved_back(kinds: list[str]) -> None:
    """A model that says the same of a pixel wherever it lies says so of all views, up to the border."""
    x = torch.arange(60.0).view(1, 1, 6, 10) / 20 - 1
    said = PixelViews(nn.Conv2d(1, 2, 1), kinds)
    assert torch.allclose(said(x).softmax(dim=1), said.model(x).softmax(dim=1), atol=1e-6)
    found = PixelViews(Uneven(), kinds)(x).softmax(dim=1)[0, 0, 3]
    plain, one_more = x[0, 0, 3].sigmoid(), (x[0, 0, 3] + 1).sigmoid()
    if kinds == ["flip"]:
        assert torch.allclose(found, (plain + one_more) / 2, atol=1e-6)
    if kinds == ["shift"]:
        assert torch.allclose(found[[0, 9]], torch.stack([plain[0], one_more[9]]), atol=1e-6)
        assert found[4].item() == pytest.approx((0.8 * plain[4] + 0.2 * one_more[4]).item(), abs=1e-6)


def test_eval_says_so_and_the_run_stays_as_it_was(cnntrain: Command) -> None:
    cnntrain("train", *TINY, "out=run")
    plain = cnntrain("eval", "run").out
    seen = cnntrain("eval", "run", "tta=[shift]")
    assert seen.code == 0 and "mean over views by shift" in seen.out
    assert json.loads(Path("run/eval_test.json").read_text())["tta"] == ["shift"]
    assert cnntrain("eval", "run").out == plain


def test_predict_gives_the_mean_of_the_views(cnntrain: Command) -> None:
    cnntrain("train", *TINY, "out=run")
    pixels = MNISTMini(train=False).images[:1]
    Image.fromarray(pixels[0, 0].numpy()).save("a.png")
    done = cnntrain("predict", "run", "a.png", "tta=[flip]", "--json", "a.json", "precision=fp32")
    assert done.code == 0, done.err
    trained = load("run", ["precision=fp32"])
    expected = (trained.predict(pixels) + trained.predict(pixels.flip(-1))) / 2
    best = json.loads(Path("a.json").read_text())["predictions"][0]["classes"][0]
    assert best["probability"] == pytest.approx(expected.max().item(), abs=1e-5)


def test_wrong_views_are_told(cnntrain: Command) -> None:
    cnntrain("train", *TINY, "out=run")
    is_told(cnntrain("eval", "run", "tta=[flop]"), "tta=[flop] is not possible", "flip or shift")
    is_told(cnntrain("eval", "run", "tta=flop"), "tta=flop is not possible", "flip or shift")
    one, listed = (cnntrain("eval", "run", f"tta={views}") for views in ("flip", "[flip]"))
    assert one.code == 0 and "mean over views by flip" in one.out and one.out == listed.out
