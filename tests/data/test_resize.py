"""Images of any shape become squares, and random parts of them the squares that networks train on."""

from __future__ import annotations

import pytest
import torch
from conftest import Command, is_told
from torch import Generator, Tensor
from torchvision.transforms.v2 import functional

from cnntrain.data.augment import crop
from cnntrain.data.augment.augment import Augment
from cnntrain.data.augment.crop import central, random_crop, scaled_one_by_one, scaled_together
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.loader import EvalLoader, Normalize, TrainLoader
from cnntrain.data.resize import to_size

CPU = torch.device("cpu")


def smooth(count: int, channels: int, height: int, width: int) -> Tensor:
    coarse = torch.rand(count, channels, 6, 6, generator=Generator().manual_seed(0))
    fine = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    return (fine * 255).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("shape", [(30, 60), (60, 30), (24, 26), (8, 90)])
def test_crop_takes_the_middle_pad_takes_all_and_squash_changes_proportions(shape: tuple[int, int]) -> None:
    height, width = shape
    x = smooth(2, 3, height, width) | 1  # nothing is black
    cropped, padded, squashed = (to_size(x, 24, resize) for resize in ("crop", "pad", "squash"))
    assert cropped.shape == padded.shape == squashed.shape == (2, 3, 24, 24)
    short = min(shape)
    middle = functional.resize(functional.center_crop(x, [short, short]), [24, 24], antialias=True)
    assert (cropped.int() - middle.int()).abs().max() <= 1
    assert (squashed.int() - functional.resize(x, [24, 24], antialias=True).int()).abs().max() <= 1
    seen = (padded > 0).all(1).float().mean((1, 2))
    assert seen.tolist() == [pytest.approx(min(shape) / max(shape), abs=0.05)] * 2


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiny_results_are_right_too(size: int, channels: int) -> None:
    """torch's kernel for bytes is wrong below 4 pixels."""
    x = smooth(3, channels, 9, 9)
    expected = torch.nn.functional.interpolate(x.float(), (size, size), mode="bilinear", antialias=True)
    assert (to_size(x, size, "crop").float() - expected).abs().max() <= 1


@pytest.mark.parametrize("shape", [(400, 4), (400, 2), (4, 400), (90, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_thin_images_keep_their_pixels_when_padded(shape: tuple[int, int], channels: int) -> None:
    """torch's kernel for floats is wrong at a width of 1 where colours lie side by side."""
    x = smooth(2, channels, *shape).contiguous(memory_format=torch.channels_last)
    tall, wide = (max(1, round(side * 64 / max(shape))) for side in shape)
    expected = torch.nn.functional.interpolate(
        x.double().contiguous(), (tall, wide), mode="bilinear", antialias=True
    )
    top, left = (64 - tall) // 2, (64 - wide) // 2
    found = to_size(x, 64, "pad")[:, :, top : top + tall, left : left + wide]
    assert (found - expected).abs().max() <= 1


def test_parts_are_scaled_as_torchvision_does_it_on_cpus_and_by_the_form_for_gpus() -> None:
    x = smooth(5, 3, 60, 70)
    boxes = torch.tensor([[0, 0, 60, 70], [10, 5, 30, 20], [59, 69, 1, 1], [3, 4, 50, 7], [0, 30, 12, 40]])
    expected = torch.cat(
        [
            functional.resized_crop(x[i : i + 1], *box, [24, 32], antialias=True)
            for i, box in enumerate(boxes.tolist())
        ]
    )
    assert torch.equal(scaled_one_by_one(x, boxes, (24, 32)), expected)
    assert (scaled_together(x, boxes, (24, 32)).int() - expected.int()).abs().max() <= 1


def test_the_parts_are_drawn_as_torchvision_draws_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.transforms import RandomResizedCrop

    drawn: list[Tensor] = []
    monkeypatch.setattr(crop, "scaled_one_by_one", lambda x, boxes, size: drawn.append(boxes) or x)
    random_crop(torch.zeros(4000, 1, 100, 100, dtype=torch.uint8), 0.08, Generator().manual_seed(0))
    torch.manual_seed(0)
    theirs = torch.tensor(
        [
            RandomResizedCrop.get_params(torch.zeros(1, 100, 100), [0.08, 1], [3 / 4, 4 / 3])
            for _ in range(4000)
        ]
    )
    ours, theirs = drawn[0].float(), theirs.float()
    assert (ours[:, :2] >= 0).all() and (ours[:, :2] + ours[:, 2:] <= 100).all()
    assert torch.allclose(ours.mean(0), theirs.mean(0), atol=1.5)
    assert torch.allclose(ours.std(0), theirs.std(0), atol=1.5)


def test_training_draws_from_the_whole_and_evaluation_sees_the_middle() -> None:
    whole = InMemoryDataset(smooth(8, 3, 40, 40), torch.zeros(8, dtype=torch.int64), ["a"])
    seen = whole.seen_at(32)
    normalize = Normalize([0.0] * 3, [1 / 255] * 3, CPU)  # which leaves bytes as they are
    (x, _), *_ = EvalLoader(seen, torch.arange(8), 8, normalize, CPU)
    assert torch.equal(x.to(torch.uint8), functional.center_crop(whole.images, [32, 32]))

    def trained(augment: Augment) -> Tensor:
        loader = TrainLoader(seen, torch.arange(8), 8, 0, augment, normalize, CPU, 0)
        return next(iter(loader.epoch(0)))[0]

    assert torch.equal(
        trained(Augment(0, 0, 0, 0)).sum((1, 2, 3)).sort().values, x.sum((1, 2, 3)).sort().values
    )
    cropped = trained(Augment(0, 0, 0, 0, crop=1.0)).to(torch.uint8)  # nearly the whole
    assert cropped.shape == (8, 3, 32, 32)
    rim = central(cropped, 24).float().mean()
    assert cropped.float().std() > 0 and rim != cropped.float().mean()


def test_wrong_values_are_told(torchless: Command) -> None:
    is_told(torchless("train", "data.resize=corp"), "did you mean data.resize=crop?", "crop, pad or squash")
    is_told(
        torchless("train", "data.resize_size=20"), "data.resize_size=20 is smaller than data.image_size=28"
    )
