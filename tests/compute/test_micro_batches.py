"""Batches that do not fit into the memory: cut into parts before the first step, to the same training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from conftest import TINY, Command, is_told

from cnntrain.compute.micro_batches import MicroBatchFinder
from cnntrain.compute.precision import FP32, Precision
from cnntrain.models import CNN, MLP
from cnntrain.runtime import memory
from cnntrain.tasks import Classification

RUN = (*TINY, "batch_size=64", "precision=fp32", "channels_last=false", "threads=1", "augment.mixup=0.2")
HUNGRY = """
from pathlib import Path
import torch

class Hungry(torch.nn.Linear):  # has memory for eight images; for more it has it only at first
    def __init__(self, in_features, num_classes, patience=0):
        super().__init__(in_features, num_classes)
        self.patience = patience

    def forward(self, x):
        self.patience -= self.training
        if self.training and len(x) > 8 and self.patience < 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return super().forward(x.flatten(1))
"""


def weights(run: str) -> dict[str, torch.Tensor]:
    return torch.load(Path(run) / "checkpoints" / "last.pt", weights_only=True)["model"]


def test_a_batch_that_does_not_fit_goes_in_parts_to_the_same_weights(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cnntrain("train", *RUN, "accumulate=4", "out=typed").code == 0
    monkeypatch.setattr(memory, "free", lambda: 1_660_000)

    outcome = cnntrain("train", *RUN, "out=cut")

    assert outcome.code == 0, outcome.err
    assert "batch_size=64 would take about 1.6 MB of 1.7 MB free memory" in outcome.err
    assert "each batch goes in 4 parts" in outcome.err
    assert yaml.safe_load(Path("cut/config.yaml").read_text())["accumulate"] == 4
    for name, weight in weights("typed").items():
        assert torch.equal(weight, weights("cut")[name]), name


def test_where_the_estimate_is_not_sure_the_batch_is_tried(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("nets.py").write_text(HUNGRY)
    monkeypatch.setattr(memory, "free", lambda: 300_000)
    outcome = cnntrain("train", *RUN, "model=custom", "model._target_=nets.Hungry", "out=run")
    assert outcome.code == 0, outcome.err
    assert "each batch goes in 8 parts" in outcome.err


def test_memory_that_runs_out_later_ends_the_run_with_the_way_to_go_on(cnntrain: Command) -> None:
    Path("nets.py").write_text(HUNGRY)
    hungry = (
        "model=custom",
        "model._target_=nets.Hungry",
        "++model.patience=8",
        "epochs=2",
        "doctor=false",
        "out=run",
    )
    outcome = cnntrain("train", *RUN, *hungry)
    assert outcome.code == 1
    assert outcome.err.splitlines()[-2:] == [
        "cnntrain: out of memory after step 5, where accumulate=1",
        "half the memory is enough, for the same steps: cnntrain resume run accumulate=2",
    ]
    assert cnntrain("resume", "run", "accumulate=8", "trust=[nets]").code == 0
    assert json.loads(Path("run/summary.json").read_text())["epochs"] == 2


def test_a_batch_larger_than_the_training_set_is_the_training_set(cnntrain: Command) -> None:
    run = ("train", *TINY, "precision=fp32", "channels_last=false", "threads=1", "augment.shift=1")
    outcome = cnntrain(*run, "batch_size=1000000000", "accumulate=500", "out=clipped")
    assert outcome.code == 0 and outcome.err.count("\n") == 1
    assert (
        "batch_size=1000000000 is more than the 200 training images, so batch_size=200: one step"
        in outcome.err
    )
    config = yaml.safe_load(Path("clipped/config.yaml").read_text())
    assert (config["batch_size"], config["accumulate"]) == (200, 200)
    exact = cnntrain(*run, "batch_size=200", "accumulate=200", "out=exact")
    assert "batch_size=200 is the training set: one step per epoch" in exact.err
    assert cnntrain(*run, "batch_size=199", "out=two").err == ""
    for name, weight in weights("clipped").items():
        assert torch.equal(weight, weights("exact")[name]), name


def test_a_batch_whose_images_do_not_fit_is_refused(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free", lambda: 70_000_000)
    large = ("data=fake", "data.source.size=120", "data.image_size=224", "data.val_fraction=0")
    outcome = cnntrain("train", *RUN, *large, "limit=null", "batch_size=120")
    is_told(outcome, "the images of one batch take 90.3 MB", "take at most batch_size=74")


def test_what_is_kept_once_for_all_images_does_not_count_for_each() -> None:
    model, bf16 = MLP(784, [512], 10), Precision("bf16", torch.device("cpu"))
    fitting = MicroBatchFinder(
        model, torch.nn.CrossEntropyLoss(), bf16, Classification((1, 28, 28), 10).dummy, torch.device("cpu")
    )
    per_image, _ = fitting.estimate()  # with copies of the weights in 16 bits, 0.8 MB
    assert per_image < 20_000


def test_memory_that_no_cutting_could_spare_cuts_nothing(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free", lambda: 100_000)
    outcome = cnntrain("train", *RUN, "out=run")
    assert outcome.code == 0 and "parts" not in outcome.err


def test_a_last_batch_of_one_image_is_told_where_batch_norm_needs_more(cnntrain: Command) -> None:
    net = ("model=torchvision", "model.name=resnet18", "model.small=false", "data=fake")
    one = ("data.source.size=48", "data.val_fraction=0", "limit=33", "batch_size=32", "epochs=1")
    small = ("precision=fp32", "channels_last=false", "threads=1", "report=false")
    is_told(cnntrain("train", *net, *one, *small), "batch norm needs 2 images at a time", "batch_size=33")


@pytest.mark.parametrize(
    "model", [MLP(784, 128, 10), CNN((1, 28, 28), 10, [8, 8], batch_norm=True, dropout=0.5)]
)
def test_finding_out_leaves_the_model_and_the_generators_alone(model: torch.nn.Module) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.get_rng_state()
    fitting = MicroBatchFinder(
        model, torch.nn.CrossEntropyLoss(), FP32, Classification((1, 28, 28), 10).dummy, torch.device("cpu")
    )
    assert fitting.fits_in_memory(16)
    assert fitting.accumulate(32, wanted=1) == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(generator, torch.get_rng_state())


def test_a_network_that_gives_something_else_in_training_is_told(cnntrain: Command) -> None:
    code = """
import torch
class Twofold(torch.nn.Linear):
    def __init__(self, in_features, num_classes):
        super().__init__(in_features, num_classes)
    def forward(self, x):
        output = super().forward(x.flatten(1))
        return (output, output) if self.training else output
"""
    Path("nets.py").write_text(code)
    outcome = cnntrain("train", *RUN, "model=custom", "model._target_=nets.Twofold", "out=run")
    is_told(outcome, "model: Twofold can't be trained by this loss")
