"""From files on the disk to batches on the device."""

from __future__ import annotations

import gzip
import importlib.util
import os
import pickle
import random
import struct
import sys
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import Command, full_mnist, is_told
from PIL import Image
from torch import Tensor

from cnntrain.data import images as images_module
from cnntrain.data.augment.augment import Augment
from cnntrain.data.images import InMemoryDataset, as_bytes, fit
from cnntrain.data.loader import EvalLoader, Normalize, ShuffledBatches, TrainLoader
from cnntrain.data.sources.builtin import (
    EMNIST_CLASS_NAMES,
    IDX_CLASS_NAMES,
    DataMissing,
    Fake,
    MNISTMini,
    Torchvision,
)
from cnntrain.data.sources.idx import read_idx
from cnntrain.data.splits import limited, stratified_split
from cnntrain.data.streaming import StreamingDataset, read_all
from cnntrain.errors import UserError
from cnntrain.runtime.rng import seed_for

CPU = torch.device("cpu")
REPOSITORY = Path(__file__).parents[2]
NO_AUGMENT = Augment(shift=0, flip=0.0, rotate=0.0, erase=0.0)
DIGITS = Augment(shift=2, flip=0.5, rotate=10.0, erase=0.5)


def idx_bytes(array: Tensor) -> bytes:
    """An array in the IDX format, written down by hand from its description."""
    return (
        bytes([0, 0, 8, array.dim()])
        + struct.pack(f">{array.dim()}I", *array.shape)
        + array.numpy().tobytes()
    )


def write(path: Path, data: bytes) -> Path:
    """Write a file, compressed if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def some_bytes(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


# IDX


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("shape", [(7,), (5, 4, 3), (0, 28, 28), (2, 3, 4, 5)])
def test_an_idx_file_is_read_as_it_was_written(tmp_path: Path, shape: tuple[int, ...], suffix: str) -> None:
    array = some_bytes(*shape)
    found = read_idx(write(tmp_path / f"some-idx-ubyte{suffix}", idx_bytes(array)))
    assert found.dtype == torch.uint8
    assert torch.equal(found, array)
    found.zero_()  # its own memory, which may be written to


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[:-1], "truncated.*holds 75 of 76 bytes"),
        (lambda data: data[:10], "truncated.*within its header"),
        (lambda data: data[:2], "not an IDX file"),
        (lambda data: b"", "not an IDX file"),
        (lambda data: data + b"x", "damaged.*holds more than 76 bytes"),
        (lambda data: b"\x89PNG" + data[4:], "not an IDX file"),
        (lambda data: data[:2] + b"\x0d" + data[3:], "not an IDX file of unsigned bytes"),  # floats
    ],
)
def test_a_bad_idx_file_is_named(
    tmp_path: Path, change: Callable[[bytes], bytes], reason: str, suffix: str
) -> None:
    path = write(tmp_path / f"train-images-idx3-ubyte{suffix}", change(idx_bytes(some_bytes(5, 4, 3))))
    with pytest.raises(UserError, match=f"train-images-idx3-ubyte{suffix} .*{reason}"):
        read_idx(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:20] + bytes([data[20] ^ 255]) + data[21:],
        lambda data: data[:-6] + b"\0" * 6,
        lambda data: b"not compressed at all",
    ],
)
def test_a_damaged_gz_file_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(damage(gzip.compress(idx_bytes(some_bytes(1000)))))
    with pytest.raises(UserError, match=r"labels\.gz is damaged"):
        read_idx(path)


# Sources


def test_mnist_mini_holds_500_and_100_images_of_each_digit() -> None:
    for train, count in ((True, 500), (False, 100)):
        source = MNISTMini(train)
        assert source.images.shape == (10 * count, 1, 28, 28)
        assert torch.bincount(source.labels).tolist() == [count] * 10
        assert source.class_names == tuple("0123456789")


def test_mnist_mini_holds_the_first_images_of_each_digit_of_mnist() -> None:
    root = str(full_mnist())
    for train, count in ((True, 500), (False, 100)):
        mini, mnist = MNISTMini(train), Torchvision("MNIST", root, train)
        assert len(mnist) == (60_000 if train else 10_000)
        first = torch.cat([(mnist.labels == digit).nonzero().flatten()[:count] for digit in range(10)])
        chosen = first.sort().values  # in MNIST's own order
        assert torch.equal(mini.images, mnist.images[chosen])
        assert torch.equal(mini.labels, mnist.labels[chosen])


def test_the_script_that_cuts_mnist_mini_writes_the_files_that_are_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = full_mnist()
    spec = importlib.util.spec_from_file_location("maker", REPOSITORY / "scripts" / "make_mnist_mini.py")
    assert spec is not None and spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    shipped = maker.TARGET
    monkeypatch.setattr(maker, "TARGET", tmp_path)
    maker.main(root)
    names = sorted(path.name for path in shipped.glob("*.gz"))
    assert sorted(path.name for path in tmp_path.glob("*.gz")) == names
    for name in names:  # the images; another zlib may compress them otherwise
        assert gzip.decompress((tmp_path / name).read_bytes()) == gzip.decompress(
            (shipped / name).read_bytes()
        )


def test_fake_images_are_the_same_each_time_and_evenly_spread() -> None:
    first, again = (Fake(True, size=50, channels=3, image_size=8, num_classes=5) for _ in range(2))
    assert first.fingerprint == again.fingerprint
    assert first.images.shape == (50, 3, 8, 8)
    assert torch.bincount(first.labels).tolist() == [10] * 5
    test = Fake(False, size=50, channels=3, image_size=8, num_classes=5)
    assert len(test) == 10
    assert not torch.equal(first.images[:10], test.images)


def test_fake_images_can_be_learnt() -> None:
    """The class whose mean training image is nearest is the right one, on images not seen before."""
    train, test = (Fake(part, size=200, channels=1, image_size=8, num_classes=10) for part in (True, False))
    means = torch.stack([train.images[train.labels == label].double().mean(0) for label in range(10)])
    distances = torch.cdist(test.images.double().flatten(1), means.flatten(1))
    assert (distances.argmin(1) == test.labels).double().mean() > 0.95


def mnist_like(root: Path, name: str, suffix: str = "", train: str = "train", test: str = "t10k") -> Tensor:
    """Write a small data set in MNIST's layout; returns its training images, (6, 5, 4)."""
    images = some_bytes(6, 5, 4)
    raw = root / name / "raw"
    for part, count in ((train, 6), (test, 2)):
        write(raw / f"{part}-images-idx3-ubyte{suffix}", idx_bytes(images[:count]))
        labels = torch.arange(count, dtype=torch.uint8)
        write(raw / f"{part}-labels-idx1-ubyte{suffix}", idx_bytes(labels))
    return images


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_mnist_and_its_relatives_are_read_from_torchvisions_folder(
    tmp_path: Path, name: str, suffix: str
) -> None:
    images = mnist_like(tmp_path, name, suffix)
    train, test = (Torchvision(name, str(tmp_path), part) for part in (True, False))
    assert torch.equal(train.images, images[:, None])
    assert train.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert train.labels.dtype == torch.int64
    assert train.class_names == tuple(IDX_CLASS_NAMES[name])
    assert torch.equal(test.images, images[:2, None])


def test_images_and_labels_may_be_packed_differently(tmp_path: Path) -> None:
    images = mnist_like(tmp_path, "MNIST", ".gz")
    labels = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    write(labels, gzip.decompress(labels.with_name(f"{labels.name}.gz").read_bytes()))
    labels.with_name(f"{labels.name}.gz").unlink()
    assert torch.equal(Torchvision("MNIST", str(tmp_path), train=True).images, images[:, None])


def test_emnist_is_turned_upright(tmp_path: Path) -> None:
    """EMNIST's files hold each image with its rows as columns."""
    images = mnist_like(tmp_path, "EMNIST", train="emnist-balanced-train", test="emnist-balanced-test")
    found = Torchvision("EMNIST", str(tmp_path), train=True, split="balanced")
    assert found.images.shape == (6, 1, 4, 5)
    assert torch.equal(found.images[2, 0, 1], images[2, :, 1])
    assert found.class_names[:12] == tuple("0123456789AB")
    assert len(found.class_names) == 47
    assert len(Torchvision("EMNIST", str(tmp_path), train=False, split="balanced")) == 2


def test_class_names_are_torchvisions() -> None:
    from torchvision import datasets

    assert datasets.EMNIST.classes_split_dict == EMNIST_CLASS_NAMES
    for name in ("FashionMNIST", "KMNIST"):
        assert IDX_CLASS_NAMES[name] == getattr(datasets, name).classes
    assert IDX_CLASS_NAMES["MNIST"] == [name[0] for name in datasets.MNIST.classes]  # "0 - zero"


@pytest.mark.parametrize("missing", ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_what_a_broken_download_left_is_no_data_set(tmp_path: Path, missing: str) -> None:
    """So that the download is taken up again."""
    mnist_like(tmp_path, "MNIST")
    (tmp_path / "MNIST" / "raw" / missing).unlink()
    with pytest.raises(DataMissing, match=f"{missing} is missing: set data.root"):
        Torchvision("MNIST", str(tmp_path), train=True)


@pytest.mark.parametrize("name", ["MNIST", "EMNIST", "CIFAR10", "CIFAR100", "SVHN"])
def test_a_data_set_that_is_not_there_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataMissing, match=f"{name} is not in"):
        Torchvision(name, str(tmp_path), train=True, split="balanced" if name == "EMNIST" else None)


@pytest.mark.parametrize("name", ["MNIST", "EMNIST"])
def test_a_truncated_file_of_a_data_set_is_named(tmp_path: Path, name: str) -> None:
    mnist_like(tmp_path, name, train="emnist-digits-train" if name == "EMNIST" else "train")
    images = next((tmp_path / name / "raw").glob("*train-images-idx3-ubyte"))
    images.write_bytes(images.read_bytes()[:-10])
    with pytest.raises(UserError, match=f"{images.name} is truncated"):
        Torchvision(name, str(tmp_path), train=True, split="digits" if name == "EMNIST" else None)


@pytest.mark.parametrize(
    ("part", "shape", "value", "told"),
    [
        (
            "labels",
            (6, 2),
            0,
            "train-labels-idx1-ubyte holds 2 dimensions, 6 x 2: it is not a file of labels",
        ),
        ("labels", (6,), 200, "train-labels-idx1-ubyte holds the label 200 for 10 classes"),
        ("labels", (0,), 0, "train-labels-idx1-ubyte holds no labels: 0"),
        ("images", (6, 0, 0), 0, "train-images-idx3-ubyte holds no images: 6 x 0 x 0"),
        (
            "images",
            (6, 28),
            0,
            "train-images-idx3-ubyte holds 2 dimensions, 6 x 28: it is not a file of images",
        ),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_that_lie_are_named(
    cnntrain: Command, suffix: str, part: str, shape: tuple[int, ...], value: int, told: str
) -> None:
    mnist_like(Path("root"), "MNIST", suffix)
    name = next(Path("root/MNIST/raw").glob(f"train-{part}*"))
    write(name, idx_bytes(torch.full(shape, value, dtype=torch.uint8)))
    outcome = cnntrain("train", "data=mnist", "data.root=root", "report=false")
    is_told(outcome, f"root/MNIST/raw/{told.replace('ubyte', f'ubyte{suffix}')}")


@pytest.mark.parametrize("cache", ["auto", "off"])
def test_an_idx_file_that_is_a_fifo_is_named(cnntrain: Command, cache: str) -> None:
    mnist_like(Path("root"), "MNIST")
    path = Path("root/MNIST/raw/train-labels-idx1-ubyte")
    path.unlink()
    os.mkfifo(path)
    outcome = cnntrain("train", "data=mnist", "data.root=root", f"data.cache={cache}", "report=false")
    is_told(outcome, f"{path} can't be read: not a regular file, but a FIFO")


def test_a_header_that_lies_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">III", 2**31, 2**31, 2**31) + bytes(100))
    with pytest.raises(UserError, match="more than there is memory for"):
        read_idx(path)
    path.write_bytes(bytes([0, 0, 8, 1]) + struct.pack(">I", 2**30) + bytes(100))
    with pytest.raises(UserError, match="is truncated"):
        read_idx(path)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    mnist_like(tmp_path, "MNIST")
    write(tmp_path / "MNIST/raw/train-labels-idx1-ubyte", idx_bytes(torch.zeros(5, dtype=torch.uint8)))
    with pytest.raises(
        UserError, match=r"train-images-idx3-ubyte holds 6 images, and .*train-labels-idx1-ubyte 5 labels"
    ):
        Torchvision("MNIST", str(tmp_path), train=True)


def test_a_wrong_name_of_a_data_set_or_split_lists_the_right_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dataset=MNITS: choose one of MNIST, FashionMNIST"):
        Torchvision("MNITS", str(tmp_path), train=True)
    with pytest.raises(UserError, match="split=None: choose one of byclass"):
        Torchvision("EMNIST", str(tmp_path), train=True)


def cifar_rows(count: int) -> np.ndarray[Any, Any]:
    """Images as CIFAR stores them: a row each, of 1024 red, then 1024 green, then 1024 blue bytes."""
    return some_bytes(count, 3 * 32 * 32).numpy()


def cifar_file(path: Path, content: dict[str, Any]) -> list[str]:
    """Write one of CIFAR's pickles; returns its name and the checksum that torchvision asks for."""
    data = pickle.dumps(content)
    write(path, data)
    return [path.name, md5(data).hexdigest()]


@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100"])
def test_cifar_is_read_plane_by_plane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    from torchvision import datasets

    source = getattr(datasets, name)
    folder, key = tmp_path / source.base_folder, "labels" if name == "CIFAR10" else "fine_labels"
    rows, names = cifar_rows(4), ["airplane", "automobile", "bird"]
    batches = [{"data": rows[i : i + 2], key: [i % 3, (i + 1) % 3]} for i in (0, 2)]
    train = [cifar_file(folder / f"batch_{i}", batch) for i, batch in enumerate(batches)]
    test = [cifar_file(folder / "test", {"data": rows[:1], key: [2]})]
    meta = cifar_file(folder / "meta_of_ours", {source.meta["key"]: names})
    monkeypatch.setattr(source, "train_list", train)
    monkeypatch.setattr(source, "test_list", test)
    monkeypatch.setattr(source, "meta", {**source.meta, "filename": meta[0], "md5": meta[1]})

    found = Torchvision(name, str(tmp_path), train=True)
    assert torch.equal(found.images, torch.from_numpy(rows).view(4, 3, 32, 32))
    assert found.labels.tolist() == [0, 1, 2, 0]
    assert found.class_names == tuple(names)
    assert len(Torchvision(name, str(tmp_path), train=False)) == 1


def svhn_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    from torchvision import datasets

    write(tmp_path / "train_32x32.mat", data)
    monkeypatch.setitem(
        datasets.SVHN.split_list, "train", ["no address", "train_32x32.mat", md5(data).hexdigest()]
    )


def test_svhn_is_read_with_its_tens_as_zeros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="SVHN's files need scipy")
    images = some_bytes(32, 32, 3, 4).numpy()  # height, width, channel, image
    labels = np.array([[1], [10], [9], [2]], dtype=np.uint8)
    scipy_io.savemat(tmp_path / "made.mat", {"X": images, "y": labels})
    svhn_file(tmp_path, monkeypatch, (tmp_path / "made.mat").read_bytes())
    found = Torchvision("SVHN", str(tmp_path), train=True)
    assert found.images.shape == (4, 3, 32, 32)
    assert found.images[2, 1, 5, 7] == images[5, 7, 1, 2]
    assert found.labels.tolist() == [1, 0, 9, 2]
    assert found.class_names == tuple("0123456789")


def test_svhn_says_that_it_needs_scipy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    svhn_file(tmp_path, monkeypatch, b"a file of MATLAB's")
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(UserError, match=r"SVHN needs a package that is missing .*: pip install scipy"):
        Torchvision("SVHN", str(tmp_path), train=True)


# The shipped configurations

CLASSES = {name: len(names) for name, names in IDX_CLASS_NAMES.items()}
CLASSES |= {"EMNIST": 47, "CIFAR10": 10, "CIFAR100": 100, "SVHN": 10}
GREY = {*IDX_CLASS_NAMES, "EMNIST"}


def data_yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    bases = [base for base in content.pop("defaults", []) if isinstance(base, str) and base != "_self_"]
    for base in bases:  # the others are experiments, which have no keys of data
        content = {**data_yaml(path.with_name(f"{base}.yaml")), **content}
    return content


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "conf" / "data").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_data_configuration_is_consistent(path: Path) -> None:
    data = data_yaml(path)
    if "inputs" in data:  # sequences, whose normalisation and vocabulary are found in them
        open_keys = {"series": ("mean", "std"), "text": ("steps", "vocabulary")}[data["inputs"]]
        assert {data[key] for key in open_keys} == {"auto"}
        return
    if path.stem == "folder":  # in which they are found
        assert {data[key] for key in ("mean", "std", "channels", "image_size", "num_classes")} == {"auto"}
        return
    for key in ("mean", "std"):
        assert len(data[key]) in (1, data["channels"])
        assert all(0 < value < 1 for value in data[key])
    dataset = data["source"].get("dataset", "MNIST" if path.stem == "mnist_mini" else None)
    if dataset is not None:
        assert data["num_classes"] == CLASSES[dataset]
        assert data["channels"] == (1 if dataset in GREY else 3)
        assert data["image_size"] == (28 if dataset in GREY else 32)
        assert dataset.lower() == path.stem.replace("_", "").replace("mini", "")
    if dataset == "EMNIST":
        assert len(EMNIST_CLASS_NAMES[data["source"]["split"]]) == data["num_classes"]


def mean_and_std(images: Tensor) -> tuple[float, float]:
    counts = torch.bincount(images.flatten(), minlength=256).double()
    values = torch.arange(256).double() / 255
    mean = (counts * values).sum() / counts.sum()
    deviation = ((counts * (values - mean) ** 2).sum() / counts.sum()).sqrt()
    return mean.item(), deviation.item()


def test_the_mean_and_deviation_of_mnist_are_right() -> None:
    data = data_yaml(REPOSITORY / "conf/data/mnist.yaml")
    mean, std = mean_and_std(Torchvision("MNIST", str(full_mnist()), train=True).images)
    assert [round(mean, 4)] == data["mean"]
    assert [round(std, 4)] == data["std"]


@pytest.mark.parametrize("name", ["mnist_mini", "fake"])
def test_the_mean_and_deviation_of_the_other_images_are_right(name: str) -> None:
    data = data_yaml(REPOSITORY / f"conf/data/{name}.yaml")
    source = MNISTMini(True) if name == "mnist_mini" else Fake(True, 500, 3, 32, 10)
    mean, std = mean_and_std(source.images)
    assert data["mean"] == [pytest.approx(mean, abs=0.005)]
    assert data["std"] == [pytest.approx(std, abs=0.005)]


# Images


def test_images_of_another_kind_are_refused() -> None:
    labels = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(UserError, match="must be uint8"):
        InMemoryDataset(torch.zeros(2, 1, 4, 4), labels, ["a"])
    with pytest.raises(UserError, match="must be uint8"):
        InMemoryDataset(some_bytes(2, 4, 4), labels, ["a"])
    with pytest.raises(UserError, match="3 images and 2 labels"):
        InMemoryDataset(some_bytes(3, 1, 4, 4), labels, ["a"])
    with pytest.raises(UserError, match="label 1 is outside the 1 classes"):
        InMemoryDataset(some_bytes(2, 1, 4, 4), labels + 1, ["a"])
    with pytest.raises(UserError, match="label -1 is outside"):
        InMemoryDataset(some_bytes(2, 1, 4, 4), labels - 1, ["a"])


def test_a_batch_is_gathered_in_the_order_asked_for() -> None:
    images = InMemoryDataset(some_bytes(6, 1, 4, 4), torch.arange(6), list("abcdef"))
    x, y = images.__getitems__([4, 0, 4])
    assert y.tolist() == [4, 0, 4]
    assert torch.equal(x, torch.stack([images[4][0], images[0][0], images[4][0]]))
    assert len(images) == 6


def test_the_fingerprint_changes_with_any_pixel_and_any_label() -> None:
    images, labels = some_bytes(4, 1, 4, 4), torch.tensor([0, 1, 0, 1])
    prints = {InMemoryDataset(images, labels, "ab").fingerprint}
    for index in (0, 3):
        other_images, other_labels = images.clone(), labels.clone()
        other_images[index, 0, 3, 3] ^= 1
        other_labels[index] ^= 1
        prints.add(InMemoryDataset(other_images, labels, "ab").fingerprint)
        prints.add(InMemoryDataset(images, other_labels, "ab").fingerprint)
    assert len(prints) == 5


def test_the_fingerprint_does_not_depend_on_how_the_tensors_lie_in_memory() -> None:
    images, labels = some_bytes(4, 2, 3, 3), torch.tensor([0, 1, 0, 1])
    spread = torch.stack([labels, labels], dim=1)[:, 0]
    turned = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert (
        InMemoryDataset(turned, spread, "ab").fingerprint == InMemoryDataset(images, labels, "ab").fingerprint
    )


class UsersOwn(torch.utils.data.Dataset[Any]):
    """A data set such as a user may have: pairs of an image and its label, one at a time."""

    def __init__(self, *pairs: Any, classes: Any = None) -> None:
        self.pairs = pairs
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Any:
        return self.pairs[index]


GREY_PIXELS = [[0, 255], [10, 20]]
COLOUR_PIXELS = [[[255, 0, 0], [0, 255, 0]], [[1, 2, 3], [4, 5, 6]]]
GREY_ARRAY = np.array(GREY_PIXELS, dtype=np.uint8)
COLOUR_ARRAY = np.array(COLOUR_PIXELS, dtype=np.uint8)


def as_images(dataset: Any, channels: int = 1, size: int = 2) -> InMemoryDataset:
    return read_all(StreamingDataset(dataset, channels, size, "crop"), workers=0, advance=lambda count: None)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(GREY_ARRAY),
        GREY_ARRAY,
        GREY_ARRAY[:, :, None],
        GREY_ARRAY.astype(np.int64),
        GREY_ARRAY.astype(np.uint16),
        GREY_ARRAY / 255,
        torch.tensor(GREY_PIXELS, dtype=torch.uint8),
        torch.tensor([GREY_PIXELS]),
        torch.tensor([GREY_PIXELS]).float() / 255,
        (torch.tensor([GREY_PIXELS]).double() / 255).half(),
    ],
    ids=["PIL", "array", "array-hwc", "int64", "uint16", "float64", "tensor-hw", "tensor", "float", "half"],
)
def test_grey_images_of_any_kind_become_the_same_bytes(image: Any) -> None:
    found = as_images(UsersOwn((image, 0), (image, 1)))
    assert found.images.tolist() == [[GREY_PIXELS]] * 2
    assert found.images.dtype == torch.uint8
    assert found.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(COLOUR_ARRAY),
        COLOUR_ARRAY,
        (COLOUR_ARRAY / 255).astype(np.float32),
        torch.tensor(COLOUR_PIXELS).permute(2, 0, 1).float() / 255,
    ],
    ids=["PIL", "array", "float32", "tensor"],
)
def test_colour_images_of_any_kind_become_the_same_bytes(image: Any) -> None:
    found = as_images(UsersOwn((image, 0)), channels=3)
    assert found.images[0].permute(1, 2, 0).tolist() == COLOUR_PIXELS


def test_a_palette_gives_its_colours_and_bits_become_black_and_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    assert as_bytes(palette)[:, 0].T.tolist() == [[10, 20, 30], [200, 100, 50]]
    bits = Image.new("1", (2, 1))
    bits.putpixel((1, 0), 1)
    assert as_bytes(bits).flatten().tolist() == [0, 255]


def test_classes_take_their_names_from_the_dataset_or_their_numbers() -> None:
    pairs = [(GREY_ARRAY, 0), (GREY_ARRAY, 2)]
    assert as_images(UsersOwn(*pairs)).class_names == ("0", "1", "2")
    assert as_images(UsersOwn(*pairs, classes=["cat", "dog", "cow"])).class_names == ("cat", "dog", "cow")
    assert as_images(UsersOwn(*pairs, classes=np.array(["cat", "dog", "cow"]))).class_names[1] == "dog"


@pytest.mark.parametrize("label", [1, np.int64(1), torch.tensor(1), torch.tensor([1])])
def test_a_label_may_be_any_kind_of_whole_number(label: Any) -> None:
    assert as_images(UsersOwn((GREY_ARRAY, label))).labels.tolist() == [1]


@pytest.mark.parametrize(
    ("dataset", "reason"),
    [
        (object(), "object is not a data set: it needs __len__ and __getitem__"),
        (UsersOwn(), "UsersOwn holds no images"),
        (UsersOwn((GREY_ARRAY, 0), GREY_ARRAY[None]), r"UsersOwn\[1\] is not an image and its label"),
        (UsersOwn((GREY_ARRAY, 0, "more")), r"UsersOwn\[0\] is not an image and its label"),
        (UsersOwn((GREY_ARRAY, torch.tensor([0, 1]))), r"UsersOwn\[0\] is not an image and its label"),
        (UsersOwn((GREY_ARRAY, "cat")), r"UsersOwn\[0\] is not an image and its label: .*cat"),
        (UsersOwn(({"image": 1}, 0)), r"UsersOwn\[0\] is not an image and its label"),
        (UsersOwn((GREY_ARRAY, -1)), "label -1 is outside"),
        (UsersOwn((GREY_ARRAY, 3), classes="abc"), "label 3 is outside the 3 classes"),
    ],
)
def test_a_dataset_of_another_kind_is_refused_in_words(dataset: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        as_images(dataset)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ((torch.tensor([GREY_PIXELS]) / 255 - 0.13) / 0.31, "floats must lie between 0 and 1.* go from -0.4"),
        (torch.tensor([GREY_PIXELS]).float(), "floats must lie between 0 and 1.* go from 0 to 255"),
        (torch.full((1, 2, 2), float("nan")), "floats must lie between 0 and 1"),
        (GREY_ARRAY.astype(np.uint16) * 256, "whole numbers must lie between 0 and 255.* to 6.528e\\+04"),
        (GREY_ARRAY.astype(np.int32) - 1, "whole numbers must lie between 0 and 255"),
    ],
    ids=["normalised", "float-bytes", "nan", "16 bits", "negative"],
)
def test_values_that_would_be_cut_off_are_refused(image: Any, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        as_images(UsersOwn((image, 0)))


# fit


def constant(value: tuple[int, ...], size: int = 4) -> InMemoryDataset:
    images = torch.tensor(value, dtype=torch.uint8).view(1, -1, 1, 1).expand(2, -1, size, size).contiguous()
    return InMemoryDataset(images, torch.tensor([0, 1]), ["a", "b"])


def test_images_that_fit_are_not_copied() -> None:
    images = constant((7, 8, 9))
    assert fit(images, 3, 4, "crop") is images


def test_grey_becomes_colour_by_repeating_it() -> None:
    found = fit(constant((7,)), 3, 4, "crop")
    assert torch.equal(found.images, constant((7, 7, 7)).images)
    assert found.labels.tolist() == [0, 1]
    assert found.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("colour", "grey"),
    [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29), ((255, 255, 255), 255), ((10, 20, 30), 18)],
)
def test_colour_becomes_grey_by_its_luma(colour: tuple[int, ...], grey: int) -> None:
    assert torch.equal(fit(constant(colour), 1, 4, "crop").images, constant((grey,)).images)
    pil = Image.fromarray(np.full((1, 1, 3), colour, dtype=np.uint8)).convert("L")
    assert pil.getpixel((0, 0)) == grey


@pytest.mark.parametrize(("have", "want"), [(4, 3), (2, 1), (3, 2)])
def test_channels_that_mean_nothing_to_each_other_are_refused(have: int, want: int) -> None:
    with pytest.raises(UserError, match=f"data.channels={want}: images of {have} channels"):
        fit(constant((1,) * have), want, 4, "crop")


@pytest.mark.parametrize("size", [1, 2, 3, 8, 13])
def test_an_even_surface_stays_even_at_any_size(size: int) -> None:
    found = fit(constant((7, 100, 255)), 3, size, "crop").images
    assert torch.equal(found, constant((7, 100, 255), size).images)


def test_halving_averages_and_does_not_skip_pixels() -> None:
    """Without antialiasing a fine chequerboard would become black or white."""
    board = ((torch.arange(16)[:, None] + torch.arange(16)) % 2 * 255).to(torch.uint8)
    found = fit(InMemoryDataset(board.view(1, 1, 16, 16), torch.tensor([0]), ["a"]), 1, 8, "crop").images
    inner = found[0, 0, 1:-1, 1:-1].float()
    assert (inner - 127.5).abs().max() <= 1


def test_images_that_are_not_square_become_square() -> None:
    images = torch.arange(0, 200, 10, dtype=torch.uint8).view(1, 1, 1, 20).expand(1, 1, 10, 20).contiguous()
    found = fit(InMemoryDataset(images, torch.tensor([0]), ["a"]), 1, 10, "squash").images
    assert found.shape == (1, 1, 10, 10)
    assert torch.equal(found[0, 0, 0], found[0, 0, 9])  # still the same in every row
    assert found[0, 0, 0, 1:-1].tolist() == [25, 45, 65, 85, 105, 125, 145, 165]


def test_conversion_by_lots_gives_what_conversion_at_once_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    images = InMemoryDataset(some_bytes(10, 3, 9, 9), torch.zeros(10, dtype=torch.int64), ["a"])
    at_once = fit(images, 1, 14, "crop").images
    monkeypatch.setattr(images_module, "CHUNK", 700)
    assert torch.equal(fit(images, 1, 14, "crop").images, at_once)
    monkeypatch.setattr(images_module, "CHUNK", 1)
    assert torch.equal(fit(images, 1, 14, "crop").images, at_once)


# Splits


def labels_of(*counts: int) -> Tensor:
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_every_class_gives_the_same_share_to_validation(fraction: float) -> None:
    labels = labels_of(100, 40, 20)
    train, val = stratified_split(labels, fraction, seed=0)
    assert torch.bincount(labels[val]).tolist() == [100 * fraction, 40 * fraction, 20 * fraction]
    assert torch.equal(torch.cat([train, val]).sort().values, torch.arange(160))  # disjoint and complete
    assert torch.equal(train, train.sort().values)
    assert torch.equal(val, val.sort().values)
    assert train.dtype == val.dtype == torch.int64


def test_the_split_follows_the_seed_and_leaves_the_generators_alone() -> None:
    labels, state = labels_of(50, 50), torch.get_rng_state()
    first, again, other = (stratified_split(labels, 0.2, seed)[1] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_rare_class_is_on_both_sides_if_it_can_be() -> None:
    labels = labels_of(100, 2, 1)
    train, val = stratified_split(labels, 0.1, seed=0)
    assert torch.bincount(labels[val], minlength=3).tolist() == [10, 1, 0]
    assert torch.bincount(labels[train], minlength=3).tolist() == [90, 1, 1]


def test_without_validation_everything_trains() -> None:
    train, val = stratified_split(labels_of(5, 5), 0.0, seed=0)
    assert (len(train), len(val)) == (10, 0)


def test_a_smaller_limit_takes_a_part_of_what_a_larger_one_takes() -> None:
    indices = torch.arange(1000) * 3
    few, more = limited(indices, 100, seed=0), limited(indices, 200, seed=0)
    assert (len(few), len(more)) == (100, 200)
    assert set(few.tolist()) < set(more.tolist()) < set(indices.tolist())
    assert torch.equal(few, few.sort().values)
    assert torch.equal(few, limited(indices, 100, seed=0))
    assert not torch.equal(few, limited(indices, 100, seed=1))


@pytest.mark.parametrize("limit", [None, 10, 11])
def test_a_limit_that_does_not_limit_takes_all(limit: int | None) -> None:
    assert torch.equal(limited(torch.arange(10), limit, seed=0), torch.arange(10))


def test_a_limit_takes_images_of_all_classes() -> None:
    """MNIST-like files may be sorted by class."""
    labels = torch.arange(1000) // 100
    assert torch.bincount(labels[limited(torch.arange(1000), 100, seed=0)], minlength=10).min() > 0


# Loaders


def order(seed: int = 0, epoch: int = 0, start: int = 0) -> list[list[int]]:
    batches = ShuffledBatches(torch.arange(100, 123), batch_size=5, seed=seed)
    batches.epoch, batches.start = epoch, start
    assert len(batches) == 5
    return [batch.tolist() for batch in batches]


def test_the_order_follows_from_seed_and_epoch() -> None:
    assert order() == order()
    assert order(epoch=1) != order()
    assert order(seed=1) != order()
    assert order(seed=0, epoch=1) != order(seed=1, epoch=0)


def test_each_epoch_holds_every_image_once() -> None:
    assert sorted(index for batch in order(epoch=3) for index in batch) == list(range(100, 123))
    assert [len(batch) for batch in order()] == [5, 5, 5, 5, 3]


@pytest.mark.parametrize("start", range(6))
def test_an_epoch_taken_up_again_has_the_rest_of_the_batches(start: int) -> None:
    assert order(epoch=2, start=start) == order(epoch=2)[start:]


def test_seeds_depend_on_purpose_and_position_and_never_change() -> None:
    """Else a run of yesterday could not be resumed exactly."""
    assert seed_for(0, "order", 1) == 7_518_602_716_622_054_622
    seeds = {
        seed_for(seed, purpose, *position)
        for seed in (0, 1)
        for purpose in ("order", "augment")
        for position in ((), (0,), (1,), (0, 1), (1, 0))
    }
    assert len(seeds) == 20
    assert all(0 <= seed < 2**63 for seed in seeds)


def train_loader(workers: int = 0, augment: Augment = DIGITS, seed: int = 0) -> TrainLoader:
    images = InMemoryDataset(some_bytes(30, 1, 12, 12), torch.arange(30) % 10, "0123456789")
    indices = torch.arange(2, 25)  # 23 of them: 5 batches, the last one of 3
    return TrainLoader(images, indices, 5, seed, augment, Normalize([0.5], [0.25], CPU), CPU, workers)


def same(first: list[tuple[Tensor, Tensor]], second: list[tuple[Tensor, Tensor]]) -> bool:
    if len(first) != len(second):
        return False
    return all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in zip(first, second, strict=True))


def test_workers_change_no_bit_and_draw_from_no_global_generator() -> None:
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
    here, there = train_loader(workers=0), train_loader(workers=2)
    epochs = [list(here.epoch(epoch)) for epoch in range(3)]
    assert all(same(epochs[epoch], list(there.epoch(epoch))) for epoch in range(3))
    assert same(epochs[1][2:], list(there.epoch(1, start=2)))

    abandoned = there.epoch(0)  # as when a run is stopped in the middle
    assert torch.equal(next(abandoned)[0], epochs[0][0][0])
    assert same(epochs[2], list(there.epoch(2)))

    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]  # type: ignore[index]


def test_batches_do_not_depend_on_what_ran_before() -> None:
    used = train_loader()
    list(used.epoch(0))
    torch.rand(10)
    assert same(list(used.epoch(1)), list(train_loader().epoch(1)))
    assert not same(list(used.epoch(1)), list(used.epoch(2)))
    assert not same(list(used.epoch(1)), list(train_loader(seed=1).epoch(1)))


@pytest.mark.parametrize("start", [0, 1, 4, 5])
def test_an_augmented_epoch_taken_up_again_has_the_same_rest(start: int) -> None:
    assert same(list(train_loader().epoch(3, start)), list(train_loader().epoch(3))[start:])


def test_augmentation_changes_images_and_not_their_order() -> None:
    plain, augmented = list(train_loader(augment=NO_AUGMENT).epoch(0)), list(train_loader().epoch(0))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(plain, augmented, strict=True))
    assert not any(torch.equal(a[0], b[0]) for a, b in zip(plain, augmented, strict=True))


def test_each_step_of_an_epoch_has_draws_of_its_own() -> None:
    images = InMemoryDataset(torch.full((8, 1, 12, 12), 200, dtype=torch.uint8), torch.zeros(8).long(), ["a"])
    erase = Augment(shift=0, flip=0.0, rotate=0.0, erase=1.0)
    loader = TrainLoader(images, torch.arange(8), 4, 0, erase, Normalize([0.5], [0.25], CPU), CPU, 0)
    (first, _), (second, _) = loader.epoch(0)
    assert not torch.equal(first, second)


def test_training_batches_are_the_normalised_images_of_their_labels() -> None:
    loader = train_loader(augment=NO_AUGMENT)
    images = some_bytes(30, 1, 12, 12)
    assert len(loader) == 5
    seen: list[int] = []
    batches = list(loader.epoch(0))
    order = torch.from_numpy(np.concatenate(list(loader.batches)))
    assert [len(y) for _, y in batches] == [5, 5, 5, 5, 3]
    for (x, y), indices in zip(batches, order.split(5), strict=True):
        assert x.dtype == torch.float32
        assert y.tolist() == [index % 10 for index in indices]
        assert torch.allclose(x, (images[indices] / 255 - 0.5) / 0.25, atol=1e-6)
        seen += indices.tolist()
    assert sorted(seen) == list(range(2, 25))


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_gives_every_image_once_and_in_order(workers: int) -> None:
    images = InMemoryDataset(some_bytes(30, 3, 6, 6), torch.arange(30) % 10, "0123456789")
    normalize = Normalize([0.5, 0.4, 0.3], [0.25, 0.2, 0.1], CPU)
    loader = EvalLoader(images, torch.arange(1, 24), 7, normalize, CPU, workers)
    assert len(loader) == 4
    for _ in range(2):  # each time
        batches = list(loader)
        assert [len(y) for _, y in batches] == [7, 7, 7, 2]
        assert torch.cat([y for _, y in batches]).tolist() == [index % 10 for index in range(1, 24)]
        assert torch.equal(torch.cat([x for x, _ in batches]), normalize(images.images[1:24]))


def test_an_evaluation_of_no_images_has_no_batches() -> None:
    images = InMemoryDataset(some_bytes(3, 1, 4, 4), torch.arange(3), "abc")
    loader = EvalLoader(images, torch.arange(0), 7, Normalize([0.5], [0.5], CPU), CPU)
    assert len(loader) == len(list(loader)) == 0


def test_normalised_images_have_zero_mean_and_unit_deviation_in_each_channel() -> None:
    images = some_bytes(50, 3, 8, 8) // torch.tensor([1, 2, 4], dtype=torch.uint8).view(1, 3, 1, 1)
    pixels = images.double() / 255
    mean, std = pixels.mean((0, 2, 3)).tolist(), pixels.std((0, 2, 3)).tolist()
    x = Normalize(mean, std, CPU)(images)
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(x.std((0, 2, 3)), torch.ones(3), atol=1e-5)


def test_one_mean_serves_all_channels() -> None:
    images = some_bytes(5, 3, 4, 4)
    one, three = Normalize([0.5], [0.2], CPU), Normalize([0.5] * 3, [0.2] * 3, CPU)
    assert torch.equal(one(images), three(images))


@pytest.mark.parametrize("mean", [[0.5], [0.5, 0.4, 0.3]])
def test_normalized_images_are_the_same_in_every_layout(mean: list[float]) -> None:
    last = torch.channels_last
    whole = torch.randint(0, 256, (4, 3, 11, 9), dtype=torch.uint8)
    expected = Normalize(mean, mean, CPU)(whole)
    for images in (whole, whole.contiguous(memory_format=last)):
        for layout in (torch.contiguous_format, last):
            normalize = Normalize(mean, mean, CPU, layout)
            found, part = normalize(images), normalize(images[:, :, 2:8, 1:6])
            assert torch.equal(found, expected) and found.is_contiguous(memory_format=layout)
            assert torch.equal(part, expected[:, :, 2:8, 1:6]) and part.is_contiguous(memory_format=layout)
