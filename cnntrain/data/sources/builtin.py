"""Sources of images. A source is a data set class that takes ``train=True`` or ``train=False``.

That is torchvision's convention, so its classes, or one of your own, serve as they are:
``data.source._target_=my_pkg.MyDataset``.
"""

from __future__ import annotations

import contextlib
import functools
import string
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnntrain.data.images import InMemoryDataset
from cnntrain.data.resize import Size, sides
from cnntrain.data.sources.idx import read_labelled
from cnntrain.errors import UserError
from cnntrain.runtime.rng import seed_for
from cnntrain.text import expanded, shown_path

DIGITS = [str(digit) for digit in range(10)]

CAPITALS, SMALL = list(string.ascii_uppercase), list(string.ascii_lowercase)
DISTINCT = list("abdefghnqrt")  # small letters that look unlike their capitals

# Read without torchvision, whose import takes as long as training on them.
IDX_CLASS_NAMES = {
    "MNIST": DIGITS,
    "FashionMNIST": [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ],
    "KMNIST": ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"],
}
EMNIST_CLASS_NAMES = {
    "byclass": [*DIGITS, *CAPITALS, *SMALL],
    "bymerge": [*DIGITS, *CAPITALS, *DISTINCT],
    "balanced": [*DIGITS, *CAPITALS, *DISTINCT],
    "letters": ["N/A", *SMALL],  # its labels begin at 1
    "digits": DIGITS,
    "mnist": DIGITS,
}
# The files of the training and of the test part, as torchvision unpacks them.
CIFAR10 = "cifar-10-batches-py"
ARRAY_FILES = {
    "CIFAR10": (
        [f"{CIFAR10}/{name}" for name in (*(f"data_batch_{n}" for n in range(1, 6)), "batches.meta")],
        [f"{CIFAR10}/test_batch", f"{CIFAR10}/batches.meta"],
    ),
    "CIFAR100": (
        ["cifar-100-python/train", "cifar-100-python/meta"],
        ["cifar-100-python/test", "cifar-100-python/meta"],
    ),
    "SVHN": (["train_32x32.mat"], ["test_32x32.mat"]),
}
TORCHVISION_NAMES = (*IDX_CLASS_NAMES, "EMNIST", *ARRAY_FILES)


class DataMissing(UserError):
    """A data set that is not in its folder, but could be downloaded to it."""

    def __init__(self, what: str, root: Path) -> None:
        super().__init__(f"{what}: set data.root to the folder that holds it")
        self.what = what
        self.root = root


class MNISTMini(InMemoryDataset):
    """The 5,000 training or 1,000 test images of real MNIST that cnntrain ships."""

    def __init__(self, train: bool) -> None:
        super().__init__(*read_labelled(*self.files(train), len(DIGITS)), DIGITS)

    @staticmethod
    def files(train: bool) -> tuple[Path, Path]:
        """Return the files of images and of labels."""
        folder, part = Path(__file__).parents[1] / "mnist_mini", "train" if train else "t10k"
        return folder / f"{part}-images-idx3-ubyte.gz", folder / f"{part}-labels-idx1-ubyte.gz"


class Fake(InMemoryDataset):
    """Made-up images: each class is a fixed random pattern under noise, which can be learnt.

    Args:
        train: the training part or, a fifth as large, the test part.
        size: images of the training part.
        channels: channels of an image.
        image_size: side of the images, or height and width, in pixels.
        num_classes: number of classes, evenly spread.
    """

    def __init__(self, train: bool, size: int, channels: int, image_size: Size, num_classes: int) -> None:
        count = size if train else max(num_classes, size // 5)
        patterns = torch.rand(
            (num_classes, channels, *sides(image_size)),
            generator=torch.Generator().manual_seed(seed_for(0, "fake patterns")),
        )
        noise = torch.Generator().manual_seed(seed_for(0, "fake noise", int(train)))
        labels = torch.arange(count) % num_classes
        images = torch.empty(count, channels, *sides(image_size), dtype=torch.uint8)
        for index, label in enumerate(labels):
            blend = 0.5 * patterns[label] + 0.5 * torch.rand(patterns.shape[1:], generator=noise)
            images[index] = (blend * 255).to(torch.uint8)
        super().__init__(images, labels, [f"class {index}" for index in range(num_classes)])


class Torchvision(InMemoryDataset):
    """One of torchvision's data sets, from the folder where torchvision keeps it.

    Args:
        dataset: name of the class in ``torchvision.datasets``.
        root: folder that holds the data.
        train: the training part or the test part.
        download: fetch what is missing from the data set's own site.
        split: the name of EMNIST's split.

    Raises:
        DataMissing: the data are not there and ``download`` is false.
        UserError: a file is damaged, or the download failed.
    """

    def __init__(
        self, dataset: str, root: str, train: bool, download: bool = False, split: str | None = None
    ) -> None:
        if dataset not in TORCHVISION_NAMES:
            raise UserError(f"data.source.dataset={dataset}: choose one of {', '.join(TORCHVISION_NAMES)}")
        if dataset == "EMNIST" and split not in EMNIST_CLASS_NAMES:
            raise UserError(f"data.source.split={split}: choose one of {', '.join(EMNIST_CLASS_NAMES)}")
        folder = expanded(root)
        if dataset in ARRAY_FILES:
            images, labels, names = from_arrays(open_with_torchvision(dataset, folder, train, download))
        else:
            names = EMNIST_CLASS_NAMES[str(split)] if dataset == "EMNIST" else IDX_CLASS_NAMES[dataset]
            images, labels = read_idx_set(dataset, folder, train, download, split, len(names))
        super().__init__(images, labels, names)

    @staticmethod
    def files(dataset: str, root: str, train: bool, split: str | None = None) -> list[Path]:
        """Return the files that are read; none if one is missing."""
        folder = expanded(root)
        if dataset in ARRAY_FILES:
            files = [folder / name for name in ARRAY_FILES[dataset][0 if train else 1]]
            return files if all(file.is_file() for file in files) else []
        return list(idx_files(dataset, folder, train, split) or [])


def read_idx_set(
    name: str, root: Path, train: bool, download: bool, split: str | None, classes: int
) -> tuple[Tensor, Tensor]:
    """Read images, uint8 (N, 1, H, W), and labels, int64 (N,), of MNIST or one of its relatives."""
    files = idx_files(name, root, train, split)
    if files is None:
        open_with_torchvision(name, root, train, download, split)
        files = idx_files(name, root, train, split)
    if files is None:
        raise DataMissing(missing(name, root, train, split), root)
    images, labels = read_labelled(*files, classes)
    # EMNIST's files hold each image transposed.
    return images.transpose(2, 3).contiguous() if name == "EMNIST" else images, labels


def idx_files(name: str, root: Path, train: bool, split: str | None) -> tuple[Path, Path] | None:
    """Return the files of images and of labels, each plain or ``.gz``; None unless both are there."""
    found = []
    for plain in idx_names(name, root, train, split):
        found += [path for path in (plain, plain.with_name(f"{plain.name}.gz")) if path.exists()][:1]
    return (found[0], found[1]) if len(found) == 2 else None


def idx_names(name: str, root: Path, train: bool, split: str | None) -> tuple[Path, Path]:
    """Return where the files of images and of labels should be."""
    part = "train" if train else "t10k"
    if name == "EMNIST":
        part = f"emnist-{split}-{'train' if train else 'test'}"
    folder = root / name / "raw"
    return folder / f"{part}-images-idx3-ubyte", folder / f"{part}-labels-idx1-ubyte"


def missing(name: str, root: Path, train: bool, split: str | None) -> str:
    """Return a message about what is missing: a single file, or the whole data set."""
    if name in (*IDX_CLASS_NAMES, "EMNIST"):
        files = idx_names(name, root, train, split)
        absent = [
            file for file in files if not file.exists() and not file.with_name(f"{file.name}.gz").exists()
        ]
        if len(absent) == 1:
            return f"{shown_path(absent[0])} is missing"
    return f"{name} is not in {shown_path(root)}"


def open_with_torchvision(
    name: str, root: Path, train: bool, download: bool, split: str | None = None
) -> Any:
    """Return torchvision's own data set, which downloads what is missing if ``download`` says so."""
    import torchvision.datasets  # takes seconds, so only where it is needed
    from torchvision.datasets import utils
    from tqdm import tqdm

    utils.tqdm = functools.partial(tqdm, disable=None)  # no bar in a pipe or a log
    arguments: dict[str, Any] = (
        {"split": "train" if train else "test"} if name == "SVHN" else {"train": train}
    )
    if name == "EMNIST":
        arguments["split"] = split
    try:
        return getattr(torchvision.datasets, name)(root, download=download, **arguments)
    except (RuntimeError, OSError) as error:
        what = missing(name, root, train, split)
        if not download:
            raise DataMissing(what, root) from error
        remove_if_empty(root / name / "raw", root / name, root)  # which torchvision makes before it downloads
        raise UserError(
            f"{what} and could not be downloaded ({str(error).strip().splitlines()[-1]}): "
            "set data.root to a folder that holds it, or try again with a network connection"
        ) from error
    except ImportError as error:  # SVHN's files need scipy
        raise UserError(
            f"{name} needs a package that is missing ({error.name}): pip install {error.name}"
        ) from error


def remove_if_empty(*folders: Path) -> None:
    """Remove folders that hold nothing, the innermost first."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def from_arrays(dataset: Any) -> tuple[Tensor, Tensor, list[str]]:
    """Return images, uint8 (N, 3, H, W), labels, int64 (N,), and class names of CIFAR or SVHN."""
    images = torch.from_numpy(dataset.data)
    if hasattr(dataset, "labels"):  # SVHN, which is (N, C, H, W) already
        return images.contiguous(), torch.from_numpy(dataset.labels), DIGITS
    return images.permute(0, 3, 1, 2).contiguous(), torch.tensor(dataset.targets), list(dataset.classes)
