"""`cnntrain explain` of networks that read sequences: states and gates, vanishing gradients, attention."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, is_told
from torch import nn

from cnntrain.explain.topics.sequences import sentences
from cnntrain.models.sequences.unrolled import unroll

SMALL = ("limit=64", "epochs=1", "precision=fp32", "threads=1")
PNG = b"\x89PNG\r\n"


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False}], ids=str)
def test_unrolled_layers_give_what_torch_gives(kind: Any, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    rnn = kind(3, 5, batch_first=True, **options).double()
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    states, last = rnn(x)
    done = unroll(rnn, x)
    torch.testing.assert_close(done.states, states)
    assert len(done.steps) == 7
    if kind is nn.LSTM and not options.get("bidirectional"):
        torch.testing.assert_close(done.steps[-1]["cell"], last[1][-1])
    gates = {nn.RNN: set(), nn.LSTM: {"forget", "input", "output"}, nn.GRU: {"reset", "update"}}[kind]
    assert set(done.steps[0]) - {"state", "cell"} == gates
    assert all(0 < float(step[gate].detach().min()) <= 1 for step in done.steps for gate in gates)


def test_every_step_has_a_gradient() -> None:
    rnn = nn.LSTM(3, 5, batch_first=True)
    done = unroll(rnn, torch.randn(2, 4, 3))
    gradients = torch.autograd.grad(done.states[:, -1].sum(), [step["cell"] for step in done.steps])
    assert all(bool(gradient.abs().sum() > 0) for gradient in gradients)


@pytest.mark.parametrize(
    ("typed", "gates"),
    [
        (["model=lstm"], ["forget", "input", "output"]),
        (["model=gru", "model.bidirectional=true"], ["reset", "update"]),
        (["model=rnn", "model.read=patches", "model.patch=7"], []),
    ],
)
def test_a_recurrent_model_shows_its_state_and_belief(
    cnntrain: Command, typed: list[str], gates: list[str]
) -> None:
    outcome = cnntrain("explain", *typed, "model.width=8", *SMALL, "out=s")
    assert outcome.code == 0, outcome.err
    step, steps = ("patch", 16) if len(typed) == 3 else ("row", 28)
    lines = [re.split(r"\s{2,}", line.strip()) for line in outcome.out.splitlines()]
    begin = lines.index([step, "belief", "second", "‖h‖", *gates])
    table = lines[begin + 1 : begin + 1 + steps]
    assert [line[0] for line in table] == [str(number) for number in range(1, steps + 1)]
    assert all(0 <= float(value) <= 1 for line in table for value in line[4:])
    assert all(re.fullmatch(r"\d \d+%", line[1]) for line in table)
    assert "It begins with" in outcome.out and max(map(len, outcome.out.splitlines())) <= 100
    assert Path("s/states.png").read_bytes().startswith(PNG)


def test_a_run_is_followed_row_by_row(cnntrain: Command) -> None:
    words = ("model=lstm", "model.width=8", *SMALL)
    assert cnntrain("train", *words, "out=r", "report=false").code == 0
    shown = cnntrain("explain", "states", "run=r")
    assert shown.code == 0, shown.err
    assert re.search(r"^28 +\d \d+%", shown.out, re.MULTILINE)


def test_the_gradient_of_an_rnn_and_an_lstm_through_time(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "vanishing", "model.width=8", *SMALL, "out=v")
    assert outcome.code == 0, outcome.err
    lines = [re.split(r"\s{2,}", line) for line in outcome.out.splitlines() if re.search(r"e[-+]\d\d", line)]
    table = {(line[0], line[1]): [float(value) for value in line[2:]] for line in lines if len(line) == 6}
    names = ["RNN, dL/dh", "LSTM, dL/dh", "LSTM, dL/dc"]
    assert list(table) == [(name, f"{when} training") for when in ("before", "after") for name in names]
    for first, _, last, factor in table.values():
        assert factor == pytest.approx((first / last) ** (1 / 27), abs=0.02)
    assert table["RNN, dL/dh", "before training"][0] < 1e-3  # it vanishes
    assert Path("v/vanishing.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize(("model", "parts", "read"), [("vit", 16, "patches"), ("transformer", 28, "rows")])
def test_attention_is_told_for_each_head(cnntrain: Command, model: str, parts: int, read: str) -> None:
    small = ("model.width=8", "model.depth=2", "model.heads=2")
    outcome = cnntrain("explain", f"model={model}", *small, *SMALL, "out=a")
    assert outcome.code == 0, outcome.err
    table = [re.split(r"\s{2,}", line) for line in outcome.out.splitlines() if re.match(r"\d +\d ", line)]
    assert [line[:2] for line in table] == [["1", "1"], ["1", "2"], ["2", "1"], ["2", "2"]]
    assert all(1 <= float(line[2]) <= parts for line in table)
    assert f"reads {parts} {read}" in outcome.out
    assert {path.name for path in Path("a").iterdir()} == {"where.png", "from_to.png"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["states", "model=cnn"], "explain states is about model=lstm or model=gru or model=rnn, and this"),
        (["attention", "model=lstm"], "explain attention is about model=vit or model=transformer"),
        (["vanishing", "model=vit"], "explain vanishing is about model=lstm"),
        (["vanishing", "run=last"], "run=last: only explain "),
    ],
)
def test_other_models_are_refused_before_torch_is_imported(
    torchless: Command, words: list[str], told: str
) -> None:
    is_told(torchless("explain", *words), told)


@pytest.mark.parametrize("topic", ["steps", "states", "vanishing", "filters"])
def test_topics_on_images_refuse_texts(torchless: Command, topic: str) -> None:
    for name in ("good", "bad"):
        Path("texts", name).mkdir(parents=True)
        for number in range(9):
            Path("texts", name, f"{number}.txt").write_text(f"{name} " + "word " * (number + 1))
    told = torchless("explain", topic, "data=text_folder", "data.root=texts", "model=lstm")
    is_told(told, f"explain {topic} is for images only, and these data are data.inputs=text")
    assert not Path("outputs").exists()


def test_the_five_steps_of_a_sequence_model_have_their_name(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "steps", "model=lstm", "model.width=8", *SMALL)
    assert outcome.code == 0 and "optimizer.zero_grad()" in outcome.out


def test_conclusions_follow_from_the_figures() -> None:
    falling, flat = [1e-6, 1e-3, 1.0], [0.5, 0.6, 1.0]
    assert sentences.factor_of(falling) == pytest.approx(1e-3)
    assert sentences.factor_of([0.0, 0.0, 0.0]) is None
    assert "opened the way back" in sentences.on_vanishing({"a": falling}, {"a": flat})
    assert "Where it stays so" in sentences.on_vanishing({"a": falling}, {"a": falling})
    assert sentences.on_vanishing({"a": flat}, {"a": flat}).endswith("5e-01 and 5e-01.")
    names = ["zero", "one"]
    told = sentences.on_belief("row", [1, 2, 3], [0, 1, 1], [0.6, 0.95, 0.97], names)
    assert told == "It begins with zero, then one after row 2. From row 2 on it is at least 90% sure."
    assert "never 90% sure" in sentences.on_belief("row", [1, 2], [0, 0], [0.6, 0.7], names)
    assert "1 of 2 heads look mostly near" in sentences.on_attention([9.0, 5.0], [1.0, 2.0], 2.0)
