"""`cnntrain explain one_pixel`: images as vectors, and networks on shuffled pixels."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from conftest import Command
from torch import nn

from cnntrain.explain.topics.images.one_pixel import compared, in_one_order, order_of, shuffled

PLAIN = ("precision=fp32", "threads=1", "channels_last=false")
PNG = b"\x89PNG\r\n"


def test_shuffled_images_have_the_same_pixels_at_other_places() -> None:
    images = torch.arange(2 * 3 * 4 * 5).view(2, 3, 4, 5)
    mixed = shuffled(images, order_of(20))
    assert mixed.shape == images.shape and not torch.equal(mixed, images)
    assert torch.equal(mixed.flatten(2).sort(dim=2).values, images.flatten(2))
    assert torch.equal(mixed[0, 0] + 20, mixed[0, 1]) and torch.equal(mixed[0] + 60, mixed[1])


def test_a_linear_layer_with_shuffled_weights_computes_the_same_of_shuffled_images() -> None:
    """This is why an MLP does not care: what it can learn of images it can learn of shuffled ones."""
    x = torch.rand(5, 1, 6, 6)
    plain, other = (nn.Sequential(nn.Flatten(), nn.Linear(36, 3)) for _ in range(2))
    other.load_state_dict({"1.weight": plain[1].weight[:, order_of(36)], "1.bias": plain[1].bias})
    torch.testing.assert_close(other(in_one_order(x)), plain(x))


def test_vectors_are_compared_number_by_number() -> None:
    first, second = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    assert compared(first, second) == ("50.0%", "66.7%", "0.500", "1.41")
    assert compared(first, first) == ("0.0%", "0.0%", "1.000", "0.00")


def test_an_mlp_learns_shuffled_pixels_and_a_cnn_learns_them_worse(cnntrain: Command) -> None:
    small = ("limit=600", "epochs=2", "optim.lr=3e-3")
    outcome = cnntrain("explain", "one_pixel", *small, *PLAIN, "out=o")
    assert outcome.code == 0, outcome.err
    lines = [re.split(r"\s{2,}", line.strip()) for line in outcome.out.splitlines()]
    pairs = {line[0]: float(line[-1]) for line in lines if len(line) == 5 and re.match(r"[\d.]+$", line[-1])}
    assert list(pairs) == [
        *(f"itself, moved by {pixels}" for pixels in (1, 2, 3)),
        "another of its class",
        "one of another class",
    ]
    assert list(pairs.values())[:3] == sorted(list(pairs.values())[:3])
    changes = {line[0]: float(line[-1].split()[0]) for line in lines if line[-1].endswith(" points")}
    assert list(changes) == ["MLP", "CNN"]
    assert changes["CNN"] < changes["MLP"] - 2 and changes["MLP"] > -8
    assert max(map(len, outcome.out.splitlines())) <= 100
    assert Path("o/one_pixel.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("typed", [["model=mlp", "data=fake", "data.source.size=80", "data.image_size=8"]])
def test_one_network_and_colours_are_taken(cnntrain: Command, typed: list[str]) -> None:
    outcome = cnntrain("explain", "one_pixel", *typed, "epochs=1", *PLAIN, "out=o")
    assert outcome.code == 0, outcome.err
    assert "of 192 numbers" in outcome.out and "CNN" not in outcome.out
