"""Recurrent networks and Transformers, against values computed by hand, and what is told of mistakes."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import Command, is_told
from torch import Tensor, nn

from cnntrain.explain.arithmetic import describe_parameters, trace
from cnntrain.models import GRU, LSTM, RNN, Transformer, ViT
from cnntrain.models.sequences.reading import Reader
from cnntrain.models.sequences.transformer import sinusoids
from cnntrain.models.summary import layers

CONF = Path(__file__).parents[2] / "conf" / "model"
RECURRENT = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
ALL: dict[str, Any] = {**RECURRENT, "transformer": Transformer, "vit": ViT}
MNIST = (1, 28, 28)


def default(name: str, shape: tuple[int, int, int] = MNIST, **changed: Any) -> nn.Module:
    """The shipped configuration of a network, for 10 classes."""
    content = yaml.safe_load((CONF / f"{name}.yaml").read_text())
    content.pop("_target_")
    network: nn.Module = ALL[name](shape, 10, **{**content, **changed})
    return network


def numbered(channels: int, height: int, width: int) -> Tensor:
    """One image whose pixels are 0, 1, 2, ..."""
    return torch.arange(channels * height * width).float().view(1, channels, height, width)


# ---- an image as a sequence


@pytest.mark.parametrize(
    ("read", "length", "first", "second"),
    [
        ("rows", 4, [0, 1, 2, 3], [4, 5, 6, 7]),
        ("columns", 4, [0, 4, 8, 12], [1, 5, 9, 13]),
        ("patches", 4, [0, 1, 4, 5], [2, 3, 6, 7]),
        ("pixels", 16, [0], [1]),
    ],
)
def test_an_image_is_read_from_left_to_right_and_from_top_to_bottom(
    read: str, length: int, first: list[int], second: list[int]
) -> None:
    reader = Reader((1, 4, 4), read, 2 if read == "patches" else "auto")
    steps = reader(numbered(1, 4, 4))
    assert steps.shape == (1, length, len(first)) == (1, reader.length, reader.features)
    assert steps[0, 0].tolist() == first and steps[0, 1].tolist() == second
    assert sorted(steps.flatten().tolist()) == list(range(16))


def test_the_colours_of_a_part_stand_side_by_side() -> None:
    assert Reader((3, 2, 2), "rows")(numbered(3, 2, 2))[0, 1].tolist() == [2, 3, 6, 7, 10, 11]
    assert Reader((3, 2, 2), "pixels")(numbered(3, 2, 2))[0, 3].tolist() == [3, 7, 11]


@pytest.mark.parametrize(
    ("size", "patch"), [(28, 7), (32, 8), (64, 16), (96, 16), (224, 16), (30, 6), (31, 1), (3, 1)]
)
def test_patches_have_up_to_16_pixels_and_leave_four_by_four_where_possible(size: int, patch: int) -> None:
    assert Reader((1, size, size), "patches").part == (patch, patch)


# ---- what the networks compute


def test_the_parameters_are_those_of_the_formulas() -> None:
    for name, gates in (("rnn", 1), ("lstm", 4), ("gru", 3)):
        expected = gates * (28 * 128 + 128 * 128 + 2 * 128) + 128 * 10 + 10
        assert sum(p.numel() for p in default(name).parameters()) == expected
        assert f"{expected:,} parameters" in (CONF / f"{name}.yaml").read_text()
    layer = 4 * (64 * 64 + 64) + (64 * 256 + 256) + (256 * 64 + 64) + 2 * 2 * 64
    for name, depth, embedding in (("transformer", 2, 28 * 64 + 64), ("vit", 4, 49 * 64 + 64 + 64 + 17 * 64)):
        expected = embedding + depth * layer + 2 * 64 + 64 * 10 + 10
        assert sum(p.numel() for p in default(name).parameters()) == expected
        assert f"{expected:,} parameters" in (CONF / f"{name}.yaml").read_text()


def test_an_lstm_computes_what_its_gates_say() -> None:
    torch.manual_seed(0)
    model = LSTM((1, 3, 2), 4, width=5)
    x = torch.randn(2, 1, 3, 2)
    of_input, of_state, bias, other_bias = (p.detach() for p in model.rnn.parameters())
    state, cell = torch.zeros(2, 5), torch.zeros(2, 5)
    for row in range(3):
        gates = x[:, 0, row] @ of_input.T + bias + state @ of_state.T + other_bias
        take, forget, new, show = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + take.sigmoid() * new.tanh()
        state = show.sigmoid() * cell.tanh()
    assert torch.allclose(model(x), model.output(state), atol=1e-6)


@pytest.mark.parametrize("network", RECURRENT.values())
def test_a_state_that_was_read_both_ways_is_taken_where_each_way_ends(network: type[Any]) -> None:
    torch.manual_seed(0)
    model = network(MNIST, 10, width=6, bidirectional=True)
    x = torch.randn(3, *MNIST)
    states, last = model.rnn(model.reader(x))
    ends = last[0] if isinstance(last, tuple) else last
    assert torch.allclose(model.pooled(states), torch.cat([ends[0], ends[1]], dim=1), atol=1e-6)
    mean = network(MNIST, 10, width=6, bidirectional=True, pooling="mean")
    assert torch.equal(mean.pooled(states), states.mean(dim=1))


def test_dropout_stands_between_layers_and_before_the_output() -> None:
    assert LSTM(MNIST, 10, width=4, depth=2, dropout=0.3).rnn.dropout == 0.3
    single = LSTM(MNIST, 10, width=400, dropout=0.3).train()
    assert single.rnn.dropout == 0  # torch would warn
    x = torch.randn(1, *MNIST)
    assert not torch.equal(single(x), single(x)) and torch.equal(single.eval()(x), single.eval()(x))


def test_sinusoids_are_those_of_the_paper() -> None:
    table = sinusoids(50, 8)
    assert table.shape == (50, 8) and sinusoids(4, 5).shape == (4, 5)
    for position, pair in ((0, 0), (7, 1), (49, 3)):
        angle = position / 10_000 ** (2 * pair / 8)
        assert float(table[position, 2 * pair]) == pytest.approx(math.sin(angle), abs=1e-5)
        assert float(table[position, 2 * pair + 1]) == pytest.approx(math.cos(angle), abs=1e-5)


def test_attention_sees_each_step_and_positions_tell_them_apart() -> None:
    torch.manual_seed(0)
    for positions in ("learned", "sinusoidal"):
        model = Transformer(MNIST, 10, width=16, depth=1, heads=2, positions=positions).eval()
        x = torch.randn(1, *MNIST, requires_grad=True)
        model(x)[0, 0].backward()
        assert x.grad is not None and bool((x.grad != 0).any(dim=3).all())  # of each row
        assert not torch.allclose(model(x), model(x.flip(2)), atol=1e-4)
        model.positions.detach().zero_()
        assert torch.allclose(model(x), model(x.flip(2)), atol=1e-5)  # the mean of the same steps


def test_a_class_token_stands_before_the_first_step() -> None:
    model = default("vit").eval()
    token = model.class_token.detach()
    assert token.shape == (1, 1, 64) and model.positions.shape == (17, 64)
    x = torch.randn(2, *MNIST)
    steps = torch.cat([token.expand(2, 1, 64), model.embedding(model.reader(x))], dim=1) + model.positions
    assert torch.allclose(model(x), model.output(model.encoder(steps)[:, 0]), atol=1e-5)
    plain = default("transformer", pooling="last").eval()
    assert torch.equal(plain.pooled(steps), steps[:, -1])


def test_the_layers_of_a_transformer_begin_with_weights_of_their_own() -> None:
    first, second = default("transformer").encoder.layers
    for name, weight in first.named_parameters():
        if weight.dim() > 1:
            assert not torch.equal(weight, second.get_parameter(name)), name


@pytest.mark.parametrize("name", ALL)
def test_logits_do_not_depend_on_the_rest_of_the_batch_nor_on_gradients(name: str) -> None:
    torch.manual_seed(0)
    model = default(name, (3, 12, 12)).eval()
    x = torch.randn(5, 3, 12, 12)
    together = model(x)
    with torch.no_grad():  # where torch takes its fused kernel for Transformers
        assert torch.allclose(model(x), together, atol=1e-5)
        assert torch.allclose(torch.cat([model(image[None]) for image in x]), together, atol=1e-5)


# ---- the summary


def test_the_summary_counts_gates_and_attention_and_tells_the_length(cnntrain: Command) -> None:
    outcome = cnntrain("summary", "model=lstm")
    work = 28 * 4 * 128 * (28 + 128)
    assert re.search(rf"rnn +LSTM +28×128 +80,896 +{work:,} +28", outcome.out)
    assert "an image is a sequence of length 28: 28 rows of 28 values" in outcome.out
    assert "A convolution sees" not in outcome.out

    outcome = cnntrain("summary", "model=vit", "model.patch=4", "model.depth=1")
    work = 4 * 50 * 64 * 64 + 2 * 50 * 50 * 64
    assert re.search(rf"self_attn +MultiheadAttention +50×64 +16,640 +{work:,}", outcome.out)
    assert "a sequence of length 49: 49 patches of 16 values" in outcome.out


@pytest.mark.parametrize("name", ALL)
def test_the_layers_of_a_summary_hold_all_parameters_but_those_of_the_network_itself(name: str) -> None:
    model = default(name)
    own = sum(p.numel() for p in model.parameters(recurse=False))
    assert own == (64 + 17 * 64 if name == "vit" else 0)
    assert sum(layer.parameters for layer in layers(model, MNIST)) + own == sum(
        p.numel() for p in model.parameters()
    )


def test_the_work_of_layers_that_read_both_ways_is_counted_for_each() -> None:
    model = GRU(MNIST, 10, width=8, depth=2, bidirectional=True)
    found = {layer.name: layer.multiply_adds for layer in layers(model, MNIST)}
    assert found["rnn"] == 28 * 2 * 3 * (8 * (28 + 8) + 8 * (16 + 8))


@pytest.mark.parametrize("name", ALL)
def test_the_arithmetic_of_gates_and_attention_adds_up(name: str) -> None:
    model = default(name, depth=2, **({"bidirectional": True} if name in RECURRENT else {}))
    for traced in trace(model, MNIST):
        if isinstance(traced.module, nn.RNNBase | nn.MultiheadAttention):
            left, _, right = describe_parameters(traced).partition(" = ")
            assert eval(left.replace("·", "*")) == int(right.replace(",", "")) == traced.layer.parameters
    lstm = trace(default("lstm"), MNIST)[1]
    assert describe_parameters(lstm) == "4·(28·128 + 128·128 + 2·128) = 80,896"


# ---- mistakes


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            ["model=vit", "model.patch=5"],
            ["patches of 5 pixels do not fill an image of 28", "1, 2, 4, 7, 14"],
        ),
        (["model=vit", "model.heads=5"], ["5 heads do not divide the width 64", "1, 2, 4, 8"]),
        (["model=lstm", "model.patch=7"], ["patch=7 is for read=patches, and read=rows"]),
        (["model=gru", "model.pooling=class"], ["pooling=class is for model=transformer and model=vit"]),
        (["model=lstm", "model.read=row"], ["did you mean model.read=rows?"]),
        (["model=vit", "model.read=rows"], ["model.read belongs to model=gru|lstm|rnn|transformer"]),
        (["model=lstm", "model.heads=2"], ["model.heads belongs to model=transformer|vit"]),
        (["model=lstm", "model.depth=1000000000"], ["model.depth takes a whole number from 1 to 100"]),
        (["model=transformer", "model.width=0"], ["model.width takes a whole number of at least 1"]),
        (["model=LSTM"], ["did you mean model=lstm?"]),
        (["model=bilstm"], ["did you mean model=lstm model.bidirectional=true?"]),
        (["model=lstm", "model.hidden=64"], ["did you mean model.width=64?"]),
        (["model=lstm", "hidden_size=64"], ["did you mean model.width=64?"]),
        (["hidden_size=64"], ["did you mean model.hidden=64?"]),
        (["model=gru", "model.num_layers=2"], ["did you mean model.depth=2?"]),
        (["model=transformer", "model.nhead=2"], ["did you mean model.heads=2?"]),
        (["model=vit", "model.patch_size=4"], ["did you mean model.patch=4?"]),
        (["model=transformer", "pooling=mean"], ["did you mean model.pooling=mean?"]),
    ],
)
def test_a_mistake_is_told_before_any_data_are_read(
    cnntrain: Command, words: list[str], parts: list[str]
) -> None:
    is_told(cnntrain("train", *words, "data=mnist", "data.root=nowhere"), *parts)
    assert not Path("nowhere").exists() and not Path("outputs").exists()


def test_help_and_completion_know_the_networks(cnntrain: Command) -> None:
    text = " ".join(cnntrain("train", "--help", "model").out.split())
    for name in ALL:
        assert f"model={name} " in text
    assert "(rows|columns|patches|pixels; model=gru|lstm|rnn|transformer)" in text
    offered = cnntrain("_complete", "train", "model=vit", "model.").out.split()
    assert {"model.patch=", "model.heads=", "model.pooling="} < set(offered)
    assert not {"model.read=", "model.channels="} & set(offered)
    assert "model.read=columns" in cnntrain("_complete", "train", "model.read=").out
