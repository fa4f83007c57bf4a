"""`cnntrain explain` of networks that label pixels: skip connections, and the topics for every task."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told
from torch import Tensor, nn

from cnntrain.explain.topics.images.ablation import blanked
from cnntrain.models import UNet
from cnntrain.models.summary import layers

FEW = ("data=mnist_one_digit", "data.canvases=80", "data.test_canvases=60")
SMALL = (*FEW, "model.width=2", "model.depth=2", "limit=64", "epochs=1")
THREE = ("model.width=16", "model.depth=3")
PLAIN = ("precision=fp32", "channels_last=false", "threads=1")
PNG = b"\x89PNG\r\n"


def reach(model: nn.Module, depth: int, side: int) -> int:
    """Return the largest number of rows of an image that one output depends on, over all positions."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.constant_(module.weight, 1.0)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm2d | nn.MaxPool2d):  # means, so that no gradient is 0
            smooth = nn.AvgPool2d(2) if isinstance(module, nn.MaxPool2d) else nn.Identity()
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, smooth)
    x = torch.ones(1, 1, side, side, requires_grad=True)
    y, longest = model(x), 0
    for row in range(side // 2, side // 2 + 2**depth):
        (gradient,) = torch.autograd.grad(y[0, 0, row, side // 2], x, retain_graph=True)
        rows = gradient[0, 0].any(dim=1).nonzero().flatten()
        longest = max(longest, int(rows[-1] - rows[0]) + 1)
    return longest


@pytest.mark.parametrize("upsample", ["transposed", "bilinear"])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_receptive_field_of_a_unet_is_the_reach_of_a_real_gradient(upsample: str, depth: int) -> None:
    model = UNet(1, 2, width=1, depth=depth, upsample=upsample).eval()
    found = layers(model, (1, 8, 8))[-1].receptive_field
    assert found == reach(model, depth, side=16 * 2**depth)


def test_summary_shows_where_features_skip_layers(cnntrain: Command) -> None:
    outcome = cnntrain("summary", "data=mnist_canvas", "data.image_size=64", "model=unet", *THREE)
    assert outcome.code == 0, outcome.err
    skips = "first to merge.2 (16×64×64), down.0 to merge.1 (32×32×32), down.1 to merge.0 (64×16×16)"
    assert f"skip connections: {skips}" in outcome.out
    assert re.search(r"classifier +Conv2d +11×64×64 +187 +720,896 +100\n", outcome.out)
    assert "skip connections" not in cnntrain("summary", "model=cnn").out


def test_model_unet_shows_its_skip_connections(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "model=unet", *SMALL, *PLAIN, "out=u")
    assert outcome.code == 0, outcome.err
    levels = [re.split(r"\s{2,}", line) for line in outcome.out.splitlines() if re.match(r"\d  ", line)]
    assert levels == [
        ["0", "28×28", "first", "2", "5", "merge.1", "2 + 2", "2", "44"],
        ["1", "14×14", "down.0", "4", "14", "merge.0", "4 + 4", "4", "40"],
        ["2", "7×7", "down.1", "8", "32", "–"],
    ]
    for name in ("all", "without skip 28×28", "without skip 14×14", "without all skips", "skip 28×28 alone"):
        assert re.search(rf"^{name} .*%$", outcome.out, re.MULTILINE)
    drawn = {path.name: path.read_bytes() for path in Path("u").iterdir()}
    assert set(drawn) == {"levels.png", "without.png"}
    assert all(image.startswith(PNG) for image in drawn.values())


def test_a_run_is_measured_as_the_run_was(cnntrain: Command) -> None:
    words = ("model=unet", *SMALL, *PLAIN, "report=false")
    trained = cnntrain("train", *words, "out=r")
    assert trained.code == 0, trained.err
    outcome = cnntrain("explain", "skips", "run=r")
    assert outcome.code == 0, outcome.err
    whole = re.search(r"^all +([\d.]+)%", outcome.out, re.MULTILINE)
    assert whole is not None and "On 60 test images" in outcome.out
    miou = json.loads(Path("r/summary.json").read_text())["test"]["miou"]
    assert float(whole[1]) == pytest.approx(100 * miou, abs=0.051)


def test_what_is_taken_away_comes_back() -> None:
    model = UNet(1, 2, width=2, depth=1).eval()
    x = torch.rand(2, 1, 8, 8)

    def answer() -> Tensor:
        with torch.no_grad():
            found: Tensor = model(x)
        return found

    before = answer()
    with blanked([(model.merge[0], slice(0, 2))]):
        assert not torch.equal(answer(), before)
    assert torch.equal(answer(), before)


@pytest.mark.parametrize("topic", ["steps", "zero_grad", "filters"])
def test_topics_for_every_task_are_about_masks_too(cnntrain: Command, topic: str) -> None:
    words = ("model=unet", *SMALL, *PLAIN, "criterion=cross_entropy")
    outcome = cnntrain("explain", topic, *words)
    assert outcome.code == 0, outcome.err
    told = {
        "steps": [
            "y, masks",
            "(16, 28, 28)",
            "The middle pixel of the first image, background",
            "12,544 pixels",
        ],
        "zero_grad": ["test mIoU"],
        "filters": ["merge.1.3", "5×5 pixels"],
    }
    assert all(words in " ".join(outcome.out.split()) for words in told[topic])
    assert "purity" not in outcome.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["shift", "model=unet", "data=mnist_canvas"],
            "shift is for classification only, and this run learns",
        ),
        (["skips", "model=cnn"], "explain skips is about model=unet, and this model is CNN"),
        (["skips", "data=mnist_mini"], "skips is for segmentation only, and this run learns Classification"),
        (["anchors", "model=cnn"], "explain anchors is about model=faster_rcnn, and this model is CNN"),
        (["skips", "model=smp"], "explain skips is about model=unet, and this model is"),
    ],
)
def test_other_topics_refuse_before_torch_is_imported(
    torchless: Command, words: list[str], told: str
) -> None:
    is_told(torchless("explain", *words), told)
    assert not Path("outputs").exists()
