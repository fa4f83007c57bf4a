"""Augmentation: what it may change, what it keeps, and that every image has a draw of its own."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Command, is_told
from image_tree import digits
from torch import Generator, Tensor

from cnntrain.data.augment import color, policies
from cnntrain.data.augment.augment import Augment
from cnntrain.data.augment.crop import random_crop
from cnntrain.data.augment.geometry import random_erase, random_flip, random_rotate, random_shift

SHAPES = [(1, 28, 28), (3, 20, 31), (3, 31, 20)]


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def noise(count: int, shape: tuple[int, int, int]) -> Tensor:
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=seeded(1))


def augment(shift: int = 0, flip: float = 0.0, rotate: float = 0.0, erase: float = 0.0) -> Augment:
    return Augment(shift, flip, rotate, erase)


KINDS = {
    "shift": augment(shift=3),
    "flip": augment(flip=0.5),
    "rotate": augment(rotate=30.0),
    "erase": augment(erase=0.7),
    "all": augment(shift=3, flip=0.5, rotate=30.0, erase=0.7),
    "crop": Augment(0, 0, 0, 0, crop=0.08),
    "jitter": Augment(0, 0, 0, 0, jitter=0.5),
    "trivialaugment": Augment(0, 0, 0, 0, trivialaugment=1.0),
    "randaugment": Augment(0, 0, 0, 0, randaugment=9),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@every_kind
@pytest.mark.parametrize("shape", SHAPES)
def test_shape_and_bytes_stay_and_the_input_is_not_written_to(
    kind: Augment, shape: tuple[int, int, int]
) -> None:
    x = noise(16, shape)
    before = x.clone()
    changed = kind(x, seeded())
    assert changed.shape == x.shape
    assert changed.dtype == torch.uint8
    assert not torch.equal(changed, x)
    assert torch.equal(x, before)


@every_kind
def test_the_same_seed_changes_the_same_and_another_seed_otherwise(kind: Augment) -> None:
    x = noise(16, (1, 28, 28))
    assert torch.equal(kind(x, seeded(3)), kind(x, seeded(3)))
    assert not torch.equal(kind(x, seeded(3)), kind(x, seeded(4)))


@every_kind
def test_only_the_given_generator_is_drawn_from(kind: Augment) -> None:
    state = torch.get_rng_state()
    kind(noise(4, (1, 28, 28)), seeded())
    assert torch.equal(torch.get_rng_state(), state)


@every_kind
def test_every_image_has_a_draw_of_its_own(kind: Augment) -> None:
    same = noise(1, (1, 28, 28)).expand(64, -1, -1, -1)
    variants = {bytes(image.numpy().tobytes()) for image in kind(same, seeded())}
    assert len(variants) > 1 if kind is KINDS["flip"] else len(variants) > 20


def test_nothing_is_switched_on_at_zero() -> None:
    x = noise(4, (3, 20, 31))
    assert not augment()
    assert torch.equal(augment()(x, seeded()), x)
    assert all(KINDS.values())


@pytest.mark.parametrize("shape", SHAPES)
def test_zero_strength_leaves_images_as_they_are(shape: tuple[int, int, int]) -> None:
    x = noise(4, shape)
    for change in (random_shift, random_flip, random_rotate, random_erase):
        assert torch.equal(change(x, 0, seeded()), x), change.__name__


def moved(image: Tensor, down: int, right: int) -> Tensor:
    """An image (C, H, W), moved by hand; what comes in is black."""
    result = torch.zeros_like(image)
    _, height, width = image.shape
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[:, row, column] = image[:, row - down, column - right]
    return result


def test_shift_moves_by_up_to_n_pixels_each_way_and_black_comes_in() -> None:
    image = noise(1, (2, 6, 9))[0] | 1  # no pixel is black
    allowed = {
        moved(image, down, right).numpy().tobytes(): (down, right)
        for down in range(-2, 3)
        for right in range(-2, 3)
    }
    shifted = random_shift(image.expand(400, -1, -1, -1), 2, seeded())
    found = [allowed[one.numpy().tobytes()] for one in shifted]
    assert set(found) == set(allowed.values())  # each of the 25 ways, the corners too


def test_shift_may_be_wider_than_the_image() -> None:
    assert random_shift(noise(8, (1, 3, 5)), 9, seeded()).shape == (8, 1, 3, 5)


def test_flip_mirrors_left_to_right_with_its_probability() -> None:
    x = noise(1000, (2, 3, 4))
    assert torch.equal(random_flip(x, 1.0, seeded()), x.flip(3))
    flipped = random_flip(x, 0.3, seeded())
    mirrored = (flipped == x.flip(3)).flatten(1).all(1)
    assert (mirrored | (flipped == x).flatten(1).all(1)).all()
    assert mirrored.float().mean().item() == pytest.approx(0.3, abs=0.05)


def test_large_images_are_flipped_by_the_same_draws_and_left_as_they_were() -> None:
    x = noise(20, (3, 150, 150))
    before, small = x.clone(), noise(20, (3, 5, 5))
    assert torch.equal(random_flip(x, 1.0, seeded()), x.flip(3))
    flipped, mirrored = (random_flip(of, 0.3, seeded()) != of for of in (x, small))
    assert torch.equal(flipped.flatten(1).any(1), mirrored.flatten(1).any(1)) and flipped.any()
    assert torch.equal(x, before)


def centroids(x: Tensor) -> tuple[Tensor, Tensor]:
    """How far below and to the right of the centre the brightness of each image lies, in pixels."""
    height, width = x.shape[2:]
    weight = x[:, 0].double() / x[:, 0].double().sum((1, 2), keepdim=True)
    rows = torch.arange(height).view(1, -1, 1) - (height - 1) / 2
    columns = torch.arange(width).view(1, 1, -1) - (width - 1) / 2
    return (weight * rows).sum((1, 2)), (weight * columns).sum((1, 2))


@pytest.mark.parametrize(("height", "width"), [(41, 41), (41, 61), (61, 41)])
@pytest.mark.parametrize("degrees", [10.0, 180.0])
def test_rotate_turns_about_the_centre_by_up_to_its_degrees(height: int, width: int, degrees: float) -> None:
    """A dot 12 pixels to the right of the centre stays 12 pixels from it in images of any shape."""
    x = torch.zeros(500, 1, height, width, dtype=torch.uint8)
    x[:, :, height // 2 - 1 : height // 2 + 2, width // 2 + 11 : width // 2 + 14] = 255
    down, right = centroids(random_rotate(x, degrees, seeded()))
    assert torch.allclose((down**2 + right**2).sqrt(), torch.tensor(12.0).double(), atol=0.1)
    angles = torch.rad2deg(torch.atan2(down, right))
    assert angles.abs().max() <= degrees + 0.5
    assert angles.min() < -0.9 * degrees  # both ways, all the way
    assert angles.max() > 0.9 * degrees
    assert angles.mean().abs() < 0.1 * degrees


def test_a_turned_image_keeps_its_brightness_and_black_comes_in() -> None:
    x = torch.full((50, 1, 29, 29), 200, dtype=torch.uint8)
    turned = random_rotate(x, 45.0, seeded())
    assert (turned[:, :, 8:21, 8:21] == 200).all()  # far from the corners nothing comes in
    assert turned[:, :, 0, 0].min() == 0
    assert turned.max() == 200


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    """Of many turns by up to 180 degrees, one that comes near 90 looks like torch's own rot90."""
    x = torch.zeros(1, 1, 21, 21, dtype=torch.uint8)
    x[:, :, 2:6, 5:16] = 255  # a bar near the upper edge
    turned = random_rotate(x.expand(2000, -1, -1, -1), 180.0, seeded()).float()
    for quarters in (1, 2, 3):
        error = (turned - torch.rot90(x, quarters, (2, 3)).float()).abs().mean(dim=(1, 2, 3)).min()
        assert error < 1.0


@pytest.mark.parametrize("shape", [(1, 100, 100), (3, 60, 120)])
def test_erase_blackens_one_rectangle_of_2_to_33_percent(shape: tuple[int, int, int]) -> None:
    x = torch.full((1000, *shape), 255, dtype=torch.uint8)
    black = random_erase(x, 1.0, seeded()) == 0
    assert torch.equal(black, black[:, :1].expand_as(black))  # in all channels
    rows, columns = black[:, 0].any(2).sum(1), black[:, 0].any(1).sum(1)
    area = black[:, 0].sum((1, 2))
    assert torch.equal(area, rows * columns)  # one rectangle without holes
    share = area / (shape[1] * shape[2])
    assert 0.015 < share.min() < 0.03
    assert 0.32 < share.max() < 0.345
    assert share.mean().item() == pytest.approx((0.02 + 0.33) / 2, abs=0.01)


def test_erase_reaches_every_pixel() -> None:
    x = torch.full((2000, 1, 28, 28), 255, dtype=torch.uint8)
    black = random_erase(x, 1.0, seeded()) == 0
    assert black.any(0).all()


def test_erase_changes_images_with_its_probability() -> None:
    x = torch.full((1000, 1, 28, 28), 255, dtype=torch.uint8)
    erased = (random_erase(x, 0.25, seeded()) == 0).flatten(1).any(1)
    assert erased.float().mean().item() == pytest.approx(0.25, abs=0.05)


def test_turns_are_even_about_zero() -> None:
    """Rounding to bytes must not make images darker: bilinear weights add up to one."""
    x = noise(200, (1, 28, 28))
    turned = random_rotate(x, 5.0, seeded())
    inner = slice(6, 22)
    assert turned[:, :, inner, inner].float().mean().item() == pytest.approx(
        x[:, :, inner, inner].float().mean().item(), abs=1.0
    )
    assert math.isclose(float(turned.float().mean()), float(x.float().mean()), rel_tol=0.05)


def test_a_crop_is_a_part_of_the_image_enlarged() -> None:
    """In an image whose brightness grows to the right, the ends of a row tell which part was taken."""
    x = torch.linspace(0, 255, 64).round().to(torch.uint8).expand(1000, 1, 64, 64)
    cropped = random_crop(x, 0.25, seeded()).float()[:, 0, 32]
    share = (cropped[:, 60] - cropped[:, 4]) / 255 * 63 / 56
    assert 0.4 < share.min() < 0.5 and share.max() > 0.98  # a quarter of the area, 3:4 at the narrowest
    left = cropped[:, 4] / 255
    assert left.min() < 0.06 and left.max() > 0.4  # from everywhere


# Colours: Pillow's own arithmetic, by way of torchvision, is the judge


def photographs(count: int = 6) -> Tensor:
    """Images with soft edges, not all of the same contrast."""
    coarse = torch.rand(count, 3, 5, 5, generator=seeded(2)) * torch.linspace(0.3, 1, count).view(-1, 1, 1, 1)
    fine = torch.nn.functional.interpolate(coarse, size=(24, 31), mode="bilinear")
    return (255 * fine).round().to(torch.uint8)


ENHANCEMENTS = {
    "brightness": (color.brightness, "adjust_brightness", (0.2, 0.7, 1.0, 1.6)),
    "contrast": (color.contrast, "adjust_contrast", (0.0, 0.7, 1.0, 1.6)),
    "saturation": (color.saturation, "adjust_saturation", (0.0, 0.7, 1.0, 1.6)),
    "sharpness": (color.sharpness, "adjust_sharpness", (0.0, 0.7, 1.0, 1.9)),
    "posterize": (color.posterize, "posterize", (2, 5, 8)),
    "solarize": (color.solarize, "solarize", (0.0, 100.0, 255.0)),
}


@pytest.mark.parametrize("name", ENHANCEMENTS)
def test_colours_change_as_in_pillow_each_image_by_its_own_amount(name: str) -> None:
    ours, theirs, amounts = ENHANCEMENTS[name]
    judge = getattr(pytest.importorskip("torchvision.transforms.v2").functional, theirs)
    x = photographs(2 * len(amounts))
    each = ours(x, torch.tensor([float(amount) for amount in amounts]).repeat(2))
    for i, image in enumerate(x):
        assert (each[i].int() - judge(image, amounts[i % len(amounts)]).int()).abs().max() <= 1


@pytest.mark.parametrize("name", ["autocontrast", "equalize"])
def test_histograms_are_stretched_as_in_pillow(name: str) -> None:
    judge = getattr(pytest.importorskip("torchvision.transforms.v2").functional, name)
    x = torch.cat([photographs(), torch.full((1, 3, 24, 31), 7, dtype=torch.uint8)])
    expected = torch.stack([judge(image) for image in x])
    assert (getattr(color, name)(x).int() - expected.int()).abs().max() <= 1


def test_hue_keeps_greys_and_a_whole_turn_keeps_everything() -> None:
    x = photographs()
    turned = color.hue(x, torch.full((len(x),), 0.3))
    assert (turned.int() - x.int()).abs().max() > 40
    assert (color.hue(x, torch.ones(len(x))).int() - x.int()).abs().max() <= 1
    greys = noise(4, (1, 20, 20)).expand(-1, 3, -1, -1)
    assert (color.hue(greys, torch.full((4,), 0.3)).int() - greys.int()).abs().max() <= 1


def test_jitter_stays_within_its_factors() -> None:
    x = torch.full((500, 1, 4, 4), 100, dtype=torch.uint8)
    bright = color.random_jitter(x, 0.4, seeded())[:, 0, 0, 0]
    assert 58 <= bright.min() < 64 and 136 < bright.max() <= 142


@pytest.mark.parametrize("number", range(14))
def test_every_way_of_a_policy_does_what_torchvisions_does(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the draw of the way fixed, half the strength up or down gives torchvision's image."""
    v2 = pytest.importorskip("torchvision.transforms.v2")
    x = photographs(2)
    draw = torch.randint
    monkeypatch.setattr(torch, "randint", lambda *args, **named: draw(*args, **named).fill_(number))
    out = policies.change(x, torch.full((2,), 0.5), seeded(5), (0.3, 0.4, 30.0, 0.9, 4.0))
    monkeypatch.undo()

    def affine(sign: float, angle: float = 0, right: float = 0, down: float = 0, shear: Any = (0, 0)) -> Any:
        return v2.functional.affine(
            x,
            angle=sign * angle,
            translate=[sign * right, sign * down],
            scale=1.0,
            shear=[sign * s for s in shear],
            interpolation=v2.InterpolationMode.BILINEAR,
        )

    slope = math.degrees(math.atan(0.15))
    geometric: dict[int, dict[str, Any]] = {
        1: {"shear": (slope, 0)},
        2: {"shear": (0, slope)},
        3: {"right": 0.2 * 31},
        4: {"down": 0.2 * 24},
        5: {"angle": 15.0},
    }
    enhanced = {6: "brightness", 7: "saturation", 8: "contrast", 9: "sharpness"}
    if number in geometric:
        expected = [affine(sign, **geometric[number]) for sign in (-1, 1)]
    elif number in enhanced:
        adjust = getattr(v2.functional, f"adjust_{enhanced[number]}")
        expected = [adjust(x, factor) for factor in (0.55, 1.45)]
    else:
        f = v2.functional
        other = {
            0: x,
            10: f.posterize(x, 6),
            11: f.solarize(x, 127.5),
            12: f.autocontrast(x),
            13: f.equalize(x),
        }
        expected = [other[number]]
    inner = (slice(None), slice(6, -6), slice(8, -8))  # rims are filled in another way
    for i, image in enumerate(out):
        assert min((image[inner].float() - e[i][inner].float()).abs().mean() for e in expected) < 1.5


def test_a_policy_keeps_its_probability() -> None:
    x = photographs(1).expand(600, -1, -1, -1)
    same = (policies.trivial_augment(x, 0.5, seeded()) == x).flatten(1).all(1).float().mean()
    assert 0.5 < same < 0.65  # those that were not chosen, and a fourteenth of the others
    assert torch.equal(policies.trivial_augment(x, 0.0, seeded()), x)


@pytest.mark.parametrize("choice", ["imagenet", "trivial"])
def test_choices_for_photographs_train(cnntrain: Command, choice: str) -> None:
    outcome = cnntrain("train", *TINY, f"augment={choice}", "augment.jitter=0.4")
    assert outcome.code == 0 and "crop 0.08, flip 0.5" in outcome.out


def test_hue_of_grey_images_is_told(torchless: Command) -> None:
    is_told(
        torchless("train", "augment.hue=0.1"), "augment.hue=0.1 needs images in colour", "data.channels=1"
    )


# Mixing

CLASSES = 10


def mixed(kind: Augment, count: int = 400, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images of one value each, so that the share of another one can be read off them."""
    y = torch.arange(count) % CLASSES
    x = y.float().view(-1, 1, 1, 1).expand(-1, 1, 16, 16).contiguous()
    out, shares = kind.mix(x, y, CLASSES, seeded(seed))
    return x, y, out, shares


def test_mixup_blends_images_and_labels_by_the_same_share() -> None:
    x, y, out, shares = mixed(Augment(0, 0, 0, 0, mixup=0.4))
    assert torch.allclose(shares.sum(dim=1), torch.ones(len(y)))
    assert torch.allclose(out.mean(dim=(1, 2, 3)), shares @ torch.arange(CLASSES).float(), atol=1e-4)
    assert (out.flatten(1).std(dim=1) < 1e-5).all()  # no rectangle
    own = shares[torch.arange(len(y)), y]
    assert own.min() < 0.1 and own.max() > 0.9 and len(own.unique()) > 300  # a draw for each
    assert torch.equal(x, y.float().view(-1, 1, 1, 1).expand_as(x))  # which was not written to


def test_cutmix_pastes_as_much_of_the_image_as_of_the_label() -> None:
    _, y, out, shares = mixed(Augment(0, 0, 0, 0, cutmix=1.0))
    for image, label, share in zip(out, y, shares, strict=True):
        values = image.unique()
        assert len(values) <= 2 and float(label) in [*values.tolist(), label.item()]
        for value in values:
            assert (image == value).float().mean().item() == pytest.approx(share[int(value)].item(), abs=1e-5)
    assert torch.allclose(shares.sum(dim=1), torch.ones(len(y)))


def test_with_both_each_image_gets_one_or_the_other() -> None:
    _, _, out, _ = mixed(Augment(0, 0, 0, 0, mixup=0.4, cutmix=1.0))
    whole = {float(v) for v in range(CLASSES)}
    pasted = [set(image.unique().tolist()) <= whole and len(image.unique()) == 2 for image in out]
    blended = [len(image.unique()) == 1 and float(image[0, 0, 0]) not in whole for image in out]
    assert 100 < sum(pasted) < 200 and 100 < sum(blended) < 250


def test_mixing_follows_from_the_seed() -> None:
    kind = Augment(0, 0, 0, 0, mixup=0.4, cutmix=1.0)
    assert all(torch.equal(a, b) for a, b in zip(mixed(kind), mixed(kind), strict=True))
    assert not torch.equal(mixed(kind)[2], mixed(kind, seed=1)[2])


@pytest.mark.parametrize("mixing", ["augment.mixup=0.2", "augment.cutmix=1"])
def test_a_run_that_mixes_learns_and_a_loss_that_cannot_is_told(cnntrain: Command, mixing: str) -> None:
    outcome = cnntrain("train", "model=mlp", "epochs=2", mixing, "report=false", "out=run")
    assert outcome.code == 0 and mixing.partition("=")[0].removeprefix("augment.") in outcome.out
    assert json.loads(Path("run/summary.json").read_text())["test"]["accuracy"] > 0.8
    loss = "criterion._target_=torch.nn.MultiMarginLoss"
    is_told(cnntrain("train", mixing, loss), "MultiMarginLoss can't compare logits with")


def test_what_the_network_sees_is_drawn(cnntrain: Command) -> None:
    digits(Path("images"), 6)
    for words in (("images", "augment=photos"), ("augment=digits", "augment.mixup=0.2")):
        done = cnntrain("data", *words, "--augmented", "seen.png")
        assert done.code == 0 and "seen.png shows 8 images, each with 8 draws" in done.out
        assert Path("seen.png").read_bytes().startswith(b"\x89PNG")
        Path("seen.png").unlink()
    is_told(cnntrain("data", "images", "--augmented", "seen.png"), "nothing is augmented", "augment=photos")


def test_what_can_not_be_drawn_is_told(torchless: Command) -> None:
    is_told(torchless("data", "no", "--augmented", "seen.png"), "data.root=no is not there")
    is_told(torchless("data", "a", "b", "--augmented", "seen.png"), "one folder of images, not 2", "'a b'")
    is_told(
        torchless("data", "images", "--augmented", "x", "--json", "y"), "--json is an option of the audit"
    )
