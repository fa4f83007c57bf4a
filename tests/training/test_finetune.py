"""Starting from another run's weights, freezing, thawing, and learning rates of parts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, is_told
from torch import Tensor, nn

from cnntrain.cli import main
from cnntrain.errors import UserError
from cnntrain.models import CNN, Torchvision
from cnntrain.optim.freezing import Freezing
from cnntrain.optim.param_names import head_of, matching
from cnntrain.optim.schedules import Constant, Cosine, OneCycle, Step, groups_of, lr_of, scale_learning_rates
from cnntrain.runs import checkpoint

SMALL = ("model.channels=[4]", "model.head=[]", "model.batch_norm=true", "precision=fp32", "threads=1")
QUICK = (*SMALL, "channels_last=false", "report=false", "doctor=false", "limit=64", "batch_size=16")
FAKE = ("data=fake", "data.source.size=100", "data.channels=1", "data.image_size=28")
FAST = (*QUICK, *FAKE)


def state_of(folder: str, name: str = "last") -> dict[str, Any]:
    return checkpoint.load(Path(folder, "checkpoints", f"{name}.pt"))


def changed(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    return {name for name in one if not torch.equal(one[name], other[name])}


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run to start from: its model tells 10 classes of grey images apart."""
    folder = tmp_path_factory.mktemp("known")
    here, argv = Path.cwd(), sys.argv
    os.chdir(folder)
    sys.argv = ["cnntrain"]
    main.run(["train", *FAST, "epochs=1", "out=run", "verbose=0"])
    os.chdir(here)
    sys.argv = argv
    yield folder / "run"


# ---- init_from


def test_a_run_goes_on_with_the_weights_of_another_and_says_so(cnntrain: Command, known: Path) -> None:
    before = state_of(str(known), "best")
    rest = (f"init_from={known}", "optim.lr=1e-30", "epochs=1", "freeze=[features]", "out=run")
    outcome = cnntrain("train", *FAST, *rest)
    assert outcome.code == 0, outcome.err
    path = str(known / "checkpoints" / "best.pt")
    assert f"the weights of {path}, epoch 1, with its head" in outcome.out
    after = state_of("run")
    assert not changed(before["model"], after["model"])
    record = after["init_from"]
    assert (record["checkpoint"], record["epoch"], record["new_head"]) == (path, 1, None)
    assert json.loads(Path("run/summary.json").read_text())["init_from"] == record
    assert f"init_from: {path}" in Path("run/config.yaml").read_text()


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ((*FAKE, "data.num_classes=3"), "a new head (classifier.output) for 3 classes in place of 10"),
        (("data=mnist_mini",), "a new head (classifier.output) for 10 classes of other names"),
    ],
    ids=["other-number", "other-names"],
)
def test_a_head_for_other_classes_is_the_one_that_the_seed_gives(
    cnntrain: Command, known: Path, own: tuple[str, ...], told: str
) -> None:
    stays = (*QUICK, *own, "seed=7", "optim.lr=1e-30", "epochs=1")
    new = cnntrain("train", *stays, "out=new")
    tuned = cnntrain("train", *stays, f"init_from={known}", "out=tuned")
    assert (new.code, tuned.code) == (0, 0), new.err + tuned.err
    assert told in tuned.out
    assert state_of("tuned")["init_from"]["new_head"] == "classifier.output"
    weights, before = state_of("tuned")["model"], state_of(str(known), "best")["model"]
    fresh = state_of("new")["model"]
    assert not changed(
        {name: weights[name] for name in ("classifier.output.weight", "classifier.output.bias")}, fresh
    )
    assert torch.equal(weights["features.0.weight"], before["features.0.weight"])


def test_resume_does_without_the_run_that_it_started_from(cnntrain: Command, known: Path) -> None:
    shutil.copytree(known, "old")
    one, whole = (*FAST, "init_from=old", "schedule=constant"), Path("whole")
    assert cnntrain("train", *one, "epochs=2", f"out={whole}").code == 0
    assert cnntrain("train", *one, "epochs=1", "out=half").code == 0
    shutil.rmtree("old")
    outcome = cnntrain("resume", "half", "epochs=2")
    assert outcome.code == 0, outcome.err
    assert "the weights of old/checkpoints/best.pt" in outcome.out
    assert not changed(state_of("whole")["model"], state_of("half")["model"])
    assert cnntrain("eval", "half").code == 0


def test_last_means_the_run_before_this_one_in_each_job_of_a_sweep(cnntrain: Command, known: Path) -> None:
    Path("outputs").mkdir()
    Path("outputs/.last").write_text(f"{known}\n")
    outcome = cnntrain("train", "-m", *FAST, "epochs=1", "init_from=last", "seed=1,2", "out=sweep")
    assert outcome.code == 0, outcome.err
    for seed in (1, 2):
        assert state_of(f"sweep/seed-{seed}")["init_from"]["checkpoint"].startswith(str(known))
    # A job of a sweep is a start, too; a sweep is not.
    assert cnntrain("train", *FAST, "epochs=1", "init_from=sweep/seed-1", "out=one").code == 0
    is_told(cnntrain("train", *FAST, "init_from=sweep"), "sweep is a sweep: name one of its jobs")
    is_told(cnntrain("train", "-m", *FAST, "init_from=nosuch", "seed=1,2"), "there is no run nosuch")


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (("init_from=nosuch",), ("init_from=nosuch: there is no run nosuch",)),
        (("init_from=",), ("init_from= is empty",)),
        (
            ("init_from=RUN", "model=mlp"),
            (
                "do not fit MLP: it has no hidden.0.weight",
                "\nto take that run's model, add model=cnn 'model.ch",
            ),
        ),
        (
            ("init_from=RUN", "model.channels=[8]"),
            (
                "features.0.weight is 4×1×3×3 there and 8×1×3×3 here\n"
                "to take that run's model, add 'model.channels=[4]'",
            ),
        ),
        (
            ("init_from=RUN", "data=mnist_mini", "data.channels=3"),
            ("to take that run's model, add data.channels=1",),
        ),
        (("init_from=RUN", "model=torchvision", "model.weights=DEFAULT"), ("both say where to start",)),
    ],
)
def test_what_does_not_fit_is_told_before_data_are_read(
    cnntrain: Command,
    known: Path,
    monkeypatch: pytest.MonkeyPatch,
    own: tuple[str, ...],
    told: tuple[str, ...],
) -> None:
    monkeypatch.setattr("cnntrain.run.setup.open_data", None)
    typed = {word.partition("=")[0] for word in own}
    rest = QUICK[3:] if "model" in typed else [w for w in QUICK if w.partition("=")[0] not in typed]
    outcome = cnntrain("train", *rest, *(word.replace("RUN", str(known)) for word in own))
    is_told(outcome, *told)
    assert not Path("outputs/train").exists()


def test_a_damaged_or_hostile_start_is_told(cnntrain: Command, known: Path) -> None:
    data = bytearray((known / "checkpoints/best.pt").read_bytes())
    data[len(data) // 2] ^= 1
    Path("damaged.pt").write_bytes(data)
    is_told(cnntrain("train", *FAST, "init_from=damaged.pt"), "init_from=damaged.pt: damaged.pt is damaged")
    state = state_of(str(known), "best")
    for weights in ({"features.0.weight": "text"}, {**state["model"], "x" * 1000: torch.zeros(1)}):
        checkpoint.write(checkpoint.serialize({**state, "model": weights}), Path("hostile.pt"))
        is_told(cnntrain("train", *FAST, "init_from=hostile.pt"), "hostile.pt")


# ---- freeze, unfreeze_epoch


@pytest.mark.parametrize("optim", ["sgd", "adam"])
def test_what_is_frozen_stays_until_its_epoch_and_resume_crosses_that_to_the_bit(
    cnntrain: Command, known: Path, optim: str
) -> None:
    run = (*FAST, f"init_from={known}", "freeze=backbone", "schedule=constant", f"optim={optim}")
    more = ("lr_scale={head:3}", "unfreeze_epoch=3", "save_every_steps=3")
    assert cnntrain("train", *run, *more, "epochs=3", "out=whole").code == 0
    start = state_of(str(known), "best")["model"]
    head = {"classifier.output.weight", "classifier.output.bias"}
    outcome = cnntrain("train", *run, "lr_scale={head:3}", "epochs=2", "out=half")
    assert "7,850 of 7,894 parameters are trained" in outcome.out, outcome.out + outcome.err
    half = state_of("half")
    assert changed(start, half["model"]) == head  # no running statistic among them
    # As if it had been stopped there.
    half["config"].update(unfreeze_epoch=3, epochs=3, save_every_steps=3)
    checkpoint.write(checkpoint.serialize(half), Path("half/checkpoints/last.pt"))
    outcome = cnntrain("resume", "half")
    assert outcome.code == 0, outcome.err
    assert not changed(state_of("whole")["model"], state_of("half")["model"])
    assert changed(start, state_of("whole")["model"]) == set(start)
    assert json.loads(Path("whole/summary.json").read_text())["trained_parameters"] == sum(
        p.numel() for name, p in start.items() if "running" not in name and "num_batches" not in name
    )


def test_a_pattern_names_parameters_and_the_modules_that_hold_them() -> None:
    with torch.device("meta"):
        model = Torchvision("shufflenet_v2_x0_5", None, "auto", 1, 28, 10)

    def found(pattern: str) -> set[str]:
        return matching(model, pattern, 10, "freeze")

    assert found("fc") == found("head") == {"network.fc.weight", "network.fc.bias"}
    assert found("head") | found("backbone") == found("*") and not found("head") & found("backbone")
    assert found("stage2") == {name for name in found("*") if name.startswith("network.stage2.")}
    assert found("stage2.0") < found("stage2") < found("stage?")
    assert found("*.bias") == {name for name in found("*") if name.endswith(".bias")}
    with pytest.raises(UserError, match=r"freeze=stage9: .*: did you mean stage.*\nit has conv1, stage2, "):
        found("stage9")


def test_the_head_is_the_layer_that_gives_the_classes() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(4, 3)
            self.body = nn.Linear(8, 4)

    assert head_of(Odd(), 3) == "out"
    assert head_of(nn.Sequential(nn.Conv2d(1, 5, 1)), 5) == "0"
    assert head_of(Odd(), 7) is None
    with pytest.raises(UserError, match="Odd has no layer of 7 outputs for a head; name its param"):
        matching(Odd(), "backbone", 7, "freeze")


def test_frozen_norms_use_and_keep_their_statistics_although_the_model_trains() -> None:
    model = CNN((1, 8, 8), 3, [2, 2], batch_norm=True)
    freezing = Freezing(model, ["features.2"], 2, 3)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for epoch, training in ((0, [False, True]), (1, [True, True])):
        assert freezing.begin_epoch(model, epoch) is (epoch == 1)
        model.train()
        assert list(freezing.keep(model, iter([1, 2]))) == [1, 2]
        assert [norm.training for norm in norms] == training
    # All of its weights, whatever pattern names them, are it.
    assert Freezing(CNN((1, 8, 8), 3, [2], batch_norm=True), ["features.2.weight"], None, 3).norms == []
    both = ["features.2.weight", "features.2.bias"]
    assert Freezing(CNN((1, 8, 8), 3, [2], batch_norm=True), both, None, 3).norms == ["features.2"]


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (
            ("freeze=[features,clasifier]",),
            "freeze=clasifier: CNN has no parameter of that name: did you",
        ),
        (("freeze=*",), "freeze=* leaves nothing to train"),
        (("freeze=[]",), "freeze=[] is not possible"),
        (("freeze=3",), "freeze=3 is not possible"),
        (("unfreeze_epoch=2",), "unfreeze_epoch=2 needs something frozen"),
        (("freeze=backbone", "unfreeze_epoch=1"), "unfreeze_epoch=1 is not possible"),
        (("freeze=backbone", "unfreeze_epoch=20"), "unfreeze_epoch=20 comes after the last epoch: epochs=10"),
        (("lr_scale={haed:10}",), "lr_scale=haed: CNN has no parameter of that name: did you mean head?"),
        (("lr_scale={head:0}",), "lr_scale={head:0} is not possible"),
        (("lr_scale=10",), "lr_scale=10 is not possible"),
    ],
)
def test_wrong_patterns_and_epochs_are_told(cnntrain: Command, own: tuple[str, ...], told: str) -> None:
    is_told(cnntrain("train", *SMALL, *own), told)
    assert not Path("outputs/train").exists()


def test_summary_counts_what_is_trained_and_random_weights_are_warned_of(cnntrain: Command) -> None:
    assert "1,290 of 206,922 parameters are trained" in cnntrain("summary", "freeze=backbone").out
    outcome = cnntrain("train", *FAST, "epochs=1", "freeze=backbone", "out=run")
    assert "frozen layers keep their random weights" in outcome.err and outcome.code == 0


# ---- lr_scale


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"])
def test_the_last_pattern_that_matches_scales_the_learning_rate_of_any_optimizer(kind: str) -> None:
    model = CNN((1, 8, 8), 3, [2], head=[4])
    optimizer = getattr(torch.optim, kind)(groups_of(model, {"backbone": 0.1, "hidden": 0.5}, 3), lr=0.2)
    scale_learning_rates(optimizer)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    by_name = {name: rates[id(p)] for name, p in model.named_parameters()}
    for name, rate in by_name.items():
        scale = 0.5 if "hidden" in name else 1 if "output" in name else 0.1
        assert rate == pytest.approx(0.2 * scale), name
    assert lr_of(optimizer) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("schedule", "own"),
    [
        (Constant, {}),
        (Step, {"every": 1.0, "gamma": 0.5}),
        (Cosine, {"final": 0.1}),
        (OneCycle, {"rise": 0.3, "start": 0.04, "final": 0.01}),
    ],
)
def test_ratios_hold_through_warm_up_and_schedule(schedule: Any, own: dict[str, float]) -> None:
    optimizer = torch.optim.SGD(groups_of(CNN((1, 8, 8), 3, [2]), {"head": 10.0}, 3), lr=0.1)
    scale_learning_rates(optimizer)
    schedule = schedule(optimizer, 20, 5, warmup=1.0, **own)
    for _ in range(20):
        body, head = (group["lr"] for group in optimizer.param_groups)
        assert head == pytest.approx(10 * body) and lr_of(optimizer) == pytest.approx(body)
        optimizer.step()
        schedule.step()


def test_a_schedule_that_does_not_keep_ratios_is_told(cnntrain: Command) -> None:
    cycle = ("schedule._target_=torch.optim.lr_scheduler.CosineAnnealingLR", "+schedule.T_max=10")
    plain = (*FAST, "~schedule.final", "~schedule.warmup", "lr_scale={head:10}", "epochs=1", *cycle)
    is_told(cnntrain("train", *plain, "+schedule.eta_min=1e-4"), "CosineAnnealingLR does not keep the ratios")
    assert cnntrain("train", *plain, "out=run").code == 0
