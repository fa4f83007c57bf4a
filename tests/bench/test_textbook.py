"""The textbook's data sets of `cnntrain bench`: what they hand out is what the others train on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from cnntrain.bench.textbook.canvases import TextbookCanvases
from cnntrain.bench.textbook.datasets import TextbookAnnotated, in_lists, stacked, textbook_dataset
from cnntrain.bench.textbook.sequences import TextbookSequences, padded_batch
from cnntrain.bench.textbook.transforms import transforms
from cnntrain.config.composer import composed
from cnntrain.config.sections import BenchSettings
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.sequences.dataset import SequenceDataset
from cnntrain.data.sequences.standardize import Standardize
from cnntrain.data.sources import MNISTCanvas
from cnntrain.data.sources.canvas.compose import Geometry

BARS = np.zeros((10, 28, 28), dtype=np.uint8)
for _digit in range(10):
    BARS[_digit, 4:24, 10:18] = 255 - _digit
MEAN, STD = [0.5], [0.25]


def canvases(
    strengths: Mapping[str, float] | None = None, targets: str = "masks", **changed: Any
) -> TextbookCanvases:
    geometry = Geometry(**{"size": (40, 60), "digits": (1, 3), "digit_size": (14, 20), **changed})
    transform = transforms(strengths or {}, geometry.size, (MEAN, STD), targets)
    return TextbookCanvases(BARS, list(range(10)), geometry, 30, transform, targets)


def pixels(image: torch.Tensor) -> torch.Tensor:
    return (image * STD[0] + MEAN[0]) * 255


def test_each_pixel_of_a_digit_has_its_class_and_all_others_are_background() -> None:
    counts = set()
    for index in range(30):
        image, mask = canvases()[index]
        assert image.dtype == torch.float32 and image.shape == (1, 40, 60)
        assert mask.dtype == torch.uint8 and mask.shape == (40, 60)
        bright = pixels(image)[0].round() > 51
        assert torch.equal(bright, mask > 0)
        counts.add(len(mask.unique()) - 1)
    assert counts >= {1, 2, 3}


def test_a_canvas_follows_from_its_index() -> None:
    first, again, other = canvases()[3], canvases()[3], canvases()[4]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


def test_noise_and_clutter_change_the_image_alone() -> None:
    plain, noisy = canvases(digits=(0, 0))[0], canvases(digits=(0, 0), noise=0.1, clutter=4)[0]
    assert not plain[1].any() and not noisy[1].any()
    assert pixels(plain[0]).max() < 1 < pixels(noisy[0]).max()


@pytest.mark.parametrize("strengths", [{"flip": 1.0}, {"shift": 6.0}, {"rotate": 30.0}, {"crop": 0.5}])
def test_masks_move_with_their_images(strengths: dict[str, float]) -> None:
    still, moved = canvases(digits=(1, 1))[1], canvases(strengths, digits=(1, 1))[1]
    bright = pixels(moved[0])[0] > 128
    known = moved[1] != 255
    assert not torch.equal(still[1], moved[1])
    assert (bright == (moved[1] > 0))[known].float().mean() > 0.97


def test_masks_in_memory_are_handed_out_one_by_one() -> None:
    images = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    masks = torch.randint(0, 2, (5, 8, 8), dtype=torch.uint8)
    transform = transforms({}, (8, 8), ([0.5] * 3, [0.25] * 3), "masks")
    dataset = TextbookAnnotated(InMemoryDataset(images, masks, ["a", "b"]), 4, transform)
    assert len(dataset) == 4
    image, mask = dataset[2]
    assert torch.equal(pixels(image).round().to(torch.uint8), images[2]) and torch.equal(mask, masks[2])


@pytest.mark.parametrize("strengths", [{}, {"flip": 1.0}, {"shift": 6.0}, {"rotate": 30.0}, {"crop": 0.5}])
def test_boxes_lie_around_their_digits_and_move_with_them(strengths: dict[str, float]) -> None:
    seen = 0
    for index in range(10):
        image, target = canvases(strengths, "boxes", digits=(1, 1))[index]
        assert len(target["boxes"]) == len(target["labels"]) <= 1
        bright = (pixels(image)[0] > 128).nonzero()
        if not len(target["boxes"]) or not len(bright):
            continue
        seen += 1
        (y1, x1), (y2, x2) = bright.amin(dim=0).tolist(), (bright.amax(dim=0) + 1).tolist()
        left, top, right, bottom = target["boxes"][0].tolist()
        slack = 6 if "rotate" in strengths else 1.5  # the corners of a box that is turned lie outside
        assert left <= x1 + 1.5 and top <= y1 + 1.5 and right >= x2 - 1.5 and bottom >= y2 - 1.5
        assert x1 - left <= slack and y1 - top <= slack and right - x2 <= slack and bottom - y2 <= slack
    assert seen >= 5


def test_boxes_of_lists_become_a_table_and_those_that_are_ignored_are_left_out() -> None:
    images = torch.randint(0, 256, (2, 1, 8, 8), dtype=torch.uint8)
    rows = torch.tensor(
        [[[0.0, 1, 4, 5, 2, 0], [1, 1, 3, 3, 0, 1]], [[2, 2, 8, 8, 1, 0], [0, 0, 4, 4, 0, 0]]],
    )
    data = InMemoryDataset(images, rows, ["a", "b", "c"])
    dataset = TextbookAnnotated(data, 2, transforms({}, (8, 8), None, "boxes"))
    lists = in_lists([dataset[0], dataset[1]])
    assert [target["labels"].tolist() for target in lists[1]] == [[2], [1, 0]]
    x, table = stacked(*lists)
    assert torch.equal((x * 255).round().to(torch.uint8), images)
    assert table.tolist() == [[[0, 1, 4, 5, 2, 0], [0, 0, 0, 0, -1, 0]], rows[1].tolist()]


def test_sequences_are_standardised_one_by_one_and_padded_to_the_longest_of_a_batch() -> None:
    steps, lengths = torch.randn(9, 2), torch.tensor([2, 4, 3])
    sequences = SequenceDataset(steps, lengths, torch.tensor([1, 0, 1]), ["a", "b"], steps=5)
    dataset = TextbookSequences(sequences, 2, [1.0, 2.0], [0.5, 4.0])
    assert len(dataset) == 2
    x, y = padded_batch([dataset[1], dataset[0]])
    expected = Standardize([1.0, 2.0], [0.5, 4.0], torch.device("cpu"))(
        sequences.gather(torch.tensor([1, 0]))
    )
    torch.testing.assert_close(x, expected)
    assert y.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        (["data=mnist_canvas"], TextbookCanvases, "composed"),
        (
            [
                "data=mnist_canvas",
                "data.source._target_=my.Canvases",
                "data.targets=masks",
                "data.num_classes=11",
            ],
            TextbookAnnotated,
            "v2 transforms image by image",
        ),
    ],
)
def test_canvases_are_composed_and_other_masks_are_read(words: list[str], kind: type, told: str) -> None:
    settings = BenchSettings.from_config(composed(words, None).completed())
    own = settings.data.passed_on
    names = ("digits", "digit_size", "overlap", "noise", "clutter", "threshold", "canvas_seed")
    images = MNISTCanvas(True, settings.data.image_size, **{name: own[name] for name in names}, canvases=6)
    dataset, explained = textbook_dataset(settings.data, images, 100, {})
    assert isinstance(dataset, kind) and len(dataset) == 6 and told in explained
    image, mask = dataset[5]
    assert image.shape == images.images[5].shape and mask.shape == images.labels[5].shape
