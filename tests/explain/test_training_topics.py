"""`cnntrain explain` logits: what becomes of the logits of one image, by hand as by torch."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from conftest import Command

from cnntrain.explain.topics.training.logits import classes_shown, cross_entropy, softmax

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
