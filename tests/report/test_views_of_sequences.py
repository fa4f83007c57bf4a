"""What a report shows of networks that read images as sequences, in place of filters and feature maps."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import Command
from torch.nn import functional as F

from cnntrain.models import GRU, Transformer
from cnntrain.models.views import HasAttention, ReadsStepByStep

QUICK = ("limit=200", "epochs=1", "model.width=8", "precision=fp32", "threads=1", "eval_batch_size=50")
IMAGE = (1, 4, 6)


def report_of(cnntrain: Command, *words: str) -> str:
    """The page of a run in the folder ``run``."""
    outcome = cnntrain("train", *words, *QUICK, "out=run")
    assert outcome.code == 0, outcome.err
    return Path("run/report.html").read_text()


@pytest.mark.parametrize("words", [("model=lstm",), ("model=gru", "model.bidirectional=true")])
def test_a_recurrent_network_shows_how_its_accuracy_grows(
    cnntrain: Command,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    words: tuple[str, ...],
) -> None:
    if words != ("model=lstm",):  # whose figure is drawn
        request.getfixturevalue("undrawn")
    monkeypatch.setattr(
        "cnntrain.tasks.classification.report.steps.SECONDS", 60.0
    )  # all images, on any machine
    page = report_of(cnntrain, *words)
    assert 'id="steps"' in page and not {'id="maps"', 'id="filters"'} & set(re.findall(r'id="\w+"', page))
    assert "Accuracy by number of rows read" in page
    found = re.search(r"that end after so many rows: (\S+)% after 1, .* (\S+)% after 28\.", page)
    assert found, "the accuracies are not told"
    accuracy = json.loads(Path("run/summary.json").read_text())["test"]["accuracy"]
    assert float(found[2]) == pytest.approx(100 * accuracy, abs=0.06), "after all rows it is that of the test"
    assert Path("run/plots/steps.png").exists()


@pytest.mark.parametrize("name", ["transformer", "vit"])
def test_a_transformer_shows_where_it_looks(cnntrain: Command, name: str) -> None:
    page = report_of(cnntrain, f"model={name}", "model.heads=2", "model.depth=2")
    assert 'id="attention"' in page and not {'id="maps"', 'id="filters"'} & set(re.findall(r'id="\w+"', page))
    assert "layer 2 of 2: attention of 2 heads" in page
    assert Path("run/plots/attention.png").exists()


@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_answer_after_some_rows_is_that_to_an_image_of_those_rows(
    pooling: str, bidirectional: bool
) -> None:
    model = GRU(IMAGE, 3, 5, depth=2, bidirectional=bidirectional, pooling=pooling).eval()
    assert isinstance(model, ReadsStepByStep) and model.steps == 4 and model.of_step == "rows"
    x = torch.randn(2, *IMAGE)
    found = model.answers_after(x, [1, 3, 4])
    assert torch.allclose(found[:, 2], model(x), atol=1e-6)
    for place, rows in enumerate((1, 3)):
        shorter = GRU((1, rows, 6), 3, 5, depth=2, bidirectional=bidirectional, pooling=pooling).eval()
        shorter.load_state_dict(model.state_dict())
        assert torch.allclose(found[:, place], shorter(x[:, :, :rows]), atol=1e-6)


@pytest.mark.parametrize(("read", "grid"), [("rows", (4, 1)), ("columns", (1, 6)), ("patches", (2, 3))])
@pytest.mark.parametrize("pooling", ["class", "mean", "last"])
def test_attention_is_that_of_the_formula_over_the_parts_of_the_image(
    read: str, grid: tuple[int, int], pooling: str
) -> None:
    patch = 2 if read == "patches" else "auto"
    model = Transformer(IMAGE, 3, 8, 2, 2, pooling=pooling, read=read, patch=patch).eval()
    assert isinstance(model, HasAttention)
    x = torch.randn(3, *IMAGE)
    maps, whole = model.attention_over(x), model.attention(x)
    assert maps.shape == (3, 2, 2, *grid)
    layer = model.encoder.layers[1]
    steps = layer.norm1(model.encoder.layers[0](model.embedded(x)))
    query, key, _ = F.linear(steps, layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias).chunk(3, 2)
    query, key = (part.unflatten(2, (2, 4)).transpose(1, 2) for part in (query, key))  # 2 heads of 4
    expected = (query @ key.mT / 4**0.5).softmax(dim=3)
    assert torch.allclose(whole[:, 1], expected, atol=1e-6)
    rows = {"class": whole[:, :, :, 0, 1:], "mean": whole.mean(dim=3), "last": whole[:, :, :, -1]}
    assert torch.allclose(maps.flatten(3), rows[pooling])
