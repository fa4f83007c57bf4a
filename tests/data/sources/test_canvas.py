"""Canvases of digits: image, mask and boxes agree, and follow from the seed and the index alone."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torch import Tensor
from work import calls_of

from cnntrain.data.sources.builtin import MNISTMini
from cnntrain.data.sources.canvas.compose import Canvases, Geometry, compose
from cnntrain.data.sources.canvas.draws import Draws
from cnntrain.errors import UserError

PLAIN = Geometry(size=(48, 72), digits=(1, 4), digit_size=(16, 28))
BUSY = replace(PLAIN, overlap=0.4, noise=0.1, clutter=4)
DIGITS = {train: MNISTMini(train) for train in (True, False)}


def canvases(geometry: Geometry, indices: range, seed: int = 0, train: bool = True) -> Canvases:
    source = DIGITS[train]
    draws = Draws(seed, train)
    return compose(source.images[:, 0].numpy(), source.labels.numpy(), geometry, draws, np.array(indices))


def boxes_of(found: Canvases, index: int) -> tuple[Tensor, Tensor]:
    """Return the boxes and the digits of one canvas."""
    begin = int(found.counts[:index].sum())
    here = slice(begin, begin + int(found.counts[index]))
    return found.boxes[here], found.labels[here]


def is_same(one: Canvases, other: Canvases) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Canvases))


@pytest.mark.parametrize("geometry", [PLAIN, BUSY], ids=["plain", "busy"])
def test_a_canvas_depends_on_seed_and_index_alone(
    geometry: Geometry, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = canvases(geometry, range(40))
    assert is_same(many, canvases(geometry, range(40)))
    one = canvases(geometry, range(17, 18))
    assert torch.equal(one.images[0], many.images[17]) and torch.equal(one.masks[0], many.masks[17])
    assert torch.equal(one.boxes, boxes_of(many, 17)[0])
    monkeypatch.setattr("cnntrain.data.sources.canvas.compose.AT_ONCE", 48 * 72 * 3)  # three at a time
    assert is_same(many, canvases(geometry, range(40)))


def test_canvases_differ_by_index_by_seed_and_by_part() -> None:
    def images(seed: int = 0, train: bool = True) -> set[bytes]:
        found = canvases(PLAIN, range(300), seed, train).images
        return {image.numpy().tobytes() for image in found}

    assert len(images()) == 300
    assert not images() & images(seed=1)
    assert not images() & images(train=False)


def test_shapes_and_types_are_those_of_training() -> None:
    found = canvases(PLAIN, range(50))
    assert found.images.shape == (50, 1, 48, 72) and found.images.dtype == torch.uint8
    assert found.masks.shape == (50, 48, 72) and found.masks.dtype == torch.uint8
    assert found.boxes.shape == (int(found.counts.sum()), 4) and found.boxes.dtype == torch.float32
    assert found.labels.dtype == torch.int64 and set(found.labels.tolist()) == set(range(10))


def test_the_mask_has_exactly_the_visible_pixels() -> None:
    """Without noise and clutter an image is bright where the mask has a digit, and nowhere else."""
    for threshold in (0.0, 0.2, 0.5):
        geometry = replace(PLAIN, overlap=0.4, threshold=threshold)
        found = canvases(geometry, range(100))
        assert torch.equal(found.images[:, 0] > 255 * threshold, found.masks > 0)


def test_a_pixel_has_the_class_of_its_digit() -> None:
    """On canvases of one digit, unscaled and as large as it, image and mask are those of the digit."""
    source = DIGITS[True]
    found = canvases(Geometry((28, 28), (1, 1), (28, 28)), range(len(source)))
    assert torch.equal(found.labels.sort().values, source.labels.sort().values)  # each digit once
    known = {image.numpy().tobytes(): int(label) for image, label in zip(*tensors(source), strict=True)}
    for image, mask, label in zip(found.images, found.masks, found.labels.tolist(), strict=True):
        assert known[image.numpy().tobytes()] == label
        assert set(mask.unique().tolist()) == {0, label + 1}


def tensors(source: MNISTMini) -> tuple[Tensor, Tensor]:
    return source.images, source.labels


def test_noise_and_clutter_are_background() -> None:
    plain = canvases(replace(PLAIN, overlap=0.4), range(100))
    busy = canvases(BUSY, range(100))
    assert torch.equal(plain.masks, busy.masks) and torch.equal(plain.boxes, busy.boxes)
    cluttered = canvases(replace(BUSY, noise=0.0), range(100)).images[:, 0]
    digit = plain.masks > 0
    assert torch.equal(cluttered[digit], plain.images[:, 0][digit])  # digits lie on top
    assert (cluttered[~digit] > 127).any()
    noisy = canvases(replace(PLAIN, noise=0.1, overlap=0.4), range(100)).images.float()
    grey = (plain.images > 100) & (plain.images < 155)  # where noise reaches neither black nor white
    assert (noisy - plain.images)[grey].std().item() == pytest.approx(25.5, rel=0.05)


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_boxes_are_tight_around_what_is_visible(overlap: float) -> None:
    found = canvases(replace(PLAIN, overlap=overlap), range(100))
    for index in range(100):
        boxes, labels = boxes_of(found, index)
        covered = torch.zeros(48, 72, dtype=torch.bool)
        for (left, top, right, bottom), label in zip(boxes.int().tolist(), labels.tolist(), strict=True):
            own = found.masks[index, top:bottom, left:right] == label + 1
            assert own[0].any() and own[-1].any() and own[:, 0].any() and own[:, -1].any()
            covered[top:bottom, left:right] = True
        assert not (found.masks[index] > 0)[~covered].any()


def test_digits_do_not_overlap_unless_they_may() -> None:
    def widest(overlap: float) -> float:
        """Return the largest share of a box that another one covers."""
        found = canvases(replace(PLAIN, digits=(4, 4), overlap=overlap), range(200))
        shares = [0.0]
        for index in range(200):
            boxes, _ = boxes_of(found, index)
            low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
            high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
            common = (high - low).clamp(min=0).prod(-1)
            areas = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
            share = common / torch.minimum(areas[:, None], areas[None])
            shares.append(float(share.fill_diagonal_(0).max()))
        return max(shares)

    assert widest(0.0) == 0
    assert widest(0.3) > 0.2


def test_counts_and_sizes_fill_their_ranges_evenly() -> None:
    found = canvases(replace(PLAIN, digits=(0, 3)), range(2000))
    shares = torch.bincount(found.counts, minlength=4) / 2000
    assert torch.allclose(shares, torch.full((4,), 0.25), atol=0.03)
    longer = (found.boxes[:, 2:] - found.boxes[:, :2]).amax(1).int()
    assert 9 <= longer.min() <= 12 and 19 <= longer.max() <= 21  # MNIST scales digits to 20 of 28 pixels
    classes = torch.bincount(found.labels, minlength=10) / len(found.labels)
    assert torch.allclose(classes, torch.full((10,), 0.1), atol=0.02)


def test_training_and_test_canvases_have_digits_of_their_own_part() -> None:
    """A digit that is pasted as it is can be found again among those that it may be from."""
    geometry = Geometry((28, 60), (1, 1), (28, 28))
    for train in (True, False):
        own = {image.numpy().tobytes() for image in DIGITS[train].images}
        other = {image.numpy().tobytes() for image in DIGITS[not train].images}
        found = canvases(geometry, range(100), train=train)
        for image in found.images:
            windows = {image[:, :, left : left + 28].numpy().tobytes() for left in range(33)}
            assert windows & own and not windows & other


def test_digits_without_room_are_told() -> None:
    with pytest.raises(UserError, match=r"do not fit on a canvas of 40x40 with data\.overlap=0: take fewer"):
        canvases(Geometry((40, 40), (6, 6), (28, 28)), range(20))


def test_canvases_are_composed_many_at_a_time() -> None:
    geometry = Geometry((64, 64), (1, 3), (20, 36), noise=0.05)
    few = calls_of(lambda: canvases(geometry, range(50)))
    many = calls_of(lambda: canvases(geometry, range(200)))
    assert many < 2 * few  # 26,738 and 20,597: there is no loop over canvases
