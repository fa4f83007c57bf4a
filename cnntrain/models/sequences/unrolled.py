"""Recurrent layers one step after another, in plain arithmetic: what torch's own do inside one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Step = dict[
    str, Tensor
]  # what a step computes, float (N, H) each: the ``state``, an LSTM's ``cell``, the gates


@dataclass(frozen=True)
class Unrolled:
    """What recurrent layers compute of a sequence.

    Args:
        steps: the steps of the last layer that reads forward.
        states: the states of the last layer, float (N, T, H), or (N, T, 2·H) if it reads backward too; as
            torch gives.
    """

    steps: list[Step]
    states: Tensor


def unroll(rnn: nn.RNNBase, sequence: Tensor) -> Unrolled:
    """Return what recurrent layers compute of sequences, float (N, T, F), with a gradient for every step.

    Args:
        rnn: an ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU``, whose batches come first. Dropout is left out.
        sequence: what it reads.
    """
    inputs = list(sequence.unbind(dim=1))
    for layer in range(rnn.num_layers):
        ways = [one_way(rnn, f"l{layer}", inputs)]
        if rnn.bidirectional:
            ways.append(one_way(rnn, f"l{layer}_reverse", inputs[::-1])[::-1])
        inputs = [torch.cat([step["state"] for step in both], dim=1) for both in zip(*ways, strict=True)]
    return Unrolled(ways[0], torch.stack(inputs, dim=1))


def one_way(rnn: nn.RNNBase, name: str, inputs: Sequence[Tensor]) -> list[Step]:
    """Return what one layer computes in one direction, from a state of zeros.

    Args:
        rnn: all layers.
        name: the name of the layer's parameters, such as ``l0``.
        inputs: float (N, F) each.
    """
    of_input, of_state = (getattr(rnn, f"weight_{part}_{name}") for part in ("ih", "hh"))
    biases = [getattr(rnn, f"bias_{part}_{name}") if rnn.bias else None for part in ("ih", "hh")]
    zeros = inputs[0].new_zeros(len(inputs[0]), rnn.hidden_size)
    before, steps = {"state": zeros, "cell": zeros}, []
    for x in inputs:
        seen, kept = F.linear(x, of_input, biases[0]), F.linear(before["state"], of_state, biases[1])
        before = STEPS[rnn.mode](seen, kept, before)
        steps.append(before)
    return steps


def rnn_step(seen: Tensor, kept: Tensor, before: Step) -> Step:
    """Return the step of a plain network: h = tanh(W x + U h + b)."""
    return {"state": torch.tanh(seen + kept)}


def lstm_step(seen: Tensor, kept: Tensor, before: Step) -> Step:
    """Return the step of an LSTM: c = f · c + i · g and h = o · tanh(c), as ``nn.LSTM`` has it.

    Args:
        seen: what the input adds to the gates and to the new content, float (N, 4·H).
        kept: what the state before adds.
        before: the step before.
    """
    take, forget, new, show = (seen + kept).chunk(4, dim=1)
    take, forget, show = take.sigmoid(), forget.sigmoid(), show.sigmoid()
    cell = forget * before["cell"] + take * new.tanh()
    return {"state": show * cell.tanh(), "cell": cell, "forget": forget, "input": take, "output": show}


def gru_step(seen: Tensor, kept: Tensor, before: Step) -> Step:
    """Return the step of a GRU: h = (1 − z) · n + z · h, as ``nn.GRU`` has it.

    Args:
        seen: what the input adds to the gates and to the new content, float (N, 3·H).
        kept: what the state before adds.
        before: the step before.
    """
    (reset, update, new), (r, z, n) = seen.chunk(3, dim=1), kept.chunk(3, dim=1)
    reset, update = (reset + r).sigmoid(), (update + z).sigmoid()
    new = torch.tanh(new + reset * n)
    return {"state": (1 - update) * new + update * before["state"], "reset": reset, "update": update}


STEPS: dict[str, Callable[[Tensor, Tensor, Step], Step]] = {
    "RNN_TANH": rnn_step,
    "LSTM": lstm_step,
    "GRU": gru_step,
}
