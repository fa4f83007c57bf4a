"""What a network says of a sequence does not depend on the sequences that it shares a batch with."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cnntrain.data.sequences.batch import of_lengths
from cnntrain.models import GRU, LSTM, RNN, Transformer
from cnntrain.models.sequences.unequal import run_for_export

LENGTHS = [7, 1, 4, 12]
SERIES = {"inputs": "series", "input_shape": (1, 12, 4), "num_classes": 5, "width": 8}
TEXT = {"inputs": "text", "input_shape": (1, 12, 2), "num_classes": 5, "width": 8, "vocabulary": 9}
HEADS = {"depth": 2, "heads": 2}


def networks() -> list[tuple[str, nn.Module]]:
    """Return networks of every family, with all ways of pooling, reading and telling positions."""
    torch.manual_seed(0)
    kinds: list[tuple[type[nn.Module], dict[str, Any]]] = [
        (RNN, {}),
        (LSTM, {"pooling": "mean"}),
        (GRU, {"depth": 2}),
        (LSTM, {"bidirectional": True, "depth": 2}),
        (GRU, {"bidirectional": True, "pooling": "mean"}),
        *((Transformer, {**HEADS, "pooling": pooling}) for pooling in ("mean", "last", "class")),
        (Transformer, {**HEADS, "positions": "learned"}),
    ]
    return [
        (f"{kind.__name__} {known['inputs']} {own}", kind(**known, **own).eval())
        for kind, own in kinds
        for known in (SERIES, TEXT)
    ]


def batch_for(network: nn.Module) -> Tensor:
    """Return four sequences of different lengths, as the network takes them."""
    generator = torch.Generator().manual_seed(1)
    if network.get_submodule("reader").features == 8:  # whose tokens get vectors
        values = torch.randint(9, (4, 12, 1), generator=generator).float()
    else:
        values = torch.randn(4, 12, 3, generator=generator)
    return of_lengths(values, torch.tensor(LENGTHS))


NETWORKS = networks()


@pytest.mark.parametrize("network", [n for _, n in NETWORKS], ids=[name for name, _ in NETWORKS])
@torch.no_grad()
def test_logits_are_the_same_alone_and_in_a_batch(network: nn.Module) -> None:
    x = batch_for(network)
    together = network(x)
    alone = torch.cat([network(x[i : i + 1, :, :length]) for i, length in enumerate(LENGTHS)])
    assert torch.allclose(together, alone, atol=1e-5, rtol=0)
    assert not torch.allclose(together[0], together[3], atol=1e-3)  # they do depend on the sequence


@pytest.mark.parametrize("network", [n for _, n in NETWORKS], ids=[name for name, _ in NETWORKS])
def test_what_stands_in_padding_changes_nothing_and_gets_no_gradient(network: nn.Module) -> None:
    x = batch_for(network)[:1].requires_grad_()
    network(x).sum().backward()
    if network.get_submodule("reader").features != 8:
        assert x.grad is not None
        assert not x.grad[0, 0, LENGTHS[0] :, :-1].any()
    other = x.detach().clone()
    other[0, 0, LENGTHS[0] :, :-1] = 3.0
    assert torch.allclose(network(x), network(other), atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_network_says_the_same_in_the_form_for_export() -> None:
    for name, network in NETWORKS:
        if not name.startswith("Transformer"):
            x = batch_for(network)
            steps, is_padding = network.get_submodule("reader")(x), x[:, 0, :, -1] > 0
            rnn = network.get_submodule("rnn")
            assert isinstance(rnn, nn.RNNBase)
            states = run_for_export(rnn, steps, is_padding)
            found = network.answer(states, is_padding)  # type: ignore[operator]
            assert torch.allclose(found, network(x), atol=1e-6)


@torch.no_grad()
def test_an_answer_after_some_steps_is_that_of_a_sequence_which_ends_there() -> None:
    for name, network in NETWORKS:
        if not name.startswith("Transformer"):
            x = batch_for(network)
            answers = network.answers_after(x, [1, 5, 12])  # type: ignore[operator]
            assert torch.allclose(answers[:, 2], network(x), atol=1e-5)
            assert torch.allclose(answers[:, 1], network(x[:, :, :5]), atol=1e-5)


def test_zeros_are_sequences_of_full_length_so_that_trials_see_all_steps() -> None:
    network = RNN(**SERIES)
    zeros = torch.zeros(2, 1, 12, 4)
    padding = zeros.clone()
    padding[:, 0, 1:, -1] = 1
    with torch.no_grad():
        assert not torch.allclose(network(zeros), network(padding), atol=1e-4)


def test_steps_of_a_sequence_are_its_rows() -> None:
    with pytest.raises(ValueError, match="read=columns is for images"):
        LSTM(**SERIES, read="columns")
