"""Several processes that train one model, as ``torchrun`` starts them."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told
from forks import Forked, ended, started

from cnntrain.compute.ddp import Shard

# 90 images in batches of 8, so that an epoch ends with 2 of them, and 3 processes share 8 unevenly.
RUN = ("model=mlp", "limit=90", "epochs=3", "batch_size=8", "precision=fp32", "threads=1", "optim=sgd")
RUN += ("report=false",)


def curve(folder: str) -> list[list[float]]:
    """Return what metrics.csv says of each epoch, but for the times."""
    names = ("epoch", "step", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
    with Path(folder, "metrics.csv").open() as file:
        return [[float(row[name]) for name in names] for row in csv.DictReader(file)]


def same(one: list[list[float]], other: list[list[float]]) -> bool:
    """Return whether two curves are the same: losses to rounding, accuracies to an image on the edge."""
    pairs = list(zip(one, other, strict=True))
    losses = all(a[:4] + a[5:6] == pytest.approx(b[:4] + b[5:6], rel=1e-3) for a, b in pairs)
    return losses and all(a[4::2] == pytest.approx(b[4::2], abs=0.01) for a, b in pairs)


OWN_MODEL = """\
import sys
from pathlib import Path
from cnntrain.models import MLP
from torch import nn

class Net(MLP):
    def __init__(self, in_features, num_classes):
        super().__init__(in_features, [16], num_classes)
        self.spare = nn.Linear(2, 2)  # takes no part in the loss

    def forward(self, x):
        if not self.training:
            Path("compiler").write_text("is imported" if "torch._dynamo" in sys.modules else "is not")
        return super().forward(x)
"""


@pytest.mark.slow
def test_torchrun_trains_and_evaluates_as_one_process_would(cnntrain: Command) -> None:
    Path("own.py").write_text(OWN_MODEL)
    run = ("model._target_=own.Net", *RUN[1:])
    assert cnntrain("train", *run, "out=one").code == 0
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, "-m", "cnntrain", "train", *run, "out=two"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Path("compiler").read_text() == "is not"  # whose import would take as long as all the rest
    codes, outs, errs = zip(*ended(started(2, "eval", "two", "trust=[own]")), strict=True)
    assert codes == (0, 0), errs
    for out in (done.stdout, "".join(outs)):
        assert out.count("test accuracy") == 1 and "of 1,000;" in out

    assert same(curve("one"), curve("two"))
    tests = [json.loads(Path(name, "summary.json").read_text())["test"] for name in ("one", "two")]
    assert tests[0] == pytest.approx(tests[1], rel=1e-4) and tests[1]["examples"] == 1000
    assert (
        json.loads(Path("two/eval_test.json").read_text())["confusion_matrix"]
        == (json.loads(Path("two/summary.json").read_text())["confusion_matrix"])
    )
    assert [path.name for path in Path().iterdir() if path.is_dir()].count("two") == 1
    assert Path("two/train.log").read_text().count("run folder  ") == 1


def test_a_run_goes_on_when_a_process_was_lost_with_another_number_of_them(cnntrain: Command) -> None:
    """Two processes begin, one is killed, three go on and are stopped, one ends the run."""
    long = [word if word != "epochs=3" else "epochs=20" for word in RUN]
    assert cnntrain("train", *long, "out=one").code == 0
    running = started(2, "train", *long, "out=several", "save_every_steps=5")
    wait_for(Path("several/checkpoints/last.pt"), running)
    running[1].kill()
    code, _, err = ended(running)[0]
    assert code == 1 and "one of the processes of this run was lost" in err, err
    assert "Traceback" not in err

    before = Path("several/checkpoints/last.pt").stat().st_mtime_ns
    running = started(3, "resume", "several")
    while Path("several/checkpoints/last.pt").stat().st_mtime_ns == before:
        assert running[0].poll() is None, ended(running)
        time.sleep(0.01)
    running[2].send_signal(signal.SIGTERM)
    outcomes = ended(running)
    assert [code for code, _, _ in outcomes] == [143] * 3, outcomes
    assert sum("stopped by SIGTERM after step" in err for _, _, err in outcomes) == 1

    assert cnntrain("resume", "several").code == 0
    assert same(curve("one"), curve("several"))


def wait_for(path: Path, running: list[Forked]) -> None:
    while not path.exists():
        assert running[0].poll() is None, ended(running)
        time.sleep(0.01)


@pytest.mark.parametrize("processes", [2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 6, 7, 8, 23])
def test_shares_are_the_whole(processes: int, count: int) -> None:
    batch = torch.arange(count)
    shards = [Shard(number, processes) for number in range(processes)]
    parts = [shard.part(batch) for shard in shards]
    assert torch.equal(torch.cat(parts), batch)
    for shard in shards:
        shard.set_weight(count)
    means = [shard.take(batch).double().mean() * shard.weight for shard in shards]
    assert float(sum(means)) / processes == pytest.approx(float(batch.double().mean()))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-m", "seed=0,1"), "start it without torchrun"),
        (("batch_size=1",), "batch_size=1 is for all 2 processes together"),
        (("accumulate=2",), "accumulate=2 is for one process"),
        (("optim.lrr=1",), "did you mean optim.lr=1?"),
    ],
)
def test_what_several_processes_cannot_do_is_told(
    torchless: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    is_told(torchless("train", *arguments), told)
