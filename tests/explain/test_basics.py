"""`cnntrain explain` value, tensors and parameters: autograd, what a tensor is, what an MLP costs."""

from __future__ import annotations

import random
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from conftest import Command

from cnntrain.explain.topics.basics import value as topic
from cnntrain.explain.value import Value, ordered

PLAIN = ("precision=fp32", "threads=1", "channels_last=false")
PNG = b"\x89PNG\r\n"


def test_values_have_the_gradients_of_torch() -> None:
    """A network of tanh and ReLU on random numbers, to 1e-10."""
    draw = random.Random(0)
    numbers = [draw.gauss(0, 1) for _ in range(40)]

    def network(weights: list[Value] | list[torch.Tensor]) -> Value | torch.Tensor:
        first = [(w * 0.5 + 2 * weights[0] - weights[1]).tanh() for w in weights]  # type: ignore[operator]
        second = [(a * b + -a).relu() for a, b in pairwise(first)]  # type: ignore[operator]
        total = second[0]
        for one in second[1:]:
            total = total * 0.9 + one * one  # type: ignore[operator]
        return total

    mine = [Value(number) for number in numbers]
    theirs = [torch.tensor(number, dtype=torch.float64, requires_grad=True) for number in numbers]
    result, expected = network(mine), network(theirs)
    result.backward()
    expected.backward()
    assert isinstance(result, Value) and isinstance(expected, torch.Tensor)
    assert result.data == pytest.approx(expected.item(), abs=1e-10)
    for one, other in zip(mine, theirs, strict=True):
        assert other.grad is not None
        assert one.grad == pytest.approx(float(other.grad), abs=1e-10)


def test_backward_adds_to_the_gradients_and_goes_deep() -> None:
    x = Value(3.0)
    for _ in range(2):
        (x * x).backward()
    assert x.grad == 12.0
    total = one = Value(1.0)
    for _ in range(20_000):  # far beyond Python's limit of recursion
        total = total + one
    total.backward()
    assert one.grad == 20_001.0


def test_each_value_stands_behind_its_inputs() -> None:
    x, y = Value(1.0), Value(2.0)
    shared = x * y
    order = ordered(shared + shared * x)
    places = {id(one): place for place, one in enumerate(order)}
    assert len(places) == len(order) == 5
    assert all(places[id(part)] < places[id(one)] for one in order for part in one.inputs)


def test_value_is_compared_with_torch(cnntrain: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic, "SECONDS", 0.0)  # one call of each
    monkeypatch.setattr(topic, "SIDE", 64)
    outcome = cnntrain("explain", "value", "out=v")
    assert outcome.code == 0, outcome.err
    table = [line.split() for line in outcome.out.splitlines() if re.match(r"(w1|w2|b1|v|b2) ", line)]
    assert len(table) == 5 and all(abs(float(mine) - float(its)) < 1e-10 for *_, mine, its in table)
    speed = next(line for line in outcome.out.splitlines() if line.startswith("MLP 784-128-10"))
    slow, fast, factor = (float(n.replace(",", "")) for n in re.findall(r"(?<= )[\d,.]+(?= images|$)", speed))
    assert factor > 10 and fast > slow
    assert Path("v/value.png").read_bytes().startswith(PNG)


def test_tensors_are_told_with_their_memory_and_gradients(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "tensors", "model=mlp", "limit=64", *PLAIN, "out=t")
    assert outcome.code == 0, outcome.err
    told = " ".join(outcome.out.split())
    for words in (
        "[32, 1, 28, 28]",
        "[784, 784, 28, 1]",
        "100,352 bytes",
        "[784, 28, 1, 784]",
        "scalar: the loss",
    ):
        assert words in told
    assert "128·3·224·224 = 19,267,584 numbers" in told
    lines = [re.split(r"\s{2,}", line) for line in outcome.out.splitlines()]
    gradients = {
        line[0]: line[1:] for line in lines if line[0].startswith(("scalar", "matrix")) and len(line) == 5
    }
    assert gradients["matrix: weights"] == ["True", "None", "None", "[10, 128]"]
    assert gradients["scalar: the loss"][2:] == ["None", "None"]
    assert Path("t/tensors.png").read_bytes().startswith(PNG)


def test_parameters_of_an_mlp_explode_with_the_image(cnntrain: Command) -> None:
    tiny = ("data=fake", "data.source.size=300", "data.channels=1", "data.image_size=12", *PLAIN)
    outcome = cnntrain("explain", "parameters", *tiny, "epochs=1", "out=p")
    assert outcome.code == 0, outcome.err
    rows = {line.split("  ")[0]: re.split(r"\s{2,}", line)[1:] for line in outcome.out.splitlines()}
    assert rows["parameters"] == [f"{1024 * 1024 * 128 + 128:,}", "160"]
    assert rows["locality: values that a unit sees"] == ["1,048,576", "9"]
    assert "With 512 units it would be 5.4e+08 weights" in " ".join(outcome.out.split())
    assert Path("p/parameters.png").read_bytes().startswith(PNG)
