"""What classes of the user's keep: a run that trains can be resumed and used, or says in a line why not."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, is_told
from torch import nn
from work import calls_of

from cnntrain.runs import checkpoint
from cnntrain.runs.schema.checkpoints import check
from cnntrain.training.restoring import Fresh

OWN = """\
import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler


class PerDimension(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr, "k": 0, "mode": None})
        self.state["count"] = 0

    @torch.no_grad()
    def step(self, closure=None):
        self.state["count"] += 1
        for group in self.param_groups:
            group["k"], group["mode"] = group["k"] + 0.5, "warm"
            for p in group["params"]:
                state = self.state[p]
                for d in range(p.dim()):
                    state[f"preconditioner_{d}"] = torch.eye(p.shape[d])
                p -= group["lr"] * p.grad


class Recording(LRScheduler):
    def __init__(self, optimizer):
        self.rates, self.note, self.table, self.lowest = [], None, None, math.inf
        super().__init__(optimizer)

    def get_lr(self):
        rate = 0.1 / (1 + self.last_epoch)
        self.rates.append(rate)
        self.lowest = min(self.lowest, rate)
        if self.last_epoch > 0:
            self.note, self.table = "under way", {"seen": self.last_epoch}
        return [rate for _ in self.optimizer.param_groups]


class Opaque(Recording):
    def __init__(self, optimizer):
        self.kept = object()
        super().__init__(optimizer)


class Numpy(Recording):
    def __init__(self, optimizer):
        import numpy
        self.kept = numpy.float64(1)
        super().__init__(optimizer)


class Net(nn.Module):
    def __init__(self, in_features, num_classes):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, stride=2)
        self.linear = nn.Linear(338, num_classes)
        self.register_buffer("lowest", torch.tensor(math.inf))

    def forward(self, x):
        x = self.linear(self.conv(x.reshape(-1, 1, 28, 28)).flatten(1))
        return x


class Turning(nn.Module):
    def __init__(self, in_features, num_classes):
        super().__init__()
        self.linear = nn.Linear(in_features, num_classes)
        self.register_buffer("seen", torch.tensor(0.0))

    def forward(self, x):
        if self.training:
            self.seen.fill_(math.nan)
        return self.linear(x.flatten(1))
"""
SHORT = ("limit=64", "epochs=1", "report=false", "-q", "out=run")


@pytest.fixture(autouse=True)
def own(in_empty_folder: Path) -> None:
    """Write the user's module."""
    Path("own_state.py").write_text(OWN)


def test_a_run_with_classes_of_ones_own_goes_on_and_is_used(cnntrain: Command) -> None:
    words = (
        "model._target_=own_state.Net",
        "optim._target_=own_state.PerDimension",
        "schedule._target_=own_state.Recording",
    )
    outcome = cnntrain("train", *words, *SHORT)
    assert outcome.code == 0, outcome.err
    before = checkpoint.load(Path("run/checkpoints/last.pt"))
    assert before["optimizer"]["state"]["count"] == before["progress"]["step"]
    outcome = cnntrain("resume", "run", "epochs=2")
    assert outcome.code == 0, outcome.err
    after = checkpoint.load(Path("run/checkpoints/last.pt"))
    assert after["optimizer"]["state"]["count"] == after["progress"]["step"] == 2 * before["progress"]["step"]
    rates = after["schedule"]["rates"]
    assert len(rates) > len(before["schedule"]["rates"]) and after["schedule"]["note"] == "under way"
    assert math.isinf(after["model"]["lowest"])
    outcome = cnntrain("eval", "run")
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize(("schedule", "part"), [("Opaque", "of type object"), ("Numpy", "schedule is")])
def test_what_no_checkpoint_can_hold_is_told_after_the_first_step(
    cnntrain: Command, schedule: str, part: str
) -> None:
    outcome = cnntrain("train", "model=mlp", f"schedule._target_=own_state.{schedule}", *SHORT)
    is_told(outcome, "keeps what a checkpoint can't hold", part)
    assert not list(Path("run").glob("checkpoints/*.pt"))


def test_weights_under_many_names_are_counted_once() -> None:
    shared, other = torch.zeros(2400, 2400), torch.zeros(10, 2400)
    names = {f"middle.{index}.weight": shared for index in range(14)}
    check({"model": {**names, "last.weight": other}}, "file")
    with pytest.raises(checkpoint.CheckpointError, match="the size of its tensors"):
        check({"model": {"last.weight": other, "huge": torch.zeros(1).expand(2**28)}}, "file")


def test_weights_that_turn_into_nan_are_told_with_their_epoch(cnntrain: Command) -> None:
    outcome = cnntrain("train", "model._target_=own_state.Turning", *SHORT)
    assert outcome.code == 1
    assert "weights became NaN or infinite at step" in outcome.err and "in epoch 1," in outcome.err


def test_an_infinite_buffer_is_no_divergence_with_averaged_weights_either(cnntrain: Command) -> None:
    outcome = cnntrain("train", "model._target_=own_state.Net", "ema=0.9", *SHORT)
    assert outcome.code == 0, outcome.err
    assert math.isinf(checkpoint.load(Path("run/checkpoints/best.pt"))["model"]["lowest"])


class Parameters(nn.Module):
    """A parameter of each number of dimensions."""

    def __init__(self, dimensions: tuple[int, ...]) -> None:
        super().__init__()
        self.all = nn.ParameterList(torch.ones([3 + d for d in range(n)]) for n in dimensions)


OPTIMIZERS = sorted(
    name
    for name, value in vars(torch.optim).items()
    if inspect.isclass(value)
    and issubclass(value, torch.optim.Optimizer)
    and name not in ("Optimizer", "LBFGS", "SparseAdam")
)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_torch_goes_on_from_its_own_state(name: str) -> None:
    parameters = list(Parameters((2,) if name == "Muon" else (0, 1, 2, 4)).parameters())

    def another(params: list[nn.Parameter]) -> torch.optim.Optimizer:
        return getattr(torch.optim, name)(params, lr=0.01)

    optimizer = another(parameters)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    fresh = Fresh(optimizer, schedule, another)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    schedule.step(0.5)
    state: dict[str, Any] = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    fresh.check_before_writing(state)
    if any(optimizer.state.values()):
        wrong = {**state["optimizer"], "state": {0: {"other": 1}}}
        with pytest.raises(checkpoint.CheckpointError, match=r"optimizer\.state\.0 is with other"):
            fresh.check({**state, "optimizer": wrong})
    wrong = {**state["optimizer"], "state": {"count": 1}}
    with pytest.raises(checkpoint.CheckpointError, match="for parameter count"):
        fresh.check({**state, "optimizer": wrong})


def test_the_check_before_the_first_checkpoint_does_little_for_each_parameter() -> None:
    made: list[int] = []

    def another(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        made.append(len(parameters))
        return torch.optim.Adam(parameters)

    def calls(count: int) -> int:
        """Return the calls of a check of that many parameters."""
        parameters = [nn.Parameter(torch.ones(4, 4)) for _ in range(count)]
        optimizer = torch.optim.Adam(parameters)
        schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
        fresh = Fresh(optimizer, schedule, another)
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        state = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        return calls_of(lambda: fresh.check_before_writing(state))

    assert calls(100) < 3 * calls(50) < 3 * 50 * 2500  # 1,261 a parameter, of 50
    assert made == [1, 1]  # optimizers, each for a tiny parameter of the only number of dimensions


def test_weights_that_were_finite_at_the_start_must_stay_so() -> None:
    state = {"model": {"a": torch.tensor(1.0), "lowest": torch.tensor(math.inf)}, "not_finite": ["lowest"]}
    check(state, "file")
    with pytest.raises(checkpoint.CheckpointError, match="its weights lowest hold NaN"):
        check({"model": state["model"]}, "file")
