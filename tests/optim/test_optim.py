"""Learning-rate schedules, against their formulas and against torch's own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR, StepLR

from cnntrain.optim.schedules import Constant, Cosine, MultiStep, OneCycle, Schedule, Step

LR = 0.1
Build = Callable[..., Schedule]


def optimizer(lr: float = LR) -> SGD:
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(schedule: LRScheduler, steps: int) -> list[float]:
    """The learning rate at each of the next steps of a run."""
    found = []
    for _ in range(steps):
        found.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.optimizer.step()
        schedule.step()
    return found


def of(build: Build, steps: int = 20, epoch: int = 5, warmup: float = 0.0, **arguments: Any) -> list[float]:
    """The learning rates of a whole run."""
    return rates(build(optimizer(), steps, epoch, warmup, **arguments), steps)


def test_constant_stays() -> None:
    assert of(Constant) == [LR] * 20


def test_warmup_rises_linearly_to_the_full_rate_in_its_last_step() -> None:
    found = of(Constant, warmup=2.0)  # two epochs of five steps
    assert found[:10] == pytest.approx([LR * step / 10 for step in range(1, 11)])
    assert found[10:] == [LR] * 10


def test_warmup_may_be_a_fraction_of_an_epoch() -> None:
    assert of(Constant, warmup=0.4)[:3] == pytest.approx([LR / 2, LR, LR])


def test_warmup_longer_than_the_run_only_rises() -> None:
    assert of(Cosine, steps=4, epoch=4, warmup=2.0, final=0.0) == pytest.approx(
        [LR * step / 8 for step in range(1, 5)]
    )


def test_step_multiplies_by_gamma_every_few_epochs() -> None:
    assert of(Step, every=2.0, gamma=0.5) == pytest.approx([LR] * 10 + [LR / 2] * 10)
    assert of(Step, every=0.4, gamma=0.5)[:6] == pytest.approx([LR, LR, LR / 2, LR / 2, LR / 4, LR / 4])


def test_step_is_torchs_step_lr() -> None:
    assert of(Step, every=1.0, gamma=0.7) == pytest.approx(rates(StepLR(optimizer(), 5, gamma=0.7), 20))


def test_multistep_is_torchs_multi_step_lr() -> None:
    torchs = MultiStepLR(optimizer(), [5, 15], gamma=0.1)
    found = of(MultiStep, milestones=[1, 3], gamma=0.1)
    assert found == pytest.approx(rates(torchs, 20))
    assert of(MultiStep, warmup=2.0, milestones=[1, 3], gamma=0.1)[10:] == found[10:]


def test_step_under_warmup_multiplies_both() -> None:
    found = of(Step, warmup=1.0, every=1.0, gamma=0.5)
    assert found[:5] == pytest.approx([LR * step / 5 for step in range(1, 6)])
    assert found[5:10] == pytest.approx([LR / 2] * 5)


def test_cosine_falls_along_half_a_cosine() -> None:
    found = of(Cosine, final=0.1)
    assert found[0] == LR
    assert found[10] == pytest.approx(LR * (1 + 0.1) / 2)
    assert found[5] == pytest.approx(LR * (0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2))
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_is_torchs_cosine_annealing(final: float) -> None:
    torchs = CosineAnnealingLR(optimizer(), T_max=20, eta_min=final * LR)
    assert of(Cosine, final=final) == pytest.approx(rates(torchs, 20))


def test_cosine_reaches_its_end_when_the_run_is_over_so_that_no_step_is_wasted() -> None:
    schedule = Cosine(optimizer(), 20, 5, warmup=0.0, final=0.0)
    assert rates(schedule, 20)[-1] > 0
    assert schedule.get_last_lr() == [0.0]


def test_cosine_after_warmup_is_a_cosine_over_what_is_left() -> None:
    found = of(Cosine, warmup=2.0, final=0.0)
    shorter = of(Cosine, steps=10, final=0.0)
    assert found[10:] == pytest.approx(shorter)


def test_onecycle_rises_to_the_full_rate_and_falls() -> None:
    found = of(OneCycle, rise=0.3, start=0.04, final=0.0)
    assert found[0] == pytest.approx(0.04 * LR)
    assert found[3] == pytest.approx(LR * (0.04 + 1) / 2)  # half way up
    assert found[6] == pytest.approx(LR)
    assert found[13] == pytest.approx(LR / 2)  # half way down
    assert found[:7] == sorted(found[:7])
    assert found[6:] == sorted(found[6:], reverse=True)


@pytest.mark.parametrize("rise", [0.3, 0.5])
def test_onecycle_is_torchs_one_cycle(rise: float) -> None:
    """torch takes its last step at the end of the cycle; ours ends one step later, as the cosine does."""
    steps, start, final = 20, 0.04, 0.001
    torchs = OneCycleLR(
        optimizer(),
        max_lr=LR,
        total_steps=steps + 1,
        pct_start=(rise * steps + 1) / (steps + 1),
        div_factor=1 / start,
        final_div_factor=start / final,
        cycle_momentum=False,
    )
    assert of(OneCycle, rise=rise, start=start, final=final) == pytest.approx(rates(torchs, steps))


@pytest.mark.parametrize(("rise", "first", "last"), [(0.0, LR, 0.0), (1.0, 0.0, LR)])
def test_onecycle_may_only_fall_or_only_rise(rise: float, first: float, last: float) -> None:
    schedule = OneCycle(optimizer(), 20, 5, warmup=0.0, rise=rise, start=0.0, final=0.0)
    assert rates(schedule, 20)[0] == pytest.approx(first)
    assert schedule.get_last_lr() == pytest.approx([last])


def test_onecycle_after_warmup_begins_then() -> None:
    found = of(OneCycle, warmup=1.0, rise=0.4, start=0.1, final=0.0)
    assert found[:5] == pytest.approx([0.1 * LR * step / 5 for step in range(1, 6)])
    assert found[5:] == pytest.approx(of(OneCycle, steps=15, rise=0.4, start=0.1, final=0.0))


def test_groups_of_parameters_keep_the_ratio_of_their_rates() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    two = SGD([{"params": weights[:1], "lr": 1.0}, {"params": weights[1:], "lr": 0.1}])
    schedule = Cosine(two, 20, 5, warmup=0.0, final=0.0)
    rates(schedule, 7)
    first, second = (group["lr"] for group in two.param_groups)
    assert second == pytest.approx(first / 10)


SCHEDULES: dict[str, Build] = {
    "constant": partial(Constant, warmup=1.0),
    "step": partial(Step, warmup=0.0, every=1.0, gamma=0.7),
    "multistep": partial(MultiStep, warmup=1.0, milestones=[1.5, 3], gamma=0.1),
    "cosine": partial(Cosine, warmup=1.0, final=0.01),
    "onecycle": partial(OneCycle, warmup=0.0, rise=0.3, start=0.04, final=0.0),
}


@pytest.mark.parametrize("stop", [0, 1, 6, 19, 20])
@pytest.mark.parametrize("build", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_a_loaded_schedule_goes_on_exactly(build: Build, stop: int) -> None:
    whole = rates(build(optimizer(), total_steps=20, steps_per_epoch=5), 20)
    first = build(optimizer(), total_steps=20, steps_per_epoch=5)
    before = rates(first, stop)

    second = build(optimizer(), total_steps=20, steps_per_epoch=5)
    second.load_state_dict(first.state_dict())
    assert second.get_last_lr() == first.get_last_lr()
    assert before + rates(second, 20 - stop) == whole


@pytest.mark.parametrize("build", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_loading_puts_the_rate_back_whatever_the_optimizer_held(build: Build) -> None:
    """A resumed run loads the optimizer's state first, with the rate of the run's old length."""
    first = build(optimizer(), total_steps=20, steps_per_epoch=5)
    rates(first, 13)
    again = optimizer()
    second = build(again, total_steps=20, steps_per_epoch=5)
    again.param_groups[0]["lr"] = 123.0
    second.load_state_dict(first.state_dict())
    assert again.param_groups[0]["lr"] == first.optimizer.param_groups[0]["lr"]


@pytest.mark.parametrize("build", SCHEDULES.values(), ids=SCHEDULES.keys())
def test_a_longer_run_is_scheduled_for_its_new_length(build: Build) -> None:
    first = build(optimizer(), total_steps=20, steps_per_epoch=5)
    rates(first, 10)
    longer = build(optimizer(), total_steps=40, steps_per_epoch=5)
    longer.load_state_dict(first.state_dict())
    assert rates(longer, 30) == rates(build(optimizer(), total_steps=40, steps_per_epoch=5), 40)[10:]


def test_loading_a_schedule_says_nothing() -> None:
    first, second = (Cosine(optimizer(), 20, 5, warmup=0.0, final=0.0) for _ in range(2))
    rates(first, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second.load_state_dict(first.state_dict())
        rates(second, 3)


def test_the_state_of_a_schedule_is_its_position() -> None:
    schedule = Cosine(optimizer(), 20, 5, warmup=0.0, final=0.0)
    rates(schedule, 3)
    assert schedule.state_dict() == {"step": 3}


def test_a_run_longer_than_planned_stays_at_the_end() -> None:
    schedule = Cosine(optimizer(), 20, 5, warmup=0.0, final=0.25)
    assert rates(schedule, 25)[20:] == pytest.approx([0.25 * LR] * 5)
