"""In memory, streamed by workers, or from the cache: the same images in the same batches."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Command, is_told
from image_tree import digits
from PIL import Image
from torch.utils.data import Dataset

from cnntrain import memory
from cnntrain.data import kept, sources
from cnntrain.data.augment import Augment
from cnntrain.data.census import census
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.loader import EvalLoader, Normalize, TrainLoader
from cnntrain.data.streaming import StreamingDataset, read_all

CPU = torch.device("cpu")
SOURCE = "data.source._target_=photos.Photos"
PHOTOS = """
import os, torch
from PIL import Image
from torch.utils.data import Dataset

class Photos(Dataset):
    classes = ["dark", "light"]
    broken = None

    def __init__(self, train):
        self.count = 60 if train else 20

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index == 7 and os.path.exists("broken"):
            raise OSError("image file is truncated")
        if index == 7 and os.path.exists("fatal"):
            os._exit(1)
        label = index % 2
        return Image.new("RGB", (20 + index, 30), (index + 100 * label,) * 3), label
"""
PHOTO_KEYS = (
    "data.num_classes=2",
    "data.channels=3",
    "data.image_size=12",
    "model.channels=[4]",
    "report=false",
)


@pytest.fixture
def photos(in_empty_folder: Path) -> Path:
    """A data set of the user's, of images of many sizes."""
    (in_empty_folder / "photos.py").write_text(PHOTOS)
    return in_empty_folder


class Photos(Dataset[Any]):
    """Such a data set in this process, of images with something on them."""

    classes = ("dark", "light")

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        pixels = np.random.default_rng(index).integers(0, 156 + 100 * (index % 2), (30, 20 + index, 3))
        return Image.fromarray(pixels.astype(np.uint8)), index % 2


def streamed(dataset: Any) -> StreamingDataset:
    found = StreamingDataset(dataset, 3, 30, "crop")
    found.find_labels(0, lambda count: None)
    return found


def in_memory() -> InMemoryDataset:
    return read_all(StreamingDataset(Photos(), 3, 30, "crop"), workers=0, advance=lambda count: None)


def weights(run: str) -> dict[str, torch.Tensor]:
    state = torch.load(Path(run) / "checkpoints" / "last.pt", weights_only=True)
    return state["model"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "augment",
    [
        Augment(2, 0.5, 10.0, 0.5),
        Augment(0, 0.5, 0, 0, crop=0.3),
        Augment(0, 0, 0, 0, crop=0.3, jitter=0.4, hue=0.1, trivialaugment=1.0),
        Augment(0, 0, 0, 0, jitter=0.9, hue=0.1, trivialaugment=1.0),
    ],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("workers", [0, 2])
def test_both_paths_give_the_same_batches(
    augment: Augment, layout: torch.memory_format, workers: int
) -> None:
    normalize = Normalize([0.5], [0.25], CPU, layout)
    loaders = [
        TrainLoader(data, torch.arange(60), 16, 3, augment, normalize, CPU, use)
        for data, use in ((in_memory(), 0), (streamed(Photos()), workers))
    ]
    for epoch in range(2):
        for (x, y), (other_x, other_y) in zip(*(loader.epoch(epoch) for loader in loaders), strict=True):
            assert torch.equal(x, other_x) and torch.equal(y, other_y)


def test_evaluation_sees_each_streamed_image_once() -> None:
    batches = EvalLoader(streamed(Photos()), torch.arange(60), 16, Normalize([0.5], [0.25], CPU), CPU, 2)
    assert torch.cat([y for _, y in batches]).tolist() == [index % 2 for index in range(60)]


def test_a_run_ends_with_the_same_weights_on_every_path(cnntrain: Command) -> None:
    outcome = cnntrain("train", *TINY, "augment=digits", "out=memory")
    assert "in memory, 4.7 MB" in outcome.out
    outcome = cnntrain("train", *TINY, "augment=digits", "data.cache=off", "workers=2", "out=stream")
    assert "streamed by 2 workers; data.cache=off" in outcome.out
    one, other = weights("memory"), weights("stream")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_data_that_do_not_fit_are_streamed(
    cnntrain: Command, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ("train", SOURCE, *PHOTO_KEYS, "epochs=1", "precision=fp32")
    assert "in memory, 34.6 kB" in cnntrain(*run, "out=fits").out
    monkeypatch.setattr(memory, "free", lambda: 20_000)
    assert "streamed by the main process; 25.9 kB of images, 20.0 kB of memory free" in cnntrain(*run).out
    is_told(cnntrain(*run, "data.cache=ram"), "data.cache=ram is not possible")
    is_told(cnntrain(*run, "data.cache=disk"), "Photos has no method files")


@pytest.mark.parametrize("path", ["data.cache=ram", "data.cache=off"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_image_that_cannot_be_read_is_named(
    cnntrain: Command, photos: Path, path: str, workers: int
) -> None:
    (photos / "broken").touch()
    outcome = cnntrain("train", SOURCE, *PHOTO_KEYS, path, f"workers={workers}")
    is_told(outcome, "Photos[7] can't be read: OSError: image file is truncated")


def test_a_worker_that_dies_is_told(cnntrain: Command, photos: Path) -> None:
    (photos / "fatal").touch()
    outcome = cnntrain("train", SOURCE, *PHOTO_KEYS, "workers=1")
    assert outcome.code == 1
    assert "DataLoader worker" in outcome.err and "workers=0" in outcome.err
    assert "Traceback" not in outcome.err


def test_labels_come_from_targets_only_if_they_are_those_of_the_images() -> None:
    class Counted(Photos):
        read = 0

        def __init__(self, targets: list[int]) -> None:
            self.targets = targets

        def __len__(self) -> int:
            return 200

        def __getitem__(self, index: int) -> tuple[Image.Image, int]:
            self.read += 1
            return super().__getitem__(index)

    expected = [index % 2 for index in range(200)]
    right, wrong = Counted(expected), Counted([1 - label for label in expected])
    assert streamed(right).labels.tolist() == streamed(wrong).labels.tolist() == expected
    assert right.read < 100 <= wrong.read


# The cache


@pytest.mark.parametrize("channels", [1, 3])
def test_the_cache_gives_back_the_images_with_their_colours_side_by_side(
    tmp_path: Path, channels: int
) -> None:
    images = torch.randint(0, 256, (50, channels, 6, 5), dtype=torch.uint8)
    labels = torch.arange(50) % 2
    lots = [images[:20], images[20:40].contiguous(memory_format=torch.channels_last), images[40:]]
    path = tmp_path / "a.images"
    assert kept.write(path, zip(lots, labels.split(20), strict=True), 50, ["a", "b"]) is None
    for look_at_all in (True, False):
        found = kept.read(path, look_at_all)
        assert found is not None and torch.equal(found.images, images)
        batch, _ = found.__getitems__([3, 1, 41])
        assert torch.equal(batch, images[[3, 1, 41]])
        assert channels == 1 or (batch.stride(1) == 1 and found.images.stride(1) == 1)
        assert found.fingerprint == InMemoryDataset(images, labels, ["a", "b"]).fingerprint
    assert channels == 1 or in_memory().images.stride(1) == 1


def cached_files() -> list[Path]:
    return list((Path(os.environ["CNNTRAIN_CACHE"]) / "data").glob("*.images"))


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of this test's own."""
    census.cache_clear()
    monkeypatch.setenv("CNNTRAIN_CACHE", str(tmp_path / "cache"))


def test_the_second_run_reads_the_cache(
    cnntrain: Command, empty_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "from the cache" not in cnntrain("train", *TINY, "out=first").out
    monkeypatch.setattr(sources, "read_idx", None)  # which would parse the source files
    assert "from the cache" in cnntrain("train", *TINY, "out=second").out
    one, other = weights("first"), weights("second")
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
        lambda data: b"",
        lambda data: b"no archive",
    ],
    ids=["truncated", "flipped", "empty", "foreign"],
)
def test_a_damaged_cache_is_made_anew(cnntrain: Command, empty_cache: None, damage: Any) -> None:
    cnntrain("train", *TINY, "out=first")
    for file in cached_files():
        file.write_bytes(damage(file.read_bytes()))
    assert "from the cache" not in cnntrain("train", *TINY, "out=second").out
    assert "from the cache" in cnntrain("train", *TINY, "out=third").out
    assert all(torch.equal(weights("first")[name], weights("third")[name]) for name in weights("first"))


@pytest.mark.parametrize(("channels", "size"), [(1, "47.0 kB"), (3, "0.1 MB")])
def test_a_run_is_the_same_from_the_disk_and_resumes_from_there(
    channels: int, size: str, cnntrain: Command, empty_cache: None
) -> None:
    digits(Path("images"))
    run = ("train", "data=folder", "data.root=images", "model=mlp", "epochs=1", "report=false")
    run += (f"data.channels={channels}",)
    where = f"on disk, {size}; kept in the cache, {os.environ['CNNTRAIN_CACHE']}"
    assert where in cnntrain(*run, "data.cache=disk", "out=disk").out
    assert "streamed by the main process; data.cache=off" in cnntrain(*run, "data.cache=off", "out=off").out
    assert all(torch.equal(weights("disk")[name], weights("off")[name]) for name in weights("off"))
    assert 0 <= json.loads(Path("off/summary.json").read_text())["loader_share"] <= 1
    assert f"on disk, {size}; from the cache" in cnntrain("resume", "off", "epochs=2", "data.cache=disk").out
    file = next(file for file in cached_files() if file.stat().st_size > 30_000)
    file.write_bytes(file.read_bytes()[:-100])
    assert "kept in the cache" in cnntrain(*run, "data.cache=disk").out


def test_the_oldest_make_room_in_the_cache_and_what_is_too_large_is_not_kept(
    cnntrain: Command, empty_cache: None
) -> None:
    cnntrain("train", *TINY)  # 3.9 and 0.8 MB
    before = set(cached_files())
    outcome = cnntrain("train", *TINY, "data.image_size=14", "data.cache_gb=0.0048")
    assert "cache: removed the 1 data set used longest ago" in outcome.out
    assert len(before & set(cached_files())) == 1 and len(cached_files()) == 3
    assert sum(file.stat().st_size for file in cached_files()) <= 4.8e6
    outcome = cnntrain("train", *TINY, "data.image_size=20", "data.cache_gb=0.0001")
    assert outcome.code == 0 and "not kept in the cache: data.cache_gb=0.0001" in outcome.out
    digits(Path("images"))
    run = ("train", "data=folder", "data.root=images", "data.cache=disk", "data.cache_gb=0")
    is_told(cnntrain(*run), "data.cache=disk is not possible", "data.cache_gb=0")


def test_another_shape_is_another_file_of_the_cache(cnntrain: Command, empty_cache: None) -> None:
    cnntrain("train", *TINY)
    assert len(cached_files()) == 2
    assert "from the cache" not in cnntrain("train", *TINY, "data.image_size=14").out
    assert len(cached_files()) == 4


def test_a_cache_that_cannot_be_written_is_done_without(
    cnntrain: Command, in_empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_empty_folder / "file").touch()
    monkeypatch.setenv("CNNTRAIN_CACHE", str(in_empty_folder / "file" / "cache"))
    assert cnntrain("train", *TINY).code == 0
