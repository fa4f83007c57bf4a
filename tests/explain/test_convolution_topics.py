"""`cnntrain explain` convolution and pooling: by hand, and what a network makes of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import Command, is_told

from cnntrain.explain.arithmetic import trace
from cnntrain.explain.topics.convolutions.kernels import KERNELS, likeness, slide
from cnntrain.explain.topics.convolutions.pooling import fields_without_pooling, pooled
from cnntrain.models import CNN

PLAIN = ("precision=fp32", "threads=1", "channels_last=false")
SMALL = ("model=cnn", "model.channels=[4,6]", "model.head=[8]", "limit=96", "epochs=1", *PLAIN)
PNG = b"\x89PNG\r\n"


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("side", [1, 3, 4])
def test_a_kernel_that_slides_is_a_convolution_of_torch(side: int, stride: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(side)
    image, kernel = torch.rand(9, 12, generator=generator), torch.randn(side, side, generator=generator)
    expected = F.conv2d(image[None, None], kernel[None, None], stride=stride, padding=padding)[0, 0]
    torch.testing.assert_close(slide(image, kernel, stride, padding), expected)


def test_a_learnt_kernel_is_compared_with_hand_made_ones() -> None:
    edge = torch.tensor(KERNELS["horizontal edge"])
    weights = torch.stack([edge * 0.1, -edge, torch.tensor(KERNELS["spots"])])[:, None]
    found = likeness(weights)
    assert [name for name, _ in found.values()] == ["horizontal edge", "horizontal edge", "spots"]
    assert [cosine for _, cosine in found.values()] == pytest.approx([1.0, -1.0, 1.0])
    assert likeness(torch.ones(2, 1, 5, 5)) == {}


def numbers(text: str) -> list[float]:
    """Return the numbers in a text."""
    return [float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text)]


def test_convolution_shows_products_that_add_up(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "convolution", *SMALL, "out=c")
    assert outcome.code == 0, outcome.err
    block = outcome.out.partition("position ")[2].partition("The positions are")[0]
    lines = [numbers(line.partition("column ")[2] or line) for line in block.splitlines()[1:] if line.strip()]
    lines = [line[1:] if index % 3 == 0 else line for index, line in enumerate(lines)]  # without the column
    assert len(lines) == 9
    for at in (0, 3, 6):
        three = lines[at : at + 3]
        for line in three:
            window, kernel, products = line[:3], line[3:6], line[6:9]
            assert [w * k for w, k in zip(window, kernel, strict=True)] == pytest.approx(products, abs=0.011)
        assert sum(sum(line[6:9]) for line in three) == pytest.approx(three[2][9], abs=0.05)
    told = " ".join(outcome.out.split())
    furthest = re.search(r"26·26 = 676 positions.* largest difference is (\S+)\. ", told)
    assert furthest is not None and float(furthest[1]) < 1e-5
    assert "⌊(28 + 2·1 − 3)/2⌋ + 1 = 14" in told and "784·784 + 784 = 615,440" in told
    learnt = re.search(r"bias is \S+: (\S+)\. The layer's output there is (\S+)\.", told)
    assert learnt is not None and float(learnt[1]) == pytest.approx(float(learnt[2]), abs=2e-4)
    assert max(map(len, outcome.out.splitlines()[4:15])) <= 80
    assert Path("c/convolution.png").read_bytes().startswith(PNG)


def test_convolution_takes_colours_and_other_kernels_and_tells_what_it_lacks(cnntrain: Command) -> None:
    tiny = ("data=fake", "data.source.size=60", "data.image_size=12", "model.kernel_size=5", "epochs=1")
    outcome = cnntrain("explain", "convolution", *tiny, "model.channels=[3]", *PLAIN, "out=f")
    assert outcome.code == 0, outcome.err
    assert "75 products" in outcome.out and "looks most like" not in outcome.out
    learnt = re.search(
        r"bias is \S+: (\S+)\. The layer's output there is (\S+)\.", " ".join(outcome.out.split())
    )
    assert learnt is not None and float(learnt[1]) == pytest.approx(float(learnt[2]), abs=2e-4)
    is_told(cnntrain("explain", "convolution", "model=mlp", "limit=64", *PLAIN), "MLP has no convolution")


@pytest.mark.parametrize("shape", [(2, 3, 6, 8), (1, 2, 7, 5), (4, 4)])
def test_the_largest_of_each_window_is_max_pooling_of_torch(shape: tuple[int, ...]) -> None:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    expected = F.max_pool2d(values[None], 2)[0] if len(shape) < 4 else F.max_pool2d(values, 2)
    assert torch.equal(pooled(values), expected)


def test_a_field_without_pooling_is_that_of_the_network_without_it() -> None:
    """Pooling by 1 builds the same network without pooling."""
    with torch.device("meta"):
        with_pools, without = (CNN((1, 28, 28), 10, [4, 4, 4], pool_size=size) for size in (2, 1))
    fields = {
        row.layer.name: field
        for rows in [trace(with_pools, (1, 28, 28))]
        for row, field in zip(rows, fields_without_pooling(rows), strict=True)
        if row.layer.kind == "Conv2d"
    }
    expected = [
        row.layer.receptive_field for row in trace(without, (1, 28, 28)) if row.layer.kind == "Conv2d"
    ]
    assert list(fields.values()) == expected == [3, 5, 7]


def test_pooling_shows_maxima_and_forgets_shifts(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "pooling", *SMALL, "out=p")
    assert outcome.code == 0, outcome.err
    lines = outcome.out.splitlines()
    block = [numbers(line)[1:] for line in lines if "│" in line]
    assert len(block) == 6
    for upper, lower in zip(block[0::2], block[1::2], strict=True):
        windows = [max(upper[at : at + 2] + lower[at : at + 2]) for at in (0, 2, 4)]
        assert lower[6:] == windows
    told = " ".join(outcome.out.split())
    assert "28×28 = 784 numbers become 14×14 = 196, 4 times fewer" in told
    assert told.count("largest difference is 0e+00") == 1 and "(largest difference 0e+00)" in told
    changes = [line.split() for line in lines if re.match(r"(none|\d+×\d+(, the whole map)?) .*%$", line)]
    shares = [float(words[-2].rstrip("%")) for words in changes]
    assert len(shares) == 5 and shares == sorted(shares, reverse=True) and shares[-1] < shares[0] / 2
    assert [line.split()[-2:] for line in lines if line.startswith("features.3 ")] == [["8", "5"]]
    assert Path("p/pooling.png").read_bytes().startswith(PNG)
    tiny = ("data=fake", "data.source.size=60", "data.image_size=4", "model.channels=[3]", "epochs=1")
    is_told(cnntrain("explain", "pooling", *tiny, *PLAIN), "maps of 4×4 are too small to show: 6×6 at least")
