"""Targets other than a class for each image: masks, in memory, on the disk and streamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cnntrain.data import decoded_cache
from cnntrain.data.images import InMemoryDataset, fit
from cnntrain.data.on_disk import DiskDataset
from cnntrain.data.resize import masks_to_size, to_size
from cnntrain.data.streaming import StreamingDataset, read_all
from cnntrain.data.targets import MASKS
from cnntrain.errors import UserError

NAMES = ("none", "dark", "bright")


class Pairs:
    """Images that are their own masks: pixels of 0, 1 and 2, some of them ignored."""

    classes = NAMES

    def __init__(self, height: int = 12, width: int = 20, count: int = 9) -> None:
        generator = torch.Generator().manual_seed(0)
        self.masks = torch.randint(0, 3, (count, height, width), generator=generator, dtype=torch.uint8)
        self.masks[:, 0] = 255

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> tuple[np.ndarray, Tensor]:
        return self.masks[index].numpy(), self.masks[index]


def in_memory(pairs: Pairs) -> InMemoryDataset:
    return InMemoryDataset(pairs.masks[:, None], pairs.masks, NAMES)


def streamed(source: Any, size: tuple[int, int] = (12, 20), resize: str = "crop") -> StreamingDataset:
    return StreamingDataset(source, 1, size, resize, MASKS, 3)


def on_disk(dataset: InMemoryDataset, folder: Path, into_memory: bool = False) -> InMemoryDataset:
    path = folder / "a.images"
    batches = [dataset.__getitems__(range(0, 4)), dataset.__getitems__(range(4, len(dataset)))]
    assert decoded_cache.write(path, batches, len(dataset), NAMES) is None
    found = decoded_cache.read(path, into_memory)
    assert found is not None
    return found


def test_masks_are_the_same_in_memory_on_disk_and_streamed(tmp_path: Path) -> None:
    pairs = Pairs()
    known = in_memory(pairs)
    disk = on_disk(known, tmp_path)
    assert isinstance(disk, DiskDataset)
    loaded = on_disk(known, tmp_path, into_memory=True)
    read = read_all(streamed(pairs), workers=0, advance=lambda count: None)
    indices = [7, 0, 3]
    for dataset in (known, disk, loaded, read, streamed(pairs)):
        x, y = dataset.__getitems__(indices)
        assert torch.equal(x[:, 0], pairs.masks[indices]) and torch.equal(y, pairs.masks[indices])
        assert dataset.fingerprint == known.fingerprint and dataset.strata is None
        counts = dataset.class_counts(torch.arange(9))
        assert counts.tolist() == [int((pairs.masks == value).sum()) for value in range(3)]
        middle = dataset.seen_at((6, 10)).__getitems__(indices)
        assert torch.equal(middle[0][:, 0], middle[1]) and middle[1].shape == (3, 6, 10)


def test_other_masks_are_other_data() -> None:
    pairs = Pairs()
    changed = pairs.masks.clone()
    changed[4, 5, 5] = (changed[4, 5, 5] + 1) % 3
    assert in_memory(pairs).fingerprint != InMemoryDataset(pairs.masks[:, None], changed, NAMES).fingerprint


def test_a_damaged_mask_on_the_disk_is_told(tmp_path: Path) -> None:
    disk = on_disk(in_memory(Pairs()), tmp_path)
    path = tmp_path / "a.images"
    content = bytearray(path.read_bytes())
    content[9 * 240 + 2 * 240 + 100] ^= 1  # in the mask of image 2
    path.write_bytes(content)
    disk.__getitems__([1])
    assert "the checksum of image 2 does not match" in str(disk.__getitems__([2]))
    path.write_bytes(content)
    assert decoded_cache.read(path, into_memory=True) is None


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(24, 40), (6, 10), (17, 5), (5, 33), (1, 1)])
def test_a_mask_is_scaled_with_its_image(resize: str, size: tuple[int, int]) -> None:
    pairs = Pairs(height=13, width=22)
    blocks = torch.zeros(1, 13, 22, dtype=torch.uint8)
    blocks[:, 4:, 9:] = 1
    x, y = to_size(255 * blocks[:, None], size, resize), masks_to_size(blocks, size, resize, 255)
    assert x.shape[2:] == y.shape[1:] == size
    clear = (x[:, 0] == 0) | (x[:, 0] == 255)  # not at the border of two classes
    assert torch.equal(x[:, 0][clear & (y != 255)] > 0, y[clear & (y != 255)] > 0)
    fitted = fit(in_memory(pairs), 1, size, resize).labels
    assert set(fitted.unique().tolist()) <= {0, 1, 2, 255}


class Wrong(Pairs):
    def __init__(self, mask: Any) -> None:
        super().__init__()
        self.mask = mask

    def __getitem__(self, index: int) -> tuple[np.ndarray, Tensor]:
        return super().__getitem__(index)[0], self.mask


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (torch.zeros(12, 19, dtype=torch.uint8), "the image has 12×20 pixels and the mask 12×19"),
        (torch.zeros(12, 20), "a mask has a whole number for each pixel, (H, W), not float32 (12, 20)"),
        (torch.full((12, 20), 300), "between 0 and 255, and these go from 300 to 300"),
        (torch.full((12, 20), 3, dtype=torch.uint8), "a pixel of class 3, outside the 3 classes"),
        (4, "not int64 ()"),
    ],
)
def test_what_is_no_mask_is_told_with_its_image(mask: Any, words: str) -> None:
    error = streamed(Wrong(mask)).__getitems__([2])
    assert isinstance(error, UserError) and str(error).startswith("Wrong[2]") and words in str(error)


def test_masks_that_do_not_fit_their_images_are_refused() -> None:
    masks = Pairs().masks
    for images, labels, words in (
        (masks[:, None, :, 1:], masks, "images of 12×19 pixels and masks of 12×20"),
        (masks[1:, None], masks, "8 images and 9 masks"),
        (masks[:, None], masks.float(), "targets must be class numbers"),
        (masks[:, None], masks.masked_fill(masks == 1, 9), "class 9, outside the 3 classes"),
    ):
        with pytest.raises(UserError, match=words):
            InMemoryDataset(images, labels, NAMES)
