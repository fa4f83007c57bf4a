"""In memory, streamed by workers, or from the cache: the same images in the same batches."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY, Command, is_told
from forks import CONTEXT, Forked
from image_tree import digits
from PIL import Image
from torch.utils.data import Dataset

from cnntrain.data import batches, decoded_cache
from cnntrain.data.augment.augment import Augment
from cnntrain.data.batches import BatchLoader, raise_if_error
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.loader import EvalLoader, Normalize, TrainLoader
from cnntrain.data.on_disk import DiskDataset
from cnntrain.data.sources import builtin
from cnntrain.data.streaming import StreamingDataset, read_all
from cnntrain.errors import RunFailed
from cnntrain.image_folder.inventory import inventory
from cnntrain.runtime import memory

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
    assert decoded_cache.write(path, zip(lots, labels.split(20), strict=True), 50, ["a", "b"]) is None
    for into_memory in (True, False):
        found = decoded_cache.read(path, into_memory)
        assert found is not None and torch.equal(found.first(50), images)
        batch, _ = found.__getitems__([3, 1, 41])
        assert torch.equal(batch, images[[3, 1, 41]])
        assert channels == 1 or batch.stride(1) == 1
        assert found.fingerprint == InMemoryDataset(images, labels, ["a", "b"]).fingerprint
    assert channels == 1 or in_memory().images.stride(1) == 1


def cached_files() -> list[Path]:
    return list((Path(os.environ["CNNTRAIN_CACHE"]) / "data").glob("*.images"))


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of this test's own."""
    inventory.cache_clear()
    monkeypatch.setenv("CNNTRAIN_CACHE", str(tmp_path / "cache"))


def test_the_second_run_reads_the_cache(
    cnntrain: Command, empty_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "loaded from cache" not in cnntrain("train", *TINY, "out=first").out
    monkeypatch.setattr(builtin, "read_labelled", None)  # which would parse the source files
    assert "loaded from cache" in cnntrain("train", *TINY, "out=second").out
    one, other = weights("first"), weights("second")
    assert all(torch.equal(one[name], other[name]) for name in one)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda data: data[: len(data) // 2],
    "flipped": lambda data: changed(data, len(data) // 2),
    "empty": lambda data: b"",
    "foreign": lambda data: b"no archive",
}


def test_a_damaged_cache_is_made_anew(cnntrain: Command, empty_cache: None) -> None:
    cnntrain("train", *TINY, "out=first")
    whole = {file: file.read_bytes() for file in cached_files()}
    for name, damage in DAMAGE.items():
        for file, data in whole.items():
            file.write_bytes(damage(data))
        assert "loaded from cache" not in cnntrain("train", *TINY, f"out={name}").out, name
        assert {file: file.read_bytes() for file in cached_files()} == whole, name
        assert all(torch.equal(weights("first")[key], value) for key, value in weights(name).items()), name
    assert "loaded from cache" in cnntrain("train", *TINY, "out=last").out


@pytest.mark.parametrize(("channels", "size"), [(1, "47.0 kB"), (3, "0.1 MB")])
def test_a_run_is_the_same_from_the_disk(
    channels: int, size: str, cnntrain: Command, empty_cache: None
) -> None:
    digits(Path("images"))
    run = ("train", "data=folder", "data.root=images", "model=mlp", "epochs=1", "report=false")
    run += (f"data.channels={channels}",)
    where = f"on disk, {size}; cached to {os.environ['CNNTRAIN_CACHE']}"
    assert where in cnntrain(*run, "data.cache=disk", "out=disk").out
    assert "streamed by the main process; data.cache=off" in cnntrain(*run, "data.cache=off", "out=off").out
    assert all(torch.equal(weights("disk")[name], weights("off")[name]) for name in weights("off"))
    assert 0 <= json.loads(Path("off/summary.json").read_text())["loader_share"] <= 1
    if channels == 1:
        return
    resumed = cnntrain("resume", "off", "epochs=2", "data.cache=disk")
    assert f"on disk, {size}; loaded from cache" in resumed.out
    file = next(file for file in cached_files() if file.stat().st_size > 30_000)
    file.write_bytes(file.read_bytes()[:-100])
    assert "cached to" in cnntrain(*run, "data.cache=disk").out


def test_the_oldest_make_room_in_the_cache_and_what_is_too_large_is_not_kept(
    cnntrain: Command, empty_cache: None
) -> None:
    cnntrain("train", *TINY)  # 3.9 and 0.8 MB
    before = set(cached_files())
    outcome = cnntrain("train", *TINY, "data.image_size=14", "data.cache_gb=0.0048")
    assert "loaded from cache" not in outcome.out  # another shape is another file
    assert "cache: removed the 1 data set used longest ago" in outcome.out
    assert len(before & set(cached_files())) == 1 and len(cached_files()) == 3
    assert sum(file.stat().st_size for file in cached_files()) <= 4.8e6
    outcome = cnntrain("train", *TINY, "data.image_size=20", "data.cache_gb=0.0001")
    assert outcome.code == 0 and "not cached: data.cache_gb=0.0001" in outcome.out
    digits(Path("images"))
    run = ("train", "data=folder", "data.root=images", "data.cache=disk", "data.cache_gb=0")
    is_told(cnntrain(*run), "data.cache=disk is not possible", "data.cache_gb=0")


def changed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.fixture
def on_disk(tmp_path: Path) -> DiskDataset:
    """Images that are gathered from a file of the cache."""
    images = torch.randint(0, 256, (50, 3, 6, 6), dtype=torch.uint8)
    path = tmp_path / "a.images"
    decoded_cache.write(path, [(images, torch.arange(50) % 2)], 50, ["a", "b"])
    found = decoded_cache.read(path, into_memory=False)
    assert isinstance(found, DiskDataset)
    return found


@pytest.mark.parametrize("damage", ["flipped", "zeros", "truncated", "gone"])
def test_images_on_the_disk_are_checked_when_they_are_needed(on_disk: DiskDataset, damage: str) -> None:
    path, data = on_disk.path, on_disk.path.read_bytes()
    size = 3 * 6 * 6
    assert len(raise_if_error(on_disk.__getitems__([0, 1]))[1]) == 2
    if damage == "gone":  # removed by another process to make room: the open file stays
        path.unlink()
        assert len(raise_if_error(on_disk.__getitems__([20]))[1]) == 1
        return
    with path.open("r+b") as file:  # in its place, as another program would
        if damage == "truncated":
            file.truncate(20 * size)
        else:
            file.seek(20 * size)
            file.write(bytes(10 * size) if damage == "zeros" else changed(data[20 * size : 21 * size], 7))
    assert len(raise_if_error(on_disk.seen_at(4).__getitems__([3]))[1]) == 1
    error = on_disk.__getitems__([5, 20])
    assert isinstance(error, RunFailed) and str(path) in str(error) and "damaged" in str(error)
    assert not path.exists()


@pytest.mark.parametrize("part", ["labels", "checksums", "description"])
@pytest.mark.parametrize("into_memory", [True, False])
def test_what_a_file_of_the_cache_says_of_its_images_is_checked(
    on_disk: DiskDataset, part: str, into_memory: bool
) -> None:
    data, images = on_disk.path.read_bytes(), 50 * 3 * 6 * 6
    place = images + {"labels": 8, "checksums": 8 * 50 + 1, "description": 12 * 50 + 40}[part]
    on_disk.path.write_bytes(changed(data, place))
    assert decoded_cache.read(on_disk.path, into_memory) is None


def test_a_worker_that_finds_damage_tells_the_main_process(on_disk: DiskDataset) -> None:
    with on_disk.path.open("r+b") as file:
        file.seek(108 + 5)
        file.write(bytes(20))
    before = set(multiprocessing.active_children())
    with pytest.raises(RunFailed, match="damaged: the checksum of image 1 does not match"):
        list(BatchLoader(on_disk, [np.arange(4)], workers=1))
    # Else the command would wait for them 5 s at its end.
    assert set(multiprocessing.active_children()) <= before


def test_a_run_on_a_damaged_cache_ends_with_a_line_and_the_next_makes_it_anew(
    cnntrain: Command, empty_cache: None
) -> None:
    digits(Path("images"))
    run = ("train", "data=folder", "data.root=images", "model=mlp", "epochs=1", "report=false")
    run += ("data.cache=disk", "precision=fp32")
    assert cnntrain(*run, "out=right").code == 0
    training = max(cached_files(), key=lambda file: file.stat().st_size)
    training.write_bytes(changed(training.read_bytes(), 784 * 5 + 3))
    ended = cnntrain(*run, "out=run")
    assert ended.code == 1 and "are damaged: the checksum of image 5" in ended.err, ended
    assert "Traceback" not in ended.err
    again = cnntrain(*run, "out=again")
    assert again.code == 0 and "cached to" in again.out
    assert all(torch.equal(weights("right")[name], weights("again")[name]) for name in weights("again"))


def in_main_process(end: str, errors: Connection) -> None:
    """Start a worker whose standard error is a pipe; be killed, or wait for it."""
    os.dup2(errors.fileno(), 2)
    errors.close()
    worker = multiprocessing.get_context("fork").Process(target=in_worker, args=(end,))
    worker.start()
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    worker.join()


def in_worker(end: str) -> None:
    batches.init_worker(0)
    main = multiprocessing.parent_process()
    assert main is not None
    if end == "killed":
        main.join()
    batches.GOING_SECONDS = 0.1
    sys.excepthook(ConnectionResetError, ConnectionResetError("reset"), None)


@pytest.mark.parametrize(("main", "told"), [("killed", ""), ("alive", "ConnectionResetError: reset\n")])
def test_a_worker_dies_in_silence_when_the_main_process_is_killed(main: str, told: str) -> None:
    read, write = CONTEXT.Pipe(duplex=False)
    CONTEXT.Process(target=in_main_process, args=(main, write)).start()
    write.close()
    assert Path(f"/dev/fd/{read.fileno()}").read_text() == told


def test_images_in_memory_do_not_depend_on_the_file_they_came_from(
    cnntrain: Command, empty_cache: None
) -> None:
    cnntrain("train", *TINY)
    path = max(cached_files(), key=lambda file: file.stat().st_size)
    found = decoded_cache.read(path, into_memory=True)
    assert found is not None
    before = found.fingerprint
    os.truncate(path, 100)  # which would end a process that has it mapped, with SIGBUS
    del found.fingerprint
    assert found.fingerprint == before


def test_files_of_earlier_formats_count_and_are_the_first_to_go(cnntrain: Command, empty_cache: None) -> None:
    folder = Path(os.environ["CNNTRAIN_CACHE"]) / "data"
    folder.mkdir(parents=True)
    earlier = folder / "0123.pictures"
    earlier.write_bytes(bytes(3_000_000))
    os.utime(earlier, (1, 1))
    assert "cache: removed the 1 data set" in cnntrain("train", *TINY, "data.cache_gb=0.006").out
    assert not earlier.exists() and len(cached_files()) == 2


@pytest.mark.parametrize(
    ("value", "code", "told"),
    [
        (
            "~nosuchuser/x",
            2,
            "CNNTRAIN_CACHE=~nosuchuser/x is not possible: ~nosuchuser is nobody's home folder",
        ),
        ("cache\nline", 0, "cached to cache\\nline/data"),
        ("caf\udce9", 0, "cached to caf\\xe9/data"),
    ],
)
def test_odd_cache_folders(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch, value: str, code: int, told: str
) -> None:
    monkeypatch.setenv("CNNTRAIN_CACHE", value)
    outcome = cnntrain("train", *TINY)
    assert outcome.code == code and told in outcome.out + outcome.err, outcome
    assert "Traceback" not in outcome.err


def test_fifos_and_devices_in_the_cache_hang_nothing(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a process of its own, with a limit: the kernel waits for ever for a FIFO's writer."""
    cache = tmp_path / "odd"
    monkeypatch.setenv("CNNTRAIN_CACHE", str(cache))
    run = ("train", "data=folder", f"data.root={digits(Path('d'))}", "model=mlp", "epochs=1", "report=false")
    assert cnntrain(*run, "out=first").code == 0
    files = [path for path in cache.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} == {"data", "engines", "folders"}
    for number, path in enumerate(files):
        path.unlink()
        os.mkfifo(path) if number % 2 or path.parent.name != "data" else path.symlink_to("/dev/zero")
    again = Forked(*run, "out=again")
    assert again.wait(60) == 0, again.communicate()


def test_a_user_without_a_home_does_without_a_cache(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("CNNTRAIN_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", classmethod(no_home))
    monkeypatch.setattr(Path, "expanduser", no_home)
    outcome = cnntrain("train", *TINY)
    assert outcome.code == 0 and "CNNTRAIN_CACHE=DIR names another folder" in " ".join(outcome.out.split())
    digits(Path("images"))
    assert cnntrain("train", *TINY, "data=folder", "data.root=images").code == 0


def test_a_cache_folder_that_cannot_be_written_is_named(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNNTRAIN_CACHE", "/proc/cache")  # where even root can't write
    for told in ("free in /proc/cache/data", "not cached: /proc/cache/data can't be written"):
        outcome = cnntrain("train", *TINY)
        assert outcome.code == 0 and "data.cache_gb" not in outcome.out, outcome
        assert told in " ".join(outcome.out.split())
        monkeypatch.setattr(os, "access", lambda path, mode: not str(path).startswith("/proc"))


def test_a_cache_that_cannot_be_written_is_done_without(
    cnntrain: Command, in_empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_empty_folder / "file").touch()
    monkeypatch.setenv("CNNTRAIN_CACHE", str(in_empty_folder / "file" / "cache"))
    assert cnntrain("train", *TINY).code == 0
