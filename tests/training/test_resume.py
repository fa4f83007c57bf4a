"""A run that is stopped anywhere and resumed ends exactly like one that never stopped."""

from __future__ import annotations

import csv
import fcntl
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Command, is_told
from forks import Forked

from cnntrain.cli import main
from cnntrain.runs import run_folder

# Everything that draws random numbers is on: dropout, augmentation, shuffling.
RUN = (
    "epochs=3",
    "limit=2000",
    "model.channels=[4,8]",
    "model.head=[16]",
    "model.dropout=0.3",
    "augment=digits",
    "augment.erase=0.2",
    "save_every_steps=5",
    "precision=fp32",  # what is measured anew, on a machine that was busy, may be another
    "threads=1",
    "channels_last=false",
    "report=false",
)


def weights(folder: Path, name: str = "last.pt") -> dict[str, torch.Tensor]:
    state = torch.load(folder / "checkpoints" / name, weights_only=True)
    return state["model"]  # type: ignore[no-any-return]


def assert_same_run(one: Path, other: Path) -> None:
    for name in ("last.pt", "best.pt"):
        first, second = weights(one, name), weights(other, name)
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first), f"{name} differs"
    assert epochs(one) == epochs(other)


def epochs(folder: Path) -> list[dict[str, Any]]:
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]


def start(*arguments: str) -> Forked:
    return Forked("train", *arguments)


def wait_for(path: Path, process: Forked) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["cnntrain", "train", *RUN, "out=run"])
        with pytest.raises(SystemExit, match="0"):
            main.main()
    return folder / "run"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_resumes_bit_identically(cnntrain: Command, uninterrupted: Path, workers: int) -> None:
    killed = Path("killed")
    process = start(*RUN, f"workers={workers}", f"out={killed}")
    wait_for(killed / "checkpoints" / "last.pt", process)
    time.sleep(random.uniform(0, 0.2))
    process.kill()
    process.wait()
    assert not (killed / "summary.json").exists(), "the run ended before it was killed"

    outcome = cnntrain("resume", str(killed))

    assert outcome.code == 0, outcome.err
    assert_same_run(uninterrupted, killed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_run_at_a_step_that_can_be_resumed(
    cnntrain: Command, uninterrupted: Path, number: signal.Signals, code: int
) -> None:
    stopped = Path("stopped")
    process = start(*RUN, "workers=1", f"out={stopped}")
    wait_for(stopped / "checkpoints" / "last.pt", process)
    process.send_signal(number)
    _, err = process.communicate()

    assert process.returncode == code
    assert f"cnntrain resume {stopped}" in err
    assert "Traceback" not in err
    looked_at = cnntrain("eval", str(stopped))
    assert f"{stopped} is not finished: keep the test set for the end; use split=val" in looked_at.err
    assert ", in epoch " in looked_at.out and not cnntrain("eval", str(stopped), "split=val").err
    assert cnntrain("resume", str(stopped)).code == 0
    assert not cnntrain("eval", str(stopped)).err
    assert_same_run(uninterrupted, stopped)


def test_more_epochs_go_on_in_the_same_folder(cnntrain: Command) -> None:
    cnntrain("train", *TINY, "schedule=constant", "out=short")
    cnntrain("train", *TINY, "schedule=constant", "epochs=2", "out=long")

    outcome = cnntrain("resume", "short", "epochs=2")
    assert not cnntrain("eval", "short").err

    assert outcome.code == 0, outcome.err
    assert_same_run(Path("long"), Path("short"))


def test_a_run_that_was_quiet_is_not_when_it_is_resumed(cnntrain: Command) -> None:
    assert cnntrain("train", "-q", *TINY, "out=run").out == ""
    assert "resumed after step" in cnntrain("resume", "run", "epochs=2").out
    outcome = cnntrain("resume", "-q", "run", "epochs=3")
    assert (outcome.code, outcome.out) == (0, ""), outcome.err


def test_a_finished_run_has_nothing_to_resume(cnntrain: Command) -> None:
    cnntrain("train", *TINY, "out=run")
    before = (Path("run") / "summary.json").read_bytes()

    outcome = cnntrain("resume", "run")

    assert outcome.code == 0
    assert "epochs=N" in outcome.out
    assert (Path("run") / "summary.json").read_bytes() == before


def test_a_damaged_checkpoint_falls_back_to_the_one_before_it(cnntrain: Command) -> None:
    cnntrain("train", *TINY, "epochs=2", "out=whole")
    cnntrain("train", *TINY, "epochs=2", "out=damaged")
    Path("damaged/summary.json").unlink()
    last = Path("damaged/checkpoints/last.pt")
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1
    last.write_bytes(data)

    outcome = cnntrain("resume", "damaged")

    assert outcome.code == 0, outcome.err
    assert "damaged" in outcome.err and "previous.pt" in outcome.err
    assert_same_run(Path("whole"), Path("damaged"))


def test_other_data_are_refused(cnntrain: Command) -> None:
    cnntrain("train", *TINY, "data=fake", "data.source.size=100", "out=run")
    state = torch.load("run/checkpoints/last.pt", weights_only=True)
    from cnntrain.runs import checkpoint

    state["data_fingerprint"] += 1
    checkpoint.write(checkpoint.serialize(state), Path("run/checkpoints/last.pt"))

    outcome = cnntrain("resume", "run", "epochs=2")

    assert outcome.code == 2
    assert "not those that this run began with" in outcome.err


def test_a_process_that_is_refused_leaves_the_lock_to_the_one_that_has_it() -> None:
    """Which may be so early that no run is to be seen in the folder."""
    folder = Path("run")
    folder.mkdir()
    with (folder / ".lock").open("a") as mine:
        fcntl.lockf(mine, fcntl.LOCK_EX)
        refused = start(*TINY, "out=run")
        _, err = refused.communicate()
        assert refused.returncode == 2 and "in use by another process" in err
        assert os.path.samestat(os.fstat(mine.fileno()), (folder / ".lock").stat())


def test_a_folder_in_which_another_process_has_trained_meanwhile_is_left_alone(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = run_folder.locked

    @contextmanager
    def late(folder: Path) -> Iterator[None]:
        with locked(folder):
            (folder / "checkpoints").mkdir(exist_ok=True)
            (folder / "checkpoints/last.pt").write_text("another's")
            yield

    monkeypatch.setattr(run_folder, "locked", late)
    is_told(cnntrain("train", *TINY, "out=run"), "run holds a run by now, of another process")
    assert Path("run/checkpoints/last.pt").read_text() == "another's"


def test_a_folder_in_use_is_locked(cnntrain: Command) -> None:
    running = start("epochs=50", "out=run")
    wait_for(Path("run/checkpoints/last.pt"), running)
    try:
        outcome = cnntrain("resume", "run")
        assert outcome.code == 2
        assert "in use by another process" in outcome.err
    finally:
        running.kill()
        running.wait()
