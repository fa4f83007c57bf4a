"""Masks and boxes move with their images: by the same draws, to the pixel, and without new labels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from cnntrain.data.augment.annotations import Annotated
from cnntrain.data.augment.augment import Augment

FILL = 255
GEOMETRIC: dict[str, dict[str, Any]] = {
    "flip": {"flip": 0.5},
    "shift": {"shift": 4},
    "rotate": {"rotate": 180.0},
    "crop": {"crop": 0.2},
    "erase": {"erase": 0.8},
    "trivialaugment": {"trivialaugment": 0.8},
    "randaugment": {"randaugment": 20.0},
}
EVERY = {name: strength for kind in GEOMETRIC.values() for name, strength in kind.items()}
KINDS = {
    **GEOMETRIC,
    "every": {**EVERY, "jitter": 0.4},
}
SHAPES = [(1, 32, 32), (3, 20, 41), (1, 47, 26), (1, 260, 300)]


def augment(**kinds: Any) -> Augment:
    return Augment(**{"shift": 0, "flip": 0.0, "rotate": 0.0, "erase": 0.0, **kinds})


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def blobs(count: int, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Images and masks that say the same: a label for each of some coarse squares, 0 to 6."""
    _, height, width = shape
    coarse = torch.randint(0, 7, (count, 1, 5, 5), generator=seeded(1)).float()
    masks = torch.nn.functional.interpolate(coarse, size=(height, width), mode="nearest")
    return (40 * masks).to(torch.uint8).expand(-1, shape[0], -1, -1).contiguous(), masks[:, 0].to(torch.uint8)


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_are_the_same_whether_a_mask_comes_along_or_not(
    kinds: dict[str, Any], shape: tuple[int, int, int]
) -> None:
    images, masks = blobs(12, shape)
    changed = augment(**kinds).annotated(Annotated(images, masks), seeded(3))
    assert torch.equal(changed.images, augment(**kinds)(images, seeded(3)))
    assert changed.masks is not None and changed.masks.dtype == torch.uint8
    assert changed.masks.shape == masks.shape and changed.images.shape == images.shape


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_no_label_appears_that_was_not_there(kinds: dict[str, Any], shape: tuple[int, int, int]) -> None:
    images, masks = blobs(200, shape)
    masks = masks * 37 + 3  # far apart, so that a blend of two labels would show
    changed = augment(**kinds).annotated(Annotated(images, masks, fill=FILL), seeded()).masks
    assert changed is not None and not torch.equal(changed, masks)
    for before, after in zip(masks, changed, strict=True):
        assert set(after.unique().tolist()) <= {*before.unique().tolist(), FILL}


@pytest.mark.parametrize("kinds", GEOMETRIC.values(), ids=GEOMETRIC)
@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_a_dot_stays_on_its_mask(kinds: dict[str, Any], shape: tuple[int, int, int]) -> None:
    """Where the image is bright the mask has the dot's label, and nowhere else."""
    _, height, width = shape
    count = 300
    images = torch.full((count, *shape), 10, dtype=torch.uint8)
    masks = torch.zeros(count, height, width, dtype=torch.uint8)
    for index in range(count):
        row, column = 2 + index % (height - 6), 2 + 7 * index % (width - 6)
        images[index, :, row : row + 3, column : column + 3] = 250
        masks[index, row : row + 3, column : column + 3] = 5
    changed = augment(**kinds).annotated(Annotated(images, masks), seeded())
    assert changed.masks is not None
    if "trivialaugment" in kinds or "randaugment" in kinds:  # which change colours too
        return is_where_the_image_is(changed.images, changed.masks)
    bright = changed.images[:, 0] > 130  # more than half of the dot
    differ = (bright != (changed.masks == 5)).flatten(1).sum(1)
    exact = "crop" not in kinds and "rotate" not in kinds
    assert int(differ.max()) == 0 if exact else float(differ.float().mean()) < 0.12 * bright.sum() / count
    return None


def is_where_the_image_is(images: Tensor, masks: Tensor) -> None:
    """Check that a dot of any colour has the place of its mask, within half a pixel."""
    compared = 0
    for image, mask in zip(images[:, 0].float(), masks == 5, strict=True):
        odd = (image - image.median()).abs() > 60
        touches_border = odd[0].any() or odd[-1].any() or odd[:, 0].any() or odd[:, -1].any()
        if not mask.any() or not 4 <= int(odd.sum()) <= 20 or touches_border:
            continue  # out of sight, or black that came in beside it
        middle, own = (where.nonzero().float().mean(0) for where in (odd, mask))
        assert (middle - own).abs().max() < 0.75
        compared += 1
    assert compared > 60


def test_a_flip_mirrors_the_mask_exactly() -> None:
    images, masks = blobs(64, (1, 9, 14))
    changed = augment(flip=0.5).annotated(Annotated(images, masks), seeded())
    assert changed.masks is not None
    assert torch.equal(changed.masks * 40, changed.images[:, 0])
    assert 10 < (changed.masks != masks).flatten(1).any(1).sum() < 54


@pytest.mark.parametrize("kind", ["shift", "rotate"])
def test_what_comes_in_is_black_and_ignored(kind: str) -> None:
    images = torch.full((100, 1, 30, 30), 255, dtype=torch.uint8)
    masks = torch.ones(100, 30, 30, dtype=torch.uint8)
    changed = augment(**GEOMETRIC[kind]).annotated(Annotated(images, masks, fill=FILL), seeded())
    assert changed.masks is not None and set(changed.masks.unique().tolist()) == {1, FILL}
    outside = changed.masks == FILL
    assert (changed.images[:, 0][outside] < 130).all() and (changed.images[:, 0][~outside] > 120).all()
    again = augment(**GEOMETRIC[kind]).annotated(Annotated(images, masks, fill=0), seeded())
    assert again.masks is not None and torch.equal(again.masks == 0, outside)


def test_what_is_erased_is_black_and_ignored() -> None:
    images = torch.full((100, 1, 30, 30), 255, dtype=torch.uint8)
    changed = augment(erase=0.5).annotated(Annotated(images, images[:, 0] // 255), seeded())
    assert changed.masks is not None and torch.equal(changed.masks == FILL, changed.images[:, 0] == 0)


@pytest.mark.parametrize("kinds", [{"jitter": 0.5}, {"hue": 0.3}])
def test_colours_leave_masks_and_boxes_alone(kinds: dict[str, Any]) -> None:
    images, masks = blobs(8, (3, 20, 20))
    images = images + torch.arange(3, dtype=torch.uint8).view(1, 3, 1, 1)
    boxes = torch.tensor([[[1.0, 2.0, 9.0, 11.0]]]).expand(8, -1, -1)
    changed = augment(**kinds).annotated(Annotated(images, masks, boxes), seeded())
    assert changed.masks is masks and changed.boxes is boxes
    assert not torch.equal(changed.images, images)


def test_crops_may_have_another_size() -> None:
    masks = torch.zeros(50, 40, 40, dtype=torch.uint8)
    masks[:, :, 20:] = 1
    changed = augment(crop=0.3).annotated(Annotated(240 * masks[:, None], masks), seeded(), (24, 32))
    assert changed.masks is not None
    assert changed.images.shape == (50, 1, 24, 32) and changed.masks.shape == (50, 24, 32)
    differ = (changed.images[:, 0] > 120) != (changed.masks == 1)
    assert differ.sum(2).max() <= 1  # the pixel of a row in which the edge lies
    assert differ.sum(2).float().mean() < 0.3


# Boxes


def with_boxes(count: int, shape: tuple[int, int, int]) -> Annotated:
    """Images of two bright rectangles each, which the boxes and the masks are around."""
    _, height, width = shape
    images = torch.zeros(count, *shape, dtype=torch.uint8)
    boxes = torch.zeros(count, 3, 4)  # the last one is none
    for index in range(count):
        for number in range(2):
            tall, wide = 4 + (index + number) % 5, 5 + (2 * index + number) % 6
            left = (3 * index + 11 * number) % (width - wide)
            top = (5 * index + 7 * number) % (height - tall)
            images[index, :, top : top + tall, left : left + wide] = 255
            boxes[index, number] = torch.tensor([left, top, left + wide, top + tall])
    return Annotated(images, (images[:, 0] // 255), boxes)


@pytest.mark.parametrize("kind", ["flip", "shift", "crop"])
@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_boxes_stay_around_what_they_hold(kind: str, shape: tuple[int, int, int]) -> None:
    changed = augment(**GEOMETRIC[kind]).annotated(with_boxes(200, shape), seeded())
    assert changed.boxes is not None and changed.masks is not None
    assert (changed.boxes[:, 2] == 0).all()
    for boxes, mask in zip(changed.boxes, changed.masks == 1, strict=True):
        inside = torch.zeros_like(mask)
        for left, top, right, bottom in boxes[boxes[:, 2] > 0].round().int().tolist():
            inside[top:bottom, left:right] = True
        missed = mask & ~inside
        outside = inside & ~mask
        slack = 0 if kind != "crop" else 2 * shape[1]  # half a pixel at each edge
        dropped = (boxes[:2].sum(1) == 0).any()
        assert int(outside.sum()) <= slack
        assert dropped or int(missed.sum()) <= slack


def test_a_turned_box_is_around_its_turned_corners() -> None:
    """By a quarter turn a box becomes the box of the turned rectangle; by less it is larger."""
    batch = with_boxes(500, (1, 41, 41))
    changed = augment(rotate=90.0).annotated(batch, seeded())
    assert changed.boxes is not None and changed.masks is not None
    compared = 0
    for boxes, mask in zip(changed.boxes, changed.masks == 1, strict=True):
        if (boxes[:2].sum(1) == 0).any():
            continue
        rows, columns = mask.nonzero().unbind(1)
        low, high = boxes[:2, :2].amin(0), boxes[:2, 2:].amax(0)
        assert columns.min() >= low[0] - 1 and rows.min() >= low[1] - 1
        assert columns.max() < high[0] + 1 and rows.max() < high[1] + 1
        compared += 1
    assert compared > 300


def test_a_box_that_leaves_the_image_is_clipped_and_then_dropped() -> None:
    images = torch.zeros(400, 1, 20, 20, dtype=torch.uint8)
    boxes = torch.tensor([[[0.0, 5.0, 10.0, 15.0]]]).expand(400, -1, -1)
    changed = augment(shift=12).annotated(Annotated(images, None, boxes), seeded()).boxes
    assert changed is not None
    wide, tall = (changed[..., 2:] - changed[..., :2]).unbind(-1)
    assert changed.min() >= 0 and changed.max() <= 20
    assert set((wide * tall).unique().tolist()) >= {0.0, 100.0, 10.0}
    assert (wide * tall)[wide * tall > 0].min() >= 10  # a tenth of its area


def test_a_box_is_dropped_once_it_is_erased() -> None:
    images = torch.full((300, 1, 32, 32), 255, dtype=torch.uint8)
    boxes = torch.tensor([[[8.0, 8.0, 12.0, 14.0]]]).expand(300, -1, -1)
    changed = augment(erase=1.0).annotated(Annotated(images, None, boxes), seeded())
    left_in_sight = (changed.images[:, 0, 8:14, 8:12] > 0).flatten(1).float().mean(1)
    assert changed.boxes is not None
    assert torch.equal(changed.boxes[:, 0, 2] > 0, left_in_sight >= 0.1)
    assert (left_in_sight < 0.1).any() and ((left_in_sight > 0.1) & (left_in_sight < 1)).any()
