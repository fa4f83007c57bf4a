"""Boxes as targets: in memory, on the disk and streamed; scaled, cut, augmented, and back in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from cnntrain.data import decoded_cache
from cnntrain.data.augment.augment import Augment
from cnntrain.data.images import InMemoryDataset, fit
from cnntrain.data.on_disk import DiskDataset
from cnntrain.data.resize import boxes_to_file, to_size
from cnntrain.data.streaming import StreamingDataset, read_all
from cnntrain.data.targets import BOXES, kind_of
from cnntrain.errors import UserError

NAMES = ("cat", "dog", "owl")
NO_BOX = [0.0, 0.0, 0.0, 0.0, -1.0, 0.0]


class Rectangles:
    """Bright rectangles, 0 to 3 an image, and the boxes around them, as rows or as torchvision has them."""

    classes = NAMES

    def __init__(
        self, height: int = 24, width: int = 40, count: int = 9, as_dictionary: bool = False
    ) -> None:
        self.images = torch.zeros(count, 1, height, width, dtype=torch.uint8)
        self.rows = [rectangles(self.images[index, 0], index) for index in range(count)]
        self.as_dictionary = as_dictionary

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        rows = torch.tensor(self.rows[index]).view(-1, 5)
        if self.as_dictionary:
            return self.images[index], {"boxes": rows[:, :4], "labels": rows[:, 4].long()}
        return self.images[index], rows


def rectangles(image: Tensor, index: int) -> list[list[float]]:
    height, width = image.shape
    rows = []
    for number in range(index % 4):
        left, top = (7 * index + 13 * number) % (width - 8), (5 * index + 8 * number) % (height - 6)
        image[top : top + 5, left : left + 7] = 255
        rows.append([left, top, left + 7, top + 5, (index + number) % 3])
    return [[float(value) for value in row] for row in rows]


def table(source: Rectangles) -> Tensor:
    rows = [[[*row, 0.0] for row in of] + [NO_BOX] * (3 - len(of)) for of in source.rows]
    return torch.tensor(rows)


def in_memory(source: Rectangles) -> InMemoryDataset:
    return InMemoryDataset(source.images, table(source), NAMES)


def streamed(source: Any, size: tuple[int, int] = (24, 40), resize: str = "crop") -> StreamingDataset:
    dataset = StreamingDataset(source, 1, size, resize, BOXES, 3)
    dataset.find_labels(0, lambda count: None)
    return dataset


def on_disk(dataset: InMemoryDataset, folder: Path, into_memory: bool = False) -> InMemoryDataset:
    path = folder / "a.images"
    batches = [dataset.__getitems__(range(0, 2)), dataset.__getitems__(range(2, len(dataset)))]
    assert decoded_cache.write(path, batches, len(dataset), NAMES) is None
    found = decoded_cache.read(path, into_memory)
    assert found is not None
    return found


@pytest.mark.parametrize("as_dictionary", [False, True])
def test_boxes_are_the_same_in_memory_on_disk_and_streamed(tmp_path: Path, as_dictionary: bool) -> None:
    source = Rectangles(as_dictionary=as_dictionary)
    known = in_memory(source)
    disk, loaded = on_disk(known, tmp_path), on_disk(known, tmp_path, into_memory=True)
    assert isinstance(disk, DiskDataset)
    read = read_all(StreamingDataset(source, 1, (24, 40), "crop", BOXES, 3), 0, lambda count: None)
    indices = [7, 0, 3]
    middle = known.seen_at((12, 20)).__getitems__(indices)
    for dataset in (known, disk, loaded, read, streamed(source)):
        x, y = dataset.__getitems__(indices)
        assert torch.equal(x, source.images[indices]) and torch.equal(y, table(source)[indices])
        assert dataset.fingerprint == known.fingerprint and dataset.strata is None
        assert dataset.class_counts(torch.arange(9)).tolist() == known.class_counts(torch.arange(9)).tolist()
        theirs = dataset.seen_at((12, 20)).__getitems__(indices)
        assert torch.equal(theirs[0], middle[0]) and torch.equal(theirs[1], middle[1])
    assert int(known.class_counts(torch.arange(9)).sum()) == sum(map(len, source.rows))


def test_an_image_without_boxes_and_a_data_set_without_any_are_background() -> None:
    empty = Rectangles(count=1)
    x, y = streamed(empty).__getitems__([0])
    assert x.shape == (1, 1, 24, 40) and y.tolist() == [[NO_BOX]]
    assert kind_of(y) is BOXES and BOXES.counts(y, 3).tolist() == [0, 0, 0]


def around(image: Tensor, least: int = 100) -> list[int]:
    rows, columns = (image > least).nonzero().unbind(1)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
@pytest.mark.parametrize("size", [(24, 40), (48, 80), (32, 32), (60, 40), (17, 31)], ids=str)
def test_boxes_are_scaled_as_their_images_are_and_go_back_to_the_file(
    resize: str, size: tuple[int, int]
) -> None:
    images = torch.zeros(1, 1, 24, 40, dtype=torch.uint8)
    images[0, 0, 8:18, 14:27] = 255
    rows = torch.tensor([[[14.0, 8.0, 27.0, 18.0, 2.0, 0.0]]])
    dataset = fit(InMemoryDataset(images, rows, NAMES), 1, size, resize)
    found = dataset.labels[0, 0]
    seen = torch.tensor(around(to_size(images, size, resize)[0, 0]))
    assert found[4:].tolist() == [2.0, 0.0] and (found[:4] - seen).abs().max() <= 1
    back = boxes_to_file(found[None, :4], (24, 40), size, resize)[0]
    assert (back - torch.tensor([14.0, 8.0, 27.0, 18.0])).abs().max() < 1e-4


def test_boxes_of_a_middle_go_back_to_the_file_too() -> None:
    rows = torch.tensor([[[12.0, 20.0, 60.0, 70.0, 0.0, 0.0]]])
    whole = BOXES.fitted(rows, (90, 120), (60, 60), "crop")
    seen = BOXES.seen_at(whole, (60, 60), (50, 40))
    back = boxes_to_file(seen[..., :4], (90, 120), (50, 40), "crop", read_size=60)
    assert back[0, 0].tolist() == pytest.approx([30.0, 20.0, 60.0, 70.0])  # what the cuts left of it


def test_what_a_crop_cuts_off_is_dropped_and_slivers_are_ignored() -> None:
    rows = torch.tensor(
        [
            [
                [0.0, 5.0, 9.0, 15.0, 0.0, 0.0],  # out of sight: the middle is 10 to 30
                [0.0, 5.0, 11.0, 15.0, 1.0, 0.0],  # a sliver of a pixel
                [5.0, 5.0, 20.0, 15.0, 2.0, 0.0],
            ]
        ]
    )
    cut = BOXES.fitted(rows, (20, 40), (20, 20), "crop")
    assert cut.tolist() == [[[0.0, 5.0, 1.0, 15.0, 1.0, 1.0], [0.0, 5.0, 10.0, 15.0, 2.0, 0.0], NO_BOX]]
    assert BOXES.counts(cut, 3).tolist() == [0, 0, 1]


def changed(targets: Tensor, images: Tensor, **kinds: Any) -> tuple[Tensor, Tensor]:
    augment = Augment(**{"shift": 0, "flip": 0.0, "rotate": 0.0, "erase": 0.0, **kinds})
    size = images.shape[2], images.shape[3]
    return BOXES.augmented(augment, images, targets, Generator().manual_seed(0), size)


def test_boxes_move_with_the_draws_of_their_images_and_stay_sorted() -> None:
    source = Rectangles(count=80)
    kinds = {"flip": 0.5, "shift": 6, "crop": 0.5}
    images, rows = changed(table(source), source.images, **kinds)
    plain = Augment(**{"shift": 6, "flip": 0.5, "rotate": 0.0, "erase": 0.0, "crop": 0.5})
    assert torch.equal(images, plain(source.images, Generator().manual_seed(0), (24, 40)))
    is_box = rows[..., 4] >= 0
    assert (is_box[:, :-1] >= is_box[:, 1:]).all() and rows[~is_box].unique(dim=0).tolist() == [NO_BOX]
    for image, of in zip(images[:, 0], rows, strict=True):
        for left, top, right, bottom in of[of[:, 4] >= 0, :4].round().int().tolist():
            assert image[top:bottom, left:right].float().mean() > 150
    assert 0 < int(is_box.sum()) < sum(map(len, source.rows))


def test_a_box_is_dropped_below_the_share_that_min_visible_names() -> None:
    images = torch.zeros(300, 1, 60, 20, dtype=torch.uint8)
    rows = torch.tensor([[0.0, 25.0, 10.0, 35.0, 1.0, 0.0]]).repeat(300, 1, 1)
    _, strict = changed(rows, images, shift=9, min_visible=0.5)
    _, lax = changed(rows, images, shift=9, min_visible=0.0)
    wide = lax[:, 0, 2] - lax[:, 0, 0]
    assert torch.equal(strict[:, 0, 4] == 1, wide >= 5) and (wide < 5).any() and (lax[:, 0, 4] == 1).all()


def test_an_ignored_box_stays_ignored() -> None:
    rows = torch.tensor([[[2.0, 2.0, 9.0, 9.0, 1.0, 1.0]]])
    images = torch.zeros(1, 1, 20, 20, dtype=torch.uint8)
    assert changed(rows, images, flip=1.0)[1][0, 0].tolist() == [11.0, 2.0, 18.0, 9.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([[1.0, 2.0, 3.0]], "boxes are rows of 5 or 6 numbers, (M, 5) or (M, 6), not (1, 3)"),
        ([[5.0, 2.0, 3.0, 9.0, 0.0]], "a box goes from left and top to a larger right and bottom, not"),
        ([[1.0, 2.0, 1.0, 9.0, 0.0]], "a box goes from left and top to a larger right and bottom, not"),
        ([[1.0, 2.0, float("nan"), 9.0, 0.0]], "a box goes from left"),
        ([[1.0, 2.0, 3.0, 9.0, 3.0]], "a box is of class 3, outside the 3 classes"),
        ([[1.0, 2.0, 3.0, 9.0, 0.5]], "a box is of class 0.5, outside the 3 classes"),
    ],
)
def test_a_wrong_box_of_a_data_set_is_told_with_its_image(value: Any, told: str) -> None:
    class Wrong(Rectangles):
        def __getitem__(self, index: int) -> tuple[Tensor, Any]:
            return super().__getitem__(index) if index != 4 else (self.images[4], value)

    error = StreamingDataset(Wrong(), 1, (24, 40), "crop", BOXES, 3).__getitems__([3, 4])
    assert isinstance(error, UserError) and str(error).startswith("Wrong[4]") and told in str(error)
