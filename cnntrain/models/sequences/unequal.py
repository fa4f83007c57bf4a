"""How sequences of unequal length reach a network, and how what it makes of their steps is pooled.

A batch is float (N, 1, T, F + 1): the last column is 1 where a step is padding, see
:mod:`cnntrain.data.sequences.batch`. No result depends on the padding, and so none on the other sequences.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cnntrain.models.sequences.reading import Reader

IMAGES = "images"
CLOSED = -1e4  # the bias of a gate whose sigmoid is exactly 0; of the opposite, exactly 1


class SeriesReader(nn.Module):
    """Take the steps of a time series as they are.

    Args:
        input_shape: 1, the steps at most, and the features with one column more.

    Attributes:
        read: what a step is.
        length: the steps of the longest sequence, T.
        features: the values of a step, F.
    """

    read = "steps"

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.length, self.features = input_shape[1], input_shape[2] - 1

    def forward(self, x: Tensor) -> Tensor:
        """Map a batch, float (N, 1, T, F + 1), to its steps, float (N, T, F)."""
        return x[:, 0, :, :-1]


class TokenReader(nn.Embedding):
    """Give each token of a text a vector that is learned.

    Args:
        length: tokens of the longest text, T.
        vocabulary: number of different tokens.
        width: numbers in a vector.
    """

    read = "tokens"

    def __init__(self, length: int, vocabulary: int, width: int) -> None:
        super().__init__(vocabulary, width)
        self.length, self.features = length, width

    def forward(self, x: Tensor) -> Tensor:
        """Map a batch, float (N, 1, T, 2), to a vector for each token, float (N, T, width)."""
        return super().forward(x[:, 0, :, 0].long())


AnyReader = Reader | SeriesReader | TokenReader


def reader_of(
    input_shape: tuple[int, int, int],
    read: str,
    patch: int | str,
    inputs: str,
    vocabulary: int,
    width: int,
) -> AnyReader:
    """Return what makes a sequence of an input: of ``images``, of ``series`` or of ``text``.

    Raises:
        ValueError: the steps of a sequence are to be something else than its rows.
    """
    if inputs == IMAGES:
        return Reader(input_shape, read, patch)
    if read != "rows" or patch != "auto":
        wrong = f"read={read}" if read != "rows" else f"patch={patch}"
        raise ValueError(f"{wrong} is for images: the rows of a sequence are its steps, read=rows")
    return SeriesReader(input_shape) if vocabulary == 0 else TokenReader(input_shape[1], vocabulary, width)


def padding_of(x: Tensor, reader: AnyReader) -> Tensor | None:
    """Return which steps of a batch are padding, bool (N, T); None of images, which have none."""
    return None if isinstance(reader, Reader) else x[:, 0, :, -1] > 0


def last_of(steps: Tensor, is_padding: Tensor | None) -> Tensor:
    """Return the last step that is there, float (N, H), of steps, float (N, T, H)."""
    if is_padding is None:
        return steps[:, -1]
    places = (~is_padding).sum(1) - 1
    return steps.gather(1, places[:, None, None].expand(-1, 1, steps.shape[2]))[:, 0]


def mean_of(steps: Tensor, is_padding: Tensor | None) -> Tensor:
    """Return the mean of the steps that are there, float (N, H), of steps, float (N, T, H)."""
    if is_padding is None:
        return steps.mean(dim=1)
    is_there = (~is_padding)[..., None].to(steps.dtype)
    return (steps * is_there).sum(1) / is_there.sum(1)


def run_packed(rnn: nn.RNNBase, steps: Tensor, is_padding: Tensor) -> Tensor:
    """Return the states of a network that reads both ways, float (N, T, 2·H): it begins where each ends.

    Args:
        rnn: the network.
        steps: float (N, T, F).
        is_padding: bool (N, T).
    """
    if steps.is_meta:  # which has shapes and no lengths
        return torch.as_tensor(rnn(steps)[0])
    lengths = (~is_padding).sum(1).cpu()
    packed = nn.utils.rnn.pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
    states = rnn(packed)[0]
    padded: Tensor = nn.utils.rnn.pad_packed_sequence(states, True, total_length=steps.shape[1])[0]
    return padded


def run_for_export(rnn: nn.RNNBase, steps: Tensor, is_padding: Tensor) -> Tensor:
    """Return the states of a recurrent network as torch's exporters can write them: for any number of steps.

    They know no packed sequences. So what reads backward gets the steps of each sequence flipped, and what it
    makes of them is flipped back; padding stays at the end. They have no loop for plain networks either. A
    GRU is one if its reset gate is always 1 and its update gate always 0, which large biases see to. There is
    no dropout between layers.

    Args:
        rnn: the network, in evaluation mode.
        steps: float (N, T, F).
        is_padding: bool (N, T).
    """
    lengths, places = (~is_padding).sum(1, keepdim=True), torch.arange(steps.shape[1], device=steps.device)
    flipped = torch.where(places < lengths, lengths - 1 - places, places)[..., None]  # (N, T, 1)
    zeros = steps.new_zeros(1, steps.shape[0], rnn.hidden_size)  # len would fix the size
    for layer in range(rnn.num_layers):
        ways = []
        for way in ("", "_reverse") if rnn.bidirectional else ("",):
            weights = weights_of(rnn, f"l{layer}{way}")
            read = steps.gather(1, flipped.expand(-1, -1, steps.shape[2])) if way else steps
            if rnn.mode == "LSTM":
                states = torch.lstm(read, (zeros, zeros), weights, True, 1, 0.0, False, False, True)[0]
            else:
                states = torch.gru(read, zeros, weights, True, 1, 0.0, False, False, True)[0]
            ways.append(states.gather(1, flipped.expand(-1, -1, states.shape[2])) if way else states)
        steps = torch.cat(ways, dim=2)
    return steps


def weights_of(rnn: nn.RNNBase, name: str) -> list[Tensor]:
    """Return the weights of a layer in one direction, such as ``l0``; of a plain network those of a GRU."""
    kinds = [f"{kind}_{part}" for kind in ("weight", "bias") for part in ("ih", "hh")]
    weights: list[Tensor] = [getattr(rnn, f"{kind}_{name}") for kind in kinds]
    if rnn.mode != "RNN_TANH":
        return weights
    of_input, of_state, bias, other = (torch.cat([0 * w, 0 * w, w]) for w in weights)
    gates = torch.tensor([-CLOSED, CLOSED, 0.0]).repeat_interleave(rnn.hidden_size)  # reset, update, new
    return [of_input, of_state, bias + gates.to(bias), other]
