"""`cnntrain explain` logits and optimizers: what torch computes, by hand, and how optimizers differ."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import Command

from cnntrain.explain.topics.training.logits import classes_shown, cross_entropy, softmax
from cnntrain.explain.topics.training.optimizers import RULES, START, STEEP, Rule, path

PLAIN = ("precision=fp32", "threads=1", "channels_last=false")
SMALL = ("model=cnn", "model.channels=[4,6]", "model.head=[8]", "limit=96", "epochs=1", *PLAIN)
PNG = b"\x89PNG\r\n"


@pytest.mark.parametrize("temperature", [0.5, 1.0, 5.0])
@pytest.mark.parametrize("scale", [1.0, 30.0, 5000.0])  # the last are far beyond what exp takes
def test_softmax_and_cross_entropy_by_hand_are_those_of_torch(scale: float, temperature: float) -> None:
    generator = torch.Generator().manual_seed(1)
    outputs = scale * torch.randn(7, dtype=torch.float64, generator=generator)
    expected = (outputs / temperature).softmax(dim=0).tolist()
    assert softmax(outputs.tolist(), temperature) == pytest.approx(expected, abs=1e-12)
    for label in range(7):
        loss = F.cross_entropy(outputs[None] / temperature, torch.tensor([label])).item()
        assert cross_entropy(outputs.tolist(), label, temperature) == pytest.approx(
            loss, rel=1e-12, abs=1e-12
        )


def test_the_class_of_the_image_is_always_shown() -> None:
    probabilities = [index / 300 for index in range(25)]
    assert classes_shown(probabilities, 24) == list(range(15, 25))
    assert classes_shown(probabilities, 2) == [2, *range(16, 25)]
    assert classes_shown([0.5, 0.5], 0) == [0, 1]


def test_logits_become_probabilities_a_loss_and_a_gradient(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "logits", *SMALL, "out=l")
    assert outcome.code == 0, outcome.err
    table = [
        re.sub(" ←", "", line).split() for line in outcome.out.splitlines() if re.match(r"\d( ←)? ", line)
    ]
    assert len(table) == 10
    logits, powers, shares, by_hand, of_torch = (
        [float(line[column]) for line in table] for column in range(1, 6)
    )
    expected = torch.tensor(logits, dtype=torch.float64).softmax(dim=0).tolist()
    assert shares == pytest.approx(expected, abs=2e-4)
    assert max(powers) == 1.0 and by_hand == pytest.approx(of_torch, abs=1.1e-4)
    told = " ".join(outcome.out.split())
    loss = re.search(r"its own class (\d) = −ln (\S+) = (\S+)\. F.cross_entropy .*?: (\d\.\d+)\.", told)
    assert loss is not None and loss[3] == loss[4]
    label = int(loss[1])
    assert float(loss[3]) == pytest.approx(-math.log(shares[label]), abs=1e-2)
    assert [index for index, number in enumerate(by_hand) if number < 0] == [label]
    rows = [line.split() for line in outcome.out.splitlines() if re.match(r" +(0\.5|1|2|5|100) ", line)]
    largest, entropy = ([float(row[column]) for row in rows] for column in (1, 2))
    assert len(rows) == 5 and largest == sorted(largest, reverse=True) and entropy == sorted(entropy)
    assert rows[1][3] == f"{float(loss[3]):.4f}"
    assert Path("l/logits.png").read_bytes().startswith(PNG)


def steps_by_hand(name: str, lr: float, steps: int) -> list[list[float]]:
    """Go down the valley by the rules that the topic prints, number by number."""
    w, first, second = list(START), [0.0, 0.0], [0.0, 0.0]
    places = [list(w)]
    for t in range(1, steps + 1):
        for i, g in enumerate((w[0], STEEP * w[1])):
            if name == "SGD":
                w[i] -= lr * g
            elif name == "SGD, momentum":
                first[i] = 0.9 * first[i] + g
                w[i] -= lr * first[i]
            elif name == "RMSprop":
                second[i] = 0.99 * second[i] + 0.01 * g**2
                w[i] -= lr * g / (math.sqrt(second[i]) + 1e-8)
            else:
                first[i] = 0.9 * first[i] + 0.1 * g
                second[i] = 0.999 * second[i] + 0.001 * g**2
                m, s = first[i] / (1 - 0.9**t), second[i] / (1 - 0.999**t)
                w[i] -= lr * m / (math.sqrt(s) + 1e-8)
        places.append(list(w))
    return places


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_rules_are_those_of_torch(rule: Rule) -> None:
    by_hand = torch.tensor(steps_by_hand(rule.name, rule.arguments["lr"], 20), dtype=torch.float64)
    torch.testing.assert_close(path(rule, 20), by_hand, rtol=1e-9, atol=1e-12)


def test_optimizers_are_compared_in_a_valley_and_on_a_network(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "optimizers", "limit=128", "epochs=1", *PLAIN, "out=o")
    assert outcome.code == 0, outcome.err
    lines = [re.split(r"\s{2,}", line.strip()) for line in outcome.out.splitlines()]
    valley = {line[0]: line[1:] for line in lines if len(line) == 8}
    trained = {line[0]: line[1:] for line in lines if len(line) == 5 and line[-1].endswith("%")}
    assert [name for name in valley if name != "optimizer"] == list(trained) == [rule.name for rule in RULES]
    assert valley["SGD"][-1] == "> 100" and float(valley["SGD, momentum"][-1]) < 100
    assert valley["RMSprop"][1] == f"{10 * 0.1 * math.sqrt(2):.2f}"  # 10·lr for each of two parameters
    assert [line[0] for line in trained.values()] == ["0.02", "0.02", "0.001", "0.001"]
    assert len({line[1] for line in trained.values()}) == 1  # the same first weights and batch
    assert len({line[2] for line in trained.values()}) == 4
    assert Path("o/optimizers.png").read_bytes().startswith(PNG)


def test_one_optimizer_is_looked_at_alone(cnntrain: Command) -> None:
    typed = ("model=mlp", "model.hidden=[8]", "optim=adamw", "optim.lr=0.01")
    outcome = cnntrain("explain", "optimizers", "limit=64", "epochs=1", *typed, *PLAIN, "out=o")
    assert outcome.code == 0, outcome.err
    lines = [re.split(r"\s{2,}", line.strip()) for line in outcome.out.splitlines()]
    assert [line[:2] for line in lines if len(line) == 5 and line[-1].endswith("%")] == [["AdamW", "0.01"]]
