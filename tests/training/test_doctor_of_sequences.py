"""The training doctor of recurrent networks: gradients that explode or vanish, and what it suggests helps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from conftest import Command
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from cnntrain.training.doctor.recurrence import gradient_by_step

FIXED = ("precision=fp32", "threads=1", "report=false", "epochs=1")
LONG = ("model.read=patches", "model.patch=2", "model.width=16")  # 196 steps
EXPLODE, VANISH = "the gradients explode", "the gradients vanish on their way through time"


def trained(cnntrain: Command, *arguments: str) -> tuple[list[dict[str, str]], float]:
    """What was found, and the lowest loss on the validation set."""
    folder = f"run{len(list(Path().glob('run*')))}"
    outcome = cnntrain("train", *FIXED, *arguments, f"out={folder}")
    assert outcome.code == 0, outcome.err
    summary = json.loads(Path(folder, "summary.json").read_text())
    told = [line for line in outcome.out.splitlines() if line.startswith("doctor:")]
    assert len(told) == len(summary["findings"])
    return summary["findings"], summary["final"]["train_loss"]


@pytest.mark.parametrize(
    ("finding", "fix", "arguments"),
    [
        (EXPLODE, "grad_clip=1", ["optim=sgd", "optim.lr=0.2"]),
        (EXPLODE, "grad_clip=1 optim.lr=", ["optim=sgd", "optim.lr=0.3", "model.width=64"]),
        (VANISH, "optim.lr=", ["optim=sgd", "optim.lr=1", "grad_clip=1", "limit=1000", "batch_size=16"]),
        (VANISH, "model.pooling=mean", [*LONG, "limit=900", "batch_size=16"]),
    ],
)
def test_a_problem_is_found_and_the_suggested_fix_helps(
    cnntrain: Command, finding: str, fix: str, arguments: list[str]
) -> None:
    ((told,), before) = trained(cnntrain, "model=rnn", *arguments)
    assert told["finding"] == finding and told["fix"].startswith(fix), told
    assert ("optim.lr=" in fix) == ("optim.lr=" in told["fix"])
    found, after = trained(cnntrain, "model=rnn", *arguments, *told["fix"].split())
    assert finding not in [f["finding"] for f in found] and after < before


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_it_says_nothing_of_healthy_runs(cnntrain: Command, name: str) -> None:
    for words in ([], ["optim=rmsprop"], ["model.bidirectional=true", "model.read=columns"]):
        assert trained(cnntrain, f"model={name}", "model.width=32", "limit=900", *words)[0] == []


def test_it_changes_no_bit_of_the_training(cnntrain: Command) -> None:
    run = ("model=gru", "model.depth=2", "model.dropout=0.2", "limit=300", "model.width=8")
    trained(cnntrain, *run)
    trained(cnntrain, *run, "doctor=false")
    first, second = (torch.load(f"run{n}/checkpoints/last.pt", weights_only=True) for n in (0, 1))
    assert all(torch.equal(first["model"][name], weight) for name, weight in second["model"].items())


class Own(nn.Module):
    """A network of a user's: its steps come first, and it may pack them."""

    def __init__(self, packs: bool) -> None:
        super().__init__()
        self.packs, self.rnn, self.output = packs, nn.RNN(4, 8), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = pack_sequence(list(x)) if self.packs else x.transpose(0, 1)
        return self.output(self.rnn(steps)[1][0])  # type: ignore[no-any-return]


@pytest.mark.parametrize("packs", [False, True])
def test_gradients_are_those_of_the_input_at_each_step(packs: bool) -> None:
    torch.manual_seed(0)
    model, criterion = Own(packs), nn.CrossEntropyLoss()
    x, y = torch.randn(6, 5, 4), torch.arange(6) % 3
    expected = x.clone().requires_grad_()
    criterion(model(expected), y).backward()
    assert expected.grad is not None
    model.zero_grad()
    found = gradient_by_step(model, (x, y), criterion)
    assert found == pytest.approx(expected.grad.norm(dim=(0, 2)).tolist(), rel=1e-4)
    assert all(weight.grad is None for weight in model.parameters())
