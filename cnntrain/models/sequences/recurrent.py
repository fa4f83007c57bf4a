"""Recurrent networks: a state that is carried from step to step, and updated by what is read there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from cnntrain.models.sequences.reading import Reader
from cnntrain.models.sequences.unequal import (
    IMAGES,
    last_of,
    mean_of,
    padding_of,
    reader_of,
    run_for_export,
    run_packed,
)


class Recurrent(nn.Module):
    """Read an image, a series or a text step by step into a state, then classify what the state holds.

    A subclass says how the state is updated: ``RNN``, ``LSTM`` or ``GRU``.

    Args:
        input_shape: channels, height and width of an image.
        num_classes: number of classes, the outputs.
        width: numbers in the state of a layer, H.
        depth: layers; each reads the states of the layer below.
        bidirectional: whether a second network reads from the end to the beginning; its states stand beside
            those of the first.
        dropout: probability with which a number that goes to the next layer, or to the output, is switched
            off in training.
        pooling: what is classified: the ``last`` state, or the ``mean`` of all.
        read: what a step is: ``rows``, ``columns``, ``patches`` or ``pixels``.
        patch: the side of a patch in pixels; see :class:`cnntrain.models.sequences.reading.Reader`.
        inputs: ``images``, or ``series`` or ``text`` of unequal length; then ``read`` is left as it is.
        vocabulary: the number of different tokens of texts, each of which gets a vector of H numbers.

    Raises:
        ValueError: the pooling is for a Transformer, or the patches do not fill the image.
    """

    layers: ClassVar[type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]]

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        num_classes: int,
        width: int,
        depth: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        pooling: str = "last",
        read: str = "rows",
        patch: int | str = "auto",
        inputs: str = IMAGES,
        vocabulary: int = 0,
    ) -> None:
        super().__init__()
        if pooling == "class":
            raise ValueError("pooling=class is for model=transformer and model=vit: pooling=last or mean")
        self.pooling = pooling
        self.reader = reader_of(input_shape, read, patch, inputs, vocabulary, width)
        self.rnn = self.layers(
            self.reader.features,
            width,
            depth,
            batch_first=True,
            dropout=dropout if depth > 1 else 0.0,  # it stands between layers, so that one has none
            bidirectional=bidirectional,
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(width * (2 if bidirectional else 1), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images, or a batch of sequences, float (N, C, H, W), to logits, float (N, num_classes)."""
        is_padding = padding_of(x, self.reader)
        return self.answer(self.states(self.reader(x), is_padding), is_padding)

    def states(self, steps: Tensor, is_padding: Tensor | None) -> Tensor:
        """Return the states after each step, float (N, T, H or 2·H), of steps, float (N, T, F).

        Padding stands after all that is read, so that a single direction needs no packing: it can't be
        changed by what comes later.
        """
        if is_padding is not None and torch.compiler.is_exporting():
            return run_for_export(self.rnn, steps, is_padding)
        if is_padding is not None and self.rnn.bidirectional:
            return run_packed(self.rnn, steps, is_padding)
        states: Tensor = self.rnn(steps)[0]
        return states

    def answer(self, states: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map the states of all steps, float (N, T, H or 2·H), to logits, float (N, num_classes)."""
        return self.output(self.dropout(self.pooled(states, is_padding)))

    def pooled(self, states: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Return what is classified, float (N, H or 2·H), of the states of all steps, (N, T, the same).

        Args:
            states: the states of all steps.
            is_padding: which of them are none, bool (N, T); None: all are steps.
        """
        if self.pooling == "mean":
            return mean_of(states, is_padding)
        if not self.rnn.bidirectional:
            return last_of(states, is_padding)
        forward, backward = states.chunk(2, dim=2)
        return torch.cat([last_of(forward, is_padding), backward[:, 0]], dim=1)  # each where it has read all

    @property
    def steps(self) -> int:
        """The length of the sequence, T."""
        return self.reader.length

    @property
    def takes_any_height(self) -> bool:
        """Whether images may have more or fewer rows than those of training: each is a step."""
        return isinstance(self.reader, Reader) and self.reader.read == "rows"

    @property
    def of_step(self) -> str:
        """What the steps are: ``rows``, ``columns``, ``patches`` or ``pixels``."""
        return self.reader.read

    def answers_after(self, x: Tensor, steps: Sequence[int]) -> Tensor:
        """Return the logits if images end after some steps, from 1 to T: float (N, len(steps), num_classes).

        A state knows only the steps before it, so that one pass is enough; one that is carried from the end
        to the beginning is computed again for each end.
        """
        sequence, is_padding = self.reader(x), padding_of(x, self.reader)
        states, found = self.states(sequence, is_padding), []
        for t in steps:
            ends = None if is_padding is None else is_padding[:, :t]
            read = self.states(sequence[:, :t], ends) if self.rnn.bidirectional else states[:, :t]
            found.append(self.answer(read, ends))
        return torch.stack(found, dim=1)


class RNN(Recurrent):
    """h = tanh(W x + U h + b): the plain recurrent network (Elman 1990, Finding Structure in Time)."""

    layers = nn.RNN


class LSTM(Recurrent):
    """Long short-term memory: gates decide what a cell forgets, takes in and shows.

    Hochreiter and Schmidhuber 1997; with a forget gate, Gers et al. 2000.
    """

    layers = nn.LSTM


class GRU(Recurrent):
    """Gated recurrent unit: an LSTM without a cell of its own, with two gates (Cho et al. 2014)."""

    layers = nn.GRU
