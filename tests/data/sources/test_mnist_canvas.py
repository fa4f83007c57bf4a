"""``data=mnist_canvas`` from the command to the batches of a run, and what is refused before it begins."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, full_mnist, is_told
from torch import Tensor

from cnntrain.config.composer import composed
from cnntrain.config.sections import DataSettings
from cnntrain.data.augment.augment import Augment
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.loader import Normalize, TrainLoader
from cnntrain.data.open import Data, open_data
from cnntrain.data.sources import MNISTCanvas, MNISTMini
from cnntrain.errors import UserError
from cnntrain.runtime.console import Console

CPU = torch.device("cpu")
FEW = ("data.canvases=60", "data.test_canvases=20")


def opened(*words: str) -> Data:
    """Return the data of a run, which are read as the command reads them."""
    config = composed(["data=mnist_canvas", *FEW, *words], None).completed()
    return open_data(DataSettings.from_config(config), CPU, Console(0), None)


def in_memory(data: Data) -> tuple[InMemoryDataset, InMemoryDataset]:
    assert isinstance(data.train, InMemoryDataset) and isinstance(data.test, InMemoryDataset)
    return data.train, data.test


def test_the_loader_gives_images_with_their_masks() -> None:
    data = opened()
    train, test = in_memory(data)
    assert len(train) == 60 and len(test) == 20 and len(data.val_indices) == 6
    assert train.class_names == ("background", *"0123456789")
    plain_loader = loader(data, Augment(0, 0.0, 0.0, 0.0))
    batches = list(plain_loader.epoch(1))
    x, y = batches[0]
    assert x.shape == (16, 1, 48, 48) and x.dtype == torch.float32
    assert y.shape == (16, 48, 48) and y.dtype == torch.uint8
    bright = torch.cat([x[:, 0][y > 0] for x, y in batches]).mean()
    assert bright > torch.cat([x[:, 0][y == 0] for x, y in batches]).mean() + 2


def loader(data: Data, augment: Augment, workers: int = 0) -> TrainLoader:
    normalize = Normalize([0.0], [1 / 255], CPU)  # bytes stay as they are
    return TrainLoader(data.train, data.train_indices, 16, 0, augment, normalize, CPU, workers)


@pytest.mark.parametrize("kinds", [{"flip": 0.5, "shift": 3}, {"rotate": 30.0}, {"crop": 0.3}], ids=str)
def test_masks_are_augmented_with_their_images(kinds: dict[str, Any]) -> None:
    data = opened("data.noise=0", "data.overlap=0", "data.image_size=64", "data.digit_size=[20,36]")
    augment = Augment(**{"shift": 0, "flip": 0.0, "rotate": 0.0, "erase": 0.0, **kinds})
    agrees, changed = [], False
    before = {mask.numpy().tobytes() for mask in in_memory(data)[0].labels}
    for x, y in loader(data, augment).epoch(1):
        known = y != 255
        agrees.append(((x[:, 0] > 60) == (y > 0))[known].float().mean())
        changed |= any(mask.numpy().tobytes() not in before for mask in y)
    assert changed and torch.stack(agrees).min() > 0.98


def test_canvases_are_the_same_with_workers_and_from_the_middle_of_an_epoch() -> None:
    data = opened()
    augment = Augment(shift=3, flip=0.5, rotate=20.0, erase=0.3, crop=0.5)
    batches = list(loader(data, augment).epoch(2))
    for other in (loader(opened(), augment, workers=1).epoch(2), loader(data, augment).epoch(2, start=1)):
        for (x, y), (x_again, y_again) in zip(reversed(batches), reversed(list(other)), strict=False):
            assert torch.equal(x, x_again) and torch.equal(y, y_again)


@pytest.mark.parametrize("name", ["mnist_canvas", "mnist_one_digit"])
def test_mean_and_deviation_are_those_of_the_canvases(name: str) -> None:
    config = composed([f"data={name}", "data.canvases=1000", "data.test_canvases=1"], None).completed()
    images = in_memory(open_data(DataSettings.from_config(config), CPU, Console(0), None))[0].images / 255
    assert config["data"]["mean"] == pytest.approx([images.mean().item()], rel=0.05)
    assert config["data"]["std"] == pytest.approx([images.std().item()], rel=0.05)


def test_boxes_lie_around_the_digits_and_move_with_them() -> None:
    words = ("data.targets=boxes", "data.noise=0", "data.overlap=0", "task._target_=my.Own")
    data = opened(*words)
    train, test = in_memory(data)
    assert train.targets.name == "boxes" and train.class_names == tuple("0123456789")
    assert train.labels.shape == (60, 3, 6) and test.labels.dtype == torch.float32
    assert int(train.class_counts(torch.arange(60)).sum()) == int((train.labels[..., 4] >= 0).sum())
    masks = in_memory(opened("data.noise=0", "data.overlap=0"))[0].labels
    for rows, mask in zip(train.labels, masks, strict=True):
        for left, top, right, bottom, label, ignored in rows[rows[:, 4] >= 0].int().tolist():
            inside = mask[top:bottom, left:right]
            assert set(inside.unique().tolist()) <= {0, label + 1} and not ignored
            edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
            assert all(bool(edge.any()) for edge in edges)
        labels = rows[rows[:, 4] >= 0, 4].unique()
        assert int((mask > 0).sum()) == sum(int((mask == label + 1).sum()) for label in labels)
    missed = 0
    for x, y in loader(data, Augment(shift=5, flip=0.5, rotate=0.0, erase=0.0)).epoch(1):
        for image, rows in zip(x[:, 0] > 60, y, strict=True):
            for left, top, right, bottom in rows[rows[:, 4] >= 0, :4].int().tolist():
                assert image[top:bottom, left:right].any()
                image[top:bottom, left:right] = False
            missed += int(image.sum())
    assert missed < 100  # of digits that are nearly out of sight


def one_digit(targets: str, count: int | None = None) -> MNISTCanvas:
    return MNISTCanvas(
        train=False,
        image_size=28,
        canvases=count,
        test_canvases=count,
        digits=[1, 1],
        digit_size=[28, 28],
        overlap=0.0,
        noise=0.0,
        clutter=0,
        threshold=0.2,
        canvas_seed=0,
        targets=targets,
    )


def test_one_canvas_for_each_digit() -> None:
    found, digits = one_digit("masks"), MNISTMini(train=False)
    assert len(found) == len(digits) and found.boxes.shape == (len(digits), 4)
    assert sorted(map(data_of, found.images)) == sorted(map(data_of, digits.images))


def data_of(image: Tensor) -> bytes:
    return image.numpy().tobytes()


def test_a_canvas_of_one_digit_may_have_its_class() -> None:
    masks, classes = one_digit("masks", 50), one_digit("classes", 50)
    assert torch.equal(masks.images, classes.images) and classes.class_names == tuple("0123456789")
    assert torch.equal(classes.labels + 1, masks.labels.flatten(1).amax(1).long())


def test_the_complete_mnist_is_taken_where_it_is_and_said() -> None:
    root = full_mnist()
    data = opened(f"data.root={root}")
    assert "digits of MNIST in" in data.path
    assert not torch.equal(in_memory(data)[0].images, in_memory(opened())[0].images)


def test_the_digits_that_are_shipped_are_taken_without_the_complete_mnist_and_said() -> None:
    assert "digits that cnntrain ships; data has no MNIST" in opened().path


def test_eval_tells_that_the_digits_are_not_those_of_the_run(cnntrain: Command) -> None:
    raw = Path("data/MNIST/raw")
    raw.mkdir(parents=True)
    for is_train, part in ((True, "t10k"), (False, "train")):  # other digits: the parts are swapped
        for file, kind in zip(MNISTMini.files(is_train), ("images-idx3", "labels-idx1"), strict=True):
            shutil.copy(file, raw / f"{part}-{kind}-ubyte.gz")
    small = ("model.width=4", "model.depth=1", "epochs=1", "report=false", "doctor=false")
    done = cnntrain("train", "data=mnist_canvas", *FEW, "model=unet", *small, "out=run")
    assert done.code == 0 and "digits of MNIST in data" in done.out, done.err
    told = "the training data are not those that the run began with"
    Path("data").rename("elsewhere")
    done = cnntrain("eval", "run")
    assert done.code == 0 and told in done.out + done.err
    done = cnntrain("eval", "run", "data.root=elsewhere")
    assert done.code == 0 and told not in done.out + done.err
    for command in ("eval", "demo", "export", "report", "resume"):
        is_told(cnntrain(command, "run", "data.root=run"), "data.root=run has no MNIST", "run/MNIST/raw")


def test_a_typed_folder_without_mnist_is_not_replaced_by_the_digits_that_are_shipped(
    torchless: Command,
) -> None:
    told = "data.root=nowhere has no MNIST, which would be in nowhere/MNIST/raw"
    is_told(torchless("train", "data=mnist_canvas", "data.root=nowhere"), told)


def test_half_a_mnist_is_not_mixed_with_other_digits() -> None:
    raw = Path("data/MNIST/raw")
    raw.mkdir(parents=True)
    for kind in ("images-idx3", "labels-idx1"):
        (raw / f"train-{kind}-ubyte").write_bytes(b"")
    with pytest.raises(UserError, match="train-images-idx3-ubyte is not an IDX file"):
        opened()


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("data.digits=[3,1]", "data.digits=[3,1] is not possible: write [LOW,HIGH], the lower first"),
        ("data.digits=[0,0]", "data.digits=[0,0] leaves all canvases empty"),
        ("data.digits=2", "data.digits takes a list of 2"),
        ("data.digit_size=[30,20]", "write [LOW,HIGH], the lower first"),
        ("data.digit_size=[20,49]", "does not fit a canvas of data.image_size=48"),
        ("data.digit_size=[4,20]", "each a whole number from 8 to 1024"),
        ("data.canvases=0", "data.canvases takes a whole number from 1"),
        ("data.overlap=1.5", "data.overlap takes a number from 0 to 1"),
        ("data.noise=-0.1", "data.noise takes a number from 0 to 0.5"),
        ("data.clutter=-1", "data.clutter takes a whole number from 0"),
        ("data.threshold=0.9", "data.threshold takes a number from 0 to 0.5"),
        ("data.canvas_seed=-1", "data.canvas_seed takes a whole number"),
    ],
)
def test_what_can_not_be_composed_is_told_before_torch_is_imported(
    torchless: Command, word: str, told: str
) -> None:
    is_told(torchless("train", "data=mnist_canvas", word), told)


def test_other_data_have_no_canvases(torchless: Command) -> None:
    is_told(torchless("train", "data=mnist_mini", "data.digits=[1,2]"), "data=mnist_mini has no digits")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("data.digits=[9,9]", "data.overlap=0"), "do not fit on a canvas of 48x48"),
        (("data.targets=classes", "data.num_classes=10"), "a canvas of 1 to 3 digits has no class"),
        (("data.canvases=99999999",), "of memory are free: fewer data.canvases"),
    ],
)
def test_what_shows_while_composing_is_told_in_a_line(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError) as error:
        opened(*words)
    assert told in str(error.value) and "\n" not in str(error.value)
