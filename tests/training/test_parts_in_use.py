"""Parts of the user's and of torch's that are unusual: they work, or one line says why not."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, is_told
from torch import nn

from cnntrain.models.copying import copied
from cnntrain.optim.ema import MovingAverage
from cnntrain.training.components.trial import smallest_part

FAST = ("precision=fp32", "channels_last=false", "threads=1", "report=false", "verbose=0", "doctor=false")
RUN = ("limit=64", "epochs=2", "model=mlp", *FAST)
PARTS = """
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler
from cnntrain.data.augment import Augment

class Net(nn.Module):
    def __init__(self, in_features, num_classes, norm=None, fails_after=-1):
        super().__init__()
        self.layer = nn.Linear(in_features, num_classes)
        self.layer = getattr(nn.utils, norm)(self.layer) if norm else self.layer
        self.spare = nn.Linear(2, 2) if norm is None else None
        self.fails_after = fails_after

    def forward(self, x):
        self.fails_after -= self.training
        if self.training and self.fails_after == 0:
            raise KeyError("forward")
        return self.layer(x.flatten(1))

class Complex(nn.Module):
    def __init__(self, in_features, num_classes):
        super().__init__()
        self.w = nn.Parameter(torch.randn(in_features, num_classes, dtype=torch.complex64))

    def forward(self, x):
        return (x.flatten(1).to(torch.complex64) @ self.w).abs()

class NoStep(torch.optim.SGD):
    def step(self, closure=None):
        raise KeyError("step")

class NoRate(LRScheduler):
    def get_lr(self):
        if self.last_epoch > 1:
            raise KeyError("rate")
        return [1e-3]

class NoLoss(nn.CrossEntropyLoss):
    def forward(self, output, y):
        if len(y) > 20:
            raise KeyError("loss")
        return super().forward(output, y)

class NoChange(Augment):
    def __call__(self, x, generator, side):
        raise KeyError("change")

class Averaging(torch.optim.Optimizer):
    '''Steps of SGD that are taken at a point between the newest weights z and their average x.'''

    def __init__(self, params, lr=0.05):
        super().__init__(params, {"lr": lr, "steps": 0, "train_mode": False})

    def turn(self, wanted):
        for group in self.param_groups:
            if group["train_mode"] == wanted:
                continue
            group["train_mode"] = wanted
            for p in group["params"]:
                if "z" in self.state[p]:
                    p.data.lerp_(self.state[p]["z"], 0.1 if wanted else 1 - 1 / 0.9)

    def train(self):
        self.turn(True)

    def eval(self):
        self.turn(False)

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            if not group["train_mode"]:
                raise RuntimeError("call train() first")
            group["steps"] += 1
            for p in group["params"]:
                z = self.state[p].setdefault("z", p.clone())
                p.lerp_(z, 1 - 1 / 0.9)  # x
                z.sub_(p.grad, alpha=group["lr"])
                p.lerp_(z, 1 / group["steps"])
                p.lerp_(z, 0.1)  # y, where the next gradient is taken
"""


@pytest.fixture(autouse=True)
def parts_module(in_empty_folder: Path) -> None:
    Path("parts_of_mine.py").write_text(PARTS)


def own(group: str, name: str) -> str:
    return f"{group}._target_=parts_of_mine.{name}"


def net(*arguments: str) -> tuple[str, ...]:
    return "model=custom", own("model", "Net"), *arguments


def state(run: str, name: str = "last") -> dict[str, Any]:
    return torch.load(Path(run) / "checkpoints" / f"{name}.pt", weights_only=True)  # type: ignore[no-any-return]


def rows(run: str) -> list[dict[str, str]]:
    found = list(csv.DictReader(Path(run, "metrics.csv").read_text().splitlines()))
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in found]


def assert_same_run(one: str, other: str) -> None:
    assert rows(one) == rows(other)
    for part in state(one).keys() & {"model", "model_in_training"}:
        first, second = state(one)[part], state(other)[part]
        assert all(torch.equal(first[name], second[name]) for name in first), part


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([own("optim", "NoStep")], "optim: NoStep can't step with these gradients: KeyError: 'step' ("),
        (
            ["optim._target_=torch.optim.SparseAdam"],
            "optim: SparseAdam can't step with these gradients: ",
        ),
        (
            [own("schedule", "NoRate")],
            "schedule: NoRate failed: KeyError: 'rate' (parts_of_mine.py",
        ),
        ([own("criterion", "NoLoss")], "criterion: NoLoss failed: KeyError: 'loss' (parts_of_mine.py, line"),
        ([own("augment", "NoChange"), "augment.shift=1"], "augment: NoChange failed: KeyError: 'change' ("),
        ([*net("+model.fails_after=1")], "model: Net can't be trained by this loss: KeyError: 'forward' ("),
        ([*net("+model.fails_after=4")], "model: Net failed: KeyError: 'forward' (parts_of_mine.py, line"),
    ],
    ids=["step", "dense", "schedule", "criterion", "augment", "model", "model later"],
)
def test_a_part_that_fails_in_use_is_named(cnntrain: Command, words: list[str], told: str) -> None:
    outcome = cnntrain("train", *RUN, *words, "out=run")
    is_told(outcome, told)


@pytest.mark.parametrize(
    "words",
    [
        ["explain", own("criterion", "NoLoss")],
        ["explain", own("augment", "NoChange"), "augment.shift=1"],
        ["data", "--augmented", "sheet.html", own("augment", "NoChange"), "augment.shift=1"],
    ],
    ids=["explain", "explain augment", "data"],
)
def test_a_part_that_fails_elsewhere_is_one_line_too(cnntrain: Command, words: list[str]) -> None:
    is_told(cnntrain(*words, "model=mlp"), "code of your own failed: KeyError: ", "(parts_of_mine.py, line ")


def test_what_was_trained_is_kept_when_a_part_fails_later(cnntrain: Command) -> None:
    outcome = cnntrain("train", *RUN, *net("+model.fails_after=6"), "out=run")
    assert outcome.code == 1 and "Traceback" not in outcome.err
    assert outcome.err.splitlines()[-1] == "its checkpoints are kept; once that is fixed: cnntrain resume run"
    assert state("run")["progress"]["epoch"] == 1


def test_parameters_that_take_no_part_are_named(cnntrain: Command) -> None:
    outcome = cnntrain("train", *RUN, *net())
    assert outcome.code == 0
    assert "take no part in the loss are never trained: spare.weight, spare.bias\n" in outcome.err
    frozen = cnntrain("train", *RUN, *net("freeze=spare", "unfreeze_epoch=2"))
    assert "never trained: spare.weight, spare.bias\n" in frozen.err


@pytest.mark.parametrize("norm", ["weight_norm", "spectral_norm"])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_weights_that_are_computed_are_copied_and_averaged(cnntrain: Command, norm: str) -> None:
    run = [*RUN, *net(f"+model.norm={norm}"), "ema=0.9", "precision=auto"]
    assert cnntrain("train", *run, "out=run").code == 0
    assert cnntrain("eval", "run", "trust=[parts_of_mine]").code == 0

    layer = getattr(nn.utils, norm)(nn.Linear(3, 2))
    x = torch.randn(4, 3)
    layer(x)
    layer.eval()
    assert layer.weight.grad_fn is not None and torch.equal(copied(layer)(x), layer(x))


def test_complex_weights_train_and_are_averaged(cnntrain: Command) -> None:
    run = (*RUN, "model=custom", own("model", "Complex"), "ema=0.9", "out=run")
    assert cnntrain("train", *run).code == 0  # with Adam, whose fused kernels know no complex numbers
    assert state("run")["config"]["optim"]["fused"] is False

    model = nn.Module()
    model.w = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    average = MovingAverage(model, 0.5)
    for value in (0.0, 1j):
        nn.init.constant_(model.w, value)
        average.update(model)
    assert 0 < average.model.w[0].imag < 1


PLATEAU = ("schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",)


def test_the_learning_rate_falls_when_the_monitored_value_does_not_get_better(cnntrain: Command) -> None:
    run = ("train", *RUN, *PLATEAU, "schedule.patience=0", "optim=sgd", "optim.lr=1e-7")
    assert cnntrain(*run, "epochs=4", "out=whole").code == 0
    assert "; ReduceLROnPlateau schedule; " in Path("whole/train.log").read_text()
    assert [float(row["lr"]) for row in rows("whole")] == pytest.approx([1e-7, 1e-7, 1e-8, 1e-8], rel=1e-3)
    assert state("whole")["schedule"]["mode"] == "max"
    assert cnntrain(*run, "epochs=2", "out=parts").code == 0
    assert cnntrain("resume", "parts", "epochs=4").code == 0
    assert_same_run("whole", "parts")


def test_a_schedule_that_looks_at_a_value_needs_it(cnntrain: Command) -> None:
    outcome = cnntrain("train", *RUN, *PLATEAU, "schedule.mode=min")
    is_told(outcome, "schedule.mode=min does not fit monitor=val_accuracy: schedule.mode=max")
    outcome = cnntrain("train", *RUN, *PLATEAU, "data.val_fraction=0")
    is_told(outcome, "ReduceLROnPlateau needs a validation set, and data.val_fraction is 0")


def test_a_schedule_of_fixed_length_is_not_made_longer(cnntrain: Command) -> None:
    schedule = ("schedule._target_=torch.optim.lr_scheduler.OneCycleLR", "schedule.max_lr=0.01")
    assert cnntrain("train", *RUN, *schedule, "out=run").code == 0
    is_told(cnntrain("resume", "run", "epochs=3"), "OneCycleLR was planned for 4 steps", "changed to 6")


def test_the_rate_of_an_epoch_that_was_stopped_at_its_last_step_is_its_own(cnntrain: Command) -> None:
    run = ("train", *RUN, "save_every_steps=2")
    assert cnntrain(*run, "out=whole").code == 0
    Path("stopped/checkpoints").mkdir(parents=True)
    shutil.copy("whole/checkpoints/previous.pt", "stopped/checkpoints/last.pt")
    progress = state("stopped")["progress"]
    assert (progress["epoch"], progress["step_in_epoch"]) == (1, 2)
    assert cnntrain("resume", "stopped").code == 0
    assert_same_run("whole", "stopped")


def test_the_weights_that_an_optimizer_averages_are_evaluated_and_kept(cnntrain: Command) -> None:
    run = ("train", *RUN, "optim=custom", own("optim", "Averaging"), "+optim.lr=0.05", "schedule=constant")
    assert cnntrain(*run, "epochs=3", "out=whole").code == 0
    kept = state("whole")
    z = kept["optimizer"]["state"][0]["z"]
    name = next(iter(kept["model"]))
    x, y = kept["model"][name], kept["model_in_training"][name]
    assert torch.allclose(y, 0.9 * x + 0.1 * z, atol=1e-6) and not torch.equal(x, y)
    evaluated = cnntrain("eval", "whole", "split=val", "trust=[parts_of_mine]", "verbose=1").out
    best = max(rows("whole"), key=lambda row: float(row["val_accuracy"]))
    assert f"loss {float(best['val_loss']):.4f}" in evaluated

    assert cnntrain(*run, "epochs=1", "out=parts").code == 0
    assert cnntrain("resume", "parts", "epochs=3", "trust=[parts_of_mine]").code == 0
    assert_same_run("whole", "parts")
    assert cnntrain(*run, "epochs=3", "save_every_steps=1", "out=saved").code == 0
    assert_same_run("whole", "saved")  # to save in between changes nothing
    is_told(cnntrain(*run, "ema=0.9"), "ema=0.9: Averaging averages the weights already")


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        (
            ["limit=33", "batch_size=32"],
            "33 training images with batch_size=32 leave a single one: batch_size=33",
        ),
        (["limit=64", "accumulate=32"], "batch_size=32, accumulate=32 leave a single one: batch_size=64"),
    ],
)
def test_a_single_image_is_told_before_training_where_batch_norm_needs_more(
    cnntrain: Command, words: list[str], fix: str
) -> None:
    Path("norms.py").write_text(
        "from torch import nn\n"
        "def Net(in_features, num_classes):\n"
        "    layers = nn.BatchNorm1d(in_features), nn.Linear(in_features, num_classes)\n"
        "    return nn.Sequential(nn.Flatten(), *layers)\n"
    )
    norm = ("model=custom", "model._target_=norms.Net", *FAST, "epochs=1", "out=run")
    is_told(cnntrain("train", *norm, *words), fix)
    assert not Path("run/metrics.csv").exists()


@pytest.mark.parametrize(
    ("images", "batch_size", "accumulate", "processes", "smallest"),
    [
        (97, 32, 1, 1, 1),
        (96, 32, 1, 1, 32),
        (98, 32, 2, 1, 1),
        (97, 32, 1, 2, 1),
        (100, 32, 1, 2, 2),
        (5, 9, 2, 1, 2),
    ],
)
def test_the_smallest_part_of_a_batch(
    images: int, batch_size: int, accumulate: int, processes: int, smallest: int
) -> None:
    assert smallest_part(images, batch_size, accumulate, processes) == smallest
