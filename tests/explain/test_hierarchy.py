"""`cnntrain explain hierarchy`: what excites each layer, measured on filters of which it is known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from conftest import Command, is_told

from cnntrain.explain.sentences import on_hierarchy
from cnntrain.explain.topics.images.hierarchy import direction

PLAIN = ("precision=fp32", "threads=1", "channels_last=false")


def test_each_layer_is_told_with_what_it_sees(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "hierarchy", "epochs=1", *PLAIN, "out=h")
    assert (outcome.code, outcome.err) == (0, "")
    lines = [re.split(r"\s{2,}", line) for line in outcome.out.splitlines()]
    table = [line for line in lines if len(line) == 6 and line[0] != "layer"]
    assert [line[1] for line in table] == [
        "3×3 pixels",
        "8×8 pixels",
        "18×18 pixels",
        *["the whole image"] * 2,
    ]
    selective = [float(line[2].rstrip("%")) for line in table]
    assert selective[0] > 80 > 40 > selective[-1]
    assert [float(line[3]) > float(line[4]) for line in table[1:2]] == [True]
    assert float(table[-1][5].rstrip("%")) > 90 > float(table[0][5].rstrip("%"))
    assert "of one class" in outcome.out
    assert Path("h/hierarchy.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_a_run_without_parts_is_refused(cnntrain: Command, run: Path) -> None:
    is_told(cnntrain("explain", "hierarchy", f"run={run}"), "MLP has no convolutions", "model=cnn has")


def test_layers_are_those_of_the_model_that_is_typed(cnntrain: Command) -> None:
    outcome = cnntrain("explain", "hierarchy", "model=cnn", "limit=64", "epochs=1", *PLAIN, "out=h")
    assert outcome.code == 0, outcome.err
    assert "features.3" in outcome.out and "features.6" not in outcome.out  # two blocks, as `train` has


def test_the_direction_of_edges_is_one_for_a_straight_one_and_zero_for_none() -> None:
    edge = torch.zeros(1, 8, 8, dtype=torch.uint8)
    edge[:, :, 4:] = 255
    assert direction([edge]) == direction([edge.transpose(1, 2)]) == 1.0
    spot = torch.zeros(1, 9, 9, dtype=torch.uint8)
    spot[:, 3:6, 3:6] = 255  # four edges, as many of each direction
    assert direction([spot]) == pytest.approx(0.0, abs=0.2)
    assert direction([torch.full((1, 8, 8), 7, dtype=torch.uint8)]) == 0.0
    assert direction([edge, spot]) == pytest.approx(0.5, abs=0.2)


def test_what_is_said_follows_from_the_figures() -> None:
    told = on_hierarchy(
        {"first": (0.7, 0.71), "second": (0.8, 0.6), "third": (0.4, 0.4)}, [0.9, 0.1], [0.3, 1.0]
    )
    assert "second looks for edges" in told and "several directions, 0.40" in told
    assert "from 90% of the images to 10%" in told and "100% in place of 30%" in told
    assert "hardly differ" in on_hierarchy({"first": (0.7, 0.71)}, [0.9, 0.9], [])
