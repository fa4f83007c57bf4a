"""One format: what is written is read, whatever happens in between."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnntrain.errors import CheckpointError, RunFailed
from cnntrain.loop import train_epoch
from cnntrain.models import MLP
from cnntrain.optim.schedules import Cosine
from cnntrain.runs import atomic, checkpoint
from cnntrain.runs.checkpoint import STATE
from cnntrain.runtime.rng import random_state, set_random_state

PLAIN = {
    "config": {"model": {"hidden": [128], "dropout": 0.5}, "name": None, "on": True, "path": "naïve = 1"},
    "class_names": ["null", "eins"],
    "input_shape": [1, 4, 4],
    "normalization": {"mean": [0.1307], "std": [0.3081]},
    "model": {"weight": torch.arange(12.0).view(3, 4), "steps": torch.tensor(7)},
    "progress": {"epoch": 3, "epoch_seconds": 2.5},
    "schedule": {"plain": (1, 2.5)},
}


def same(first: Any, second: Any) -> bool:
    """Return whether two states are equal, types included."""
    if type(first) is not type(second):
        return False
    if isinstance(first, torch.Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a run keeps its checkpoint."""
    return tmp_path / "my run" / "checkpoints" / "last.pt"


def written(path: Path, **changes: Any) -> bytes:
    """Write a checkpoint; returns its bytes."""
    data = checkpoint.serialize({**PLAIN, **changes})
    checkpoint.write(data, path)
    return bytes(data)


# Writing and reading


def test_what_is_written_is_read(path: Path) -> None:
    written(path)
    assert same(checkpoint.load(path), {"format_version": 1, **STATE, **PLAIN})


def test_torch_reads_it_too(path: Path) -> None:
    """A checkpoint is no format of its own: weights_only, and nothing of cnntrain."""
    written(path)
    assert same(torch.load(path, weights_only=True)["model"], PLAIN["model"])


def test_the_same_state_gives_the_same_bytes() -> None:
    assert bytes(checkpoint.serialize(PLAIN)) == bytes(checkpoint.serialize(PLAIN))


def test_every_state_of_a_training_goes_in_and_comes_out(path: Path) -> None:
    """The model, the optimizer, the schedule and the generators go on from a file as if never stopped."""

    def parts() -> tuple[Any, ...]:
        model = MLP(16, [8], 2, dropout=0.5)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        return model, optimizer, Cosine(optimizer, total_steps=8, steps_per_epoch=4, warmup=1.0, final=0.0)

    def epoch(model: Any, optimizer: Any, schedule: Any) -> float:
        return train_epoch(model, batches, torch.nn.CrossEntropyLoss(), optimizer, schedule).loss

    batches = [(torch.randn(4, 1, 4, 4), torch.tensor([0, 1, 0, 1])) for _ in range(4)]
    first = parts()
    epoch(*first)
    names = ("model", "optimizer", "schedule")
    states = {name: part.state_dict() for name, part in zip(names, first, strict=True)}
    written(path, **states, random=random_state())
    expected = epoch(*first)

    torch.manual_seed(99)
    second, state = parts(), checkpoint.load(path)
    for name, part in zip(names, second, strict=True):
        part.load_state_dict(state[name])
    set_random_state(state["random"])
    assert epoch(*second) == expected
    assert same(second[0].state_dict(), first[0].state_dict())


def test_every_global_generator_goes_on_from_a_file(path: Path) -> None:
    def draws() -> list[float]:
        return [
            random.random(),
            np.random.rand(),
            np.random.randn(),
            torch.rand(()).item(),
            random.gauss(0, 1),
        ]

    draws()  # so that numpy and random have half of a pair of normal numbers in store
    written(path, random=random_state())
    expected = draws()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    set_random_state(checkpoint.load(path)["random"])
    assert draws() == expected


def test_a_checkpoint_says_what_it_lacks(path: Path) -> None:
    checkpoint.write(checkpoint.serialize({"model": {}, "config": {}}), path)
    with pytest.raises(CheckpointError, match="no class_names, input_shape, normalization, progress"):
        checkpoint.load(path)


# Files that are something else


def test_a_missing_checkpoint_is_named(path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"there is no checkpoint {path}"):
        checkpoint.load(path)


def text_file(path: Path) -> None:
    path.write_text("no checkpoint")


def empty_file(path: Path) -> None:
    path.touch()


def some_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")


def torchs_own(path: Path) -> None:
    torch.save(PLAIN, path)


def old_pickle(path: Path) -> None:
    torch.save(PLAIN, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("make", [text_file, empty_file, some_zip, torchs_own, old_pickle, Path.mkdir])
def test_what_is_no_checkpoint_of_ours_is_not_loaded(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "other.pt"
    make(path)
    with pytest.raises(CheckpointError, match=r"other\.pt is not a checkpoint"):
        checkpoint.load(path)


def test_another_version_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as future:
        future.setattr(checkpoint, "FORMAT_VERSION", 2)
        written(path)
    with pytest.raises(CheckpointError, match="is of checkpoint format 2, and this cnntrain reads 1"):
        checkpoint.verify(path)


class Hostile:
    """Makes whoever unpickles it write a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def test_a_hostile_checkpoint_runs_nothing(path: Path, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    written(path, progress=Hostile(marker))
    with pytest.raises(CheckpointError, match="could not be read as tensors and plain types"):
        checkpoint.load(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists()  # so it was hostile


# Damage


def test_one_flipped_bit_anywhere_is_found(path: Path) -> None:
    """A quarter of the bytes of a small checkpoint, one bit in each, and all bits of a few."""
    data = written(path)
    generator = random.Random(0)
    flips = [(i, 1 << generator.randrange(8)) for i in generator.sample(range(len(data)), len(data) // 4)]
    flips += [(index, 1 << bit) for index in generator.sample(range(len(data)), 20) for bit in range(8)]
    for index, bit in flips:
        path.write_bytes(data[:index] + bytes([data[index] ^ bit]) + data[index + 1 :])
        with pytest.raises(CheckpointError, match=f"{path} is "):
            checkpoint.verify(path)


def test_a_flipped_bit_in_a_tensor_is_called_damage(path: Path) -> None:
    data = written(path)
    index = data.index(torch.arange(12.0).numpy().tobytes()) + 20
    path.write_bytes(data[:index] + bytes([data[index] ^ 1]) + data[index + 1 :])
    with pytest.raises(CheckpointError, match="is damaged: its checksum does not match"):
        checkpoint.load(path)


@pytest.mark.parametrize("attribute", range(38, 42))
def test_damage_in_the_archives_directory_is_found(path: Path, attribute: int) -> None:
    """Where torch took a tensor for a folder and read memory that was never written."""
    data = bytearray(written(path))
    entry = data.index(b"archive/data/0", data.index(b"PK\x01\x02")) - 46
    data[entry + attribute] ^= 16
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint.load(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_found(path: Path, share: float) -> None:
    data = written(path)
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=f"{path} is (not a checkpoint, or it is truncated|damaged)"):
        checkpoint.load(path)


def test_bytes_appended_or_swapped_are_found(path: Path) -> None:
    data = written(path)
    for changed in (data + b"\0", data + data, data[:500] + data[900:1300] + data[500:900] + data[1300:]):
        path.write_bytes(changed)
        with pytest.raises(CheckpointError):
            checkpoint.load(path)


def test_a_checkpoint_of_several_chunks_is_verified(path: Path) -> None:
    data = written(path, model={"weight": torch.rand(600_000)})  # 2.4 MB
    checkpoint.verify(path)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint.verify(path)


def test_verifying_needs_no_torch(path: Path) -> None:
    """Before a run begins, while torch would take seconds to import."""
    written(path)
    code = (
        "import sys; from pathlib import Path; from cnntrain.runs import checkpoint; "
        "checkpoint.verify(Path(sys.argv[1])); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


# Crashes


def test_the_one_before_is_kept(path: Path) -> None:
    keep = path.with_name("previous.pt")
    for epoch in (1, 2, 3):
        checkpoint.write(checkpoint.serialize({**PLAIN, "progress": {"epoch": epoch}}), path, keep=keep)
        assert checkpoint.load(path)["progress"] == {"epoch": epoch}
        assert keep.exists() == (epoch > 1)
        if epoch > 1:
            assert checkpoint.load(keep)["progress"] == {"epoch": epoch - 1}
    assert sorted(file.name for file in path.parent.iterdir()) == ["last.pt", "previous.pt"]


def test_what_a_crash_left_is_written_over(path: Path) -> None:
    written(path)
    temporary = path.with_name(".last.pt.tmp")
    temporary.write_bytes(b"half a file" * 1000)
    written(path, progress={"epoch": 4})
    assert checkpoint.load(path)["progress"] == {"epoch": 4}
    assert not temporary.exists()


FULL_DISK = """
import resource, sys
from pathlib import Path
from cnntrain.runs import checkpoint
from cnntrain.errors import RunFailed

path, data = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (len(data) // 2, -1))
try:
    checkpoint.write(memoryview(data), path, keep=path.with_name("previous.pt"))
except RunFailed as error:
    sys.exit(str(error))
"""


def test_a_full_disk_leaves_the_checkpoint_before_it(path: Path, tmp_path: Path) -> None:
    before = written(path)
    (tmp_path / "new").write_bytes(bytes(checkpoint.serialize({**PLAIN, "progress": {"epoch": 4}})))
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path), str(tmp_path / "new")], capture_output=True, text=True
    )
    assert done.stderr == (
        f"the checkpoint {path} can't be written (File too large); the one before it is kept\n"
        f"when that is fixed: cnntrain resume '{path.parent.parent}'\n"
    )
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunFailed, match="can't be written"):
        checkpoint.write(checkpoint.serialize(PLAIN), tmp_path / "file" / "checkpoints" / "last.pt")


WRITE_FOREVER = """
import itertools, sys
from pathlib import Path
from cnntrain.runs import checkpoint

path, files = Path(sys.argv[1]), [Path(name).read_bytes() for name in sys.argv[2:]]
for data in itertools.cycle(files):
    checkpoint.write(memoryview(data), path, keep=path.with_name("previous.pt"))
"""


def wait_for_a_new(path: Path) -> None:
    """Wait until a file appears or is replaced."""

    def number() -> int:
        return path.stat().st_ino if path.exists() else 0

    before, deadline = number(), time.monotonic() + 120
    while number() == before and time.monotonic() < deadline:
        time.sleep(0.005)


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(path: Path, tmp_path: Path) -> None:
    files = [tmp_path / "small", tmp_path / "large"]
    for file, size in zip(files, (1_000, 500_000), strict=True):
        file.write_bytes(bytes(checkpoint.serialize({**PLAIN, "model": {"weight": torch.rand(size)}})))
    generator = random.Random(0)
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITE_FOREVER, str(path), *map(str, files)])
        try:
            wait_for_a_new(path.with_name("previous.pt"))
            time.sleep(generator.uniform(0.0, 0.1))
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        assert path.exists()
        for file in (path, path.with_name("previous.pt")):
            checkpoint.verify(file)


def test_a_kill_between_the_two_names_of_a_file_does_not_matter(path: Path) -> None:
    keep, left = path.with_name("previous.pt"), path.with_name(".previous.pt.tmp")
    written(path)
    os.link(path, keep)  # killed before the new one took the name: both are one file
    os.link(path, left)
    checkpoint.write(checkpoint.serialize({**PLAIN, "progress": {"epoch": 4}}), path, keep=keep)
    assert checkpoint.load(path)["progress"] == {"epoch": 4}
    assert checkpoint.load(keep)["progress"] == PLAIN["progress"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["last.pt", "previous.pt"]


def test_the_one_before_is_kept_where_there_are_no_hard_links(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    test_the_one_before_is_kept(path)


def test_any_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "summary.json"
    atomic.write_atomically(path, b"first")
    atomic.write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert [file.name for file in path.parent.iterdir()] == ["summary.json"]
    with pytest.raises(TypeError):
        atomic.write_atomically(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"second"
    assert [file.name for file in path.parent.iterdir()] == ["summary.json"]
