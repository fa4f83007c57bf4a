"""Where pictures come from. A source is a data set class that takes ``train=True`` or ``train=False``.

That is torchvision's convention, so its classes, or one of your own, serve as they are:
``data.source._target_=my_pkg.MyDataset``.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnntrain.data.idx import read_idx
from cnntrain.data.pictures import Pictures
from cnntrain.errors import UserError
from cnntrain.seeding import seed_for

DIGITS = [str(digit) for digit in range(10)]

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
TORCHVISION_NAMES = (*IDX_CLASS_NAMES, "EMNIST", "CIFAR10", "CIFAR100", "SVHN")


class DataMissing(UserError):
    """A data set that is not in its folder, but could be downloaded to it."""

    def __init__(self, dataset: str, root: Path) -> None:
        super().__init__(f"{dataset} is not in {root}: set data.root to the folder that holds it")
        self.dataset = dataset
        self.root = root


class MNISTMini(Pictures):
    """The 5,000 training or 1,000 test images of real MNIST that cnntrain ships."""

    def __init__(self, train: bool) -> None:
        folder = Path(__file__).parent / "mnist_mini"
        super().__init__(*read_idx_pair(folder, "train" if train else "t10k", ".gz"), DIGITS)


class Fake(Pictures):
    """Made-up pictures: each class is a fixed random pattern under noise, so that there is something to learn.

    Args:
        train: the training part or, a fifth as large, the test part.
        size: pictures of the training part.
        channels: channels of a picture.
        image_size: height and width of a picture, in pixels.
        num_classes: number of classes, evenly spread.
    """

    def __init__(self, train: bool, size: int, channels: int, image_size: int, num_classes: int) -> None:
        count = size if train else max(num_classes, size // 5)
        patterns = torch.rand(
            (num_classes, channels, image_size, image_size),
            generator=torch.Generator().manual_seed(seed_for(0, "fake patterns")),
        )
        noise = torch.Generator().manual_seed(seed_for(0, "fake noise", int(train)))
        labels = torch.arange(count) % num_classes
        images = torch.empty(count, channels, image_size, image_size, dtype=torch.uint8)
        for index, label in enumerate(labels):
            blend = 0.5 * patterns[label] + 0.5 * torch.rand(patterns.shape[1:], generator=noise)
            images[index] = (blend * 255).to(torch.uint8)
        super().__init__(images, labels, [f"class {index}" for index in range(num_classes)])


class Torchvision(Pictures):
    """One of torchvision's data sets, from the folder where torchvision keeps it.

    Args:
        dataset: name of the class in ``torchvision.datasets``.
        root: folder that holds the data.
        train: the training part or the test part.
        download: fetch what is missing from the data set's own site.
        split: which of EMNIST's splits.

    Raises:
        DataMissing: the data are not there and ``download`` is false.
        UserError: a file is damaged, or the download failed.
    """

    def __init__(
        self, dataset: str, root: str, train: bool, download: bool = False, split: str | None = None
    ) -> None:
        if dataset not in TORCHVISION_NAMES:
            raise UserError(f"data.source.dataset={dataset}: choose one of {', '.join(TORCHVISION_NAMES)}")
        folder = Path(root).expanduser()
        part = "train" if train else "t10k"
        raw = folder / dataset / "raw"
        suffix = "" if (raw / f"{part}-images-idx3-ubyte").exists() else ".gz"
        if dataset in IDX_CLASS_NAMES and (raw / f"{part}-images-idx3-ubyte{suffix}").exists():
            super().__init__(*read_idx_pair(raw, part, suffix), IDX_CLASS_NAMES[dataset])
        else:
            super().__init__(*read_with_torchvision(dataset, folder, train, download, split))


def read_idx_pair(folder: Path, part: str, suffix: str) -> tuple[Tensor, Tensor]:
    """Read images, uint8 (N, 1, H, W), and labels, int64 (N,), from two IDX files."""
    labels = folder / f"{part}-labels-idx1-ubyte{suffix}"
    if not labels.exists():
        raise UserError(f"{labels} is missing, though its images are there: put it back or fetch both again")
    return read_idx(folder / f"{part}-images-idx3-ubyte{suffix}").unsqueeze(1), read_idx(labels).long()


def read_with_torchvision(
    name: str, root: Path, train: bool, download: bool, split: str | None
) -> tuple[Tensor, Tensor, list[str]]:
    """Read a data set through its torchvision class."""
    import torchvision.datasets  # takes seconds, so only where it is needed
    from torchvision.datasets import utils
    from tqdm import tqdm

    utils.tqdm = functools.partial(tqdm, disable=None)  # no bar in a pipe or a log
    arguments: dict[str, Any] = {"split": "train" if train else "test"} if name == "SVHN" else {"train": train}
    if name == "EMNIST":
        arguments["split"] = split
    try:
        dataset = getattr(torchvision.datasets, name)(root, download=download, **arguments)
    except (RuntimeError, OSError) as error:
        if not download:
            raise DataMissing(name, root) from error
        reason = str(error).strip().splitlines()[-1]
        raise UserError(
            f"{name} is not in {root} and could not be downloaded ({reason}): "
            "set data.root to a folder that holds it, or try again with a network"
        ) from error
    except ImportError as error:  # SVHN's files need scipy
        raise UserError(f"{name} needs a package that is missing ({error.name}): pip install {error.name}") from error

    images = dataset.data
    if not isinstance(images, Tensor):
        images = torch.from_numpy(images)
    if images.dim() == 3:
        images = images.unsqueeze(1)
    elif name != "SVHN":  # which is (N, C, H, W) already
        images = images.permute(0, 3, 1, 2)
    if name == "EMNIST":
        images = images.transpose(2, 3)  # its files hold each picture transposed
    labels = torch.as_tensor(dataset.labels if name == "SVHN" else dataset.targets)
    return images.to(torch.uint8).contiguous(), labels.long(), [str(c) for c in getattr(dataset, "classes", DIGITS)]


