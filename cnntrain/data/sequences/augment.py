"""Augmentation of sequences: parts of them, noise, and spans that are hidden."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from cnntrain.data.augment.augment import Augment
from cnntrain.data.sequences.batch import of_lengths, padded, unpadded

SHORTEST, LONGEST = 0.02, 0.33  # of a sequence, that is hidden: the shares of random erasing


class AugmentSequences(Augment):
    """Random changes of sequences, each drawn for itself. Every one is off at 0.

    Args:
        crop: keep a random part in time of at least this share of the steps.
        jitter: add noise of this standard deviation, in those of each feature (Um et al. 2017, Data
            augmentation of wearable sensor data). Not for texts.
        erase: probability of hiding a random span, 2 to 33 % of the steps.
        hidden: what it is hidden behind: the mean of each feature, or the unknown token.
        std: the standard deviation of each feature.
    """

    def __init__(
        self, crop: float, jitter: float, erase: float, hidden: Sequence[float], std: Sequence[float]
    ) -> None:
        self.mixup = self.cutmix = 0.0
        kinds = {"crop": crop, "jitter": jitter, "erase": erase}
        self.strengths = {name: strength for name, strength in kinds.items() if strength}
        self.hidden, self.std = torch.tensor(hidden), torch.tensor(std)

    @property
    def crops(self) -> bool:
        """Whether parts of larger images are taken: they never are."""
        return False

    def __call__(self, x: Tensor, generator: Generator, size: tuple[int, int] | None = None) -> Tensor:
        """Return changed copies of sequences, float32 (N, 1, T, F + 1).

        Args:
            x: the sequences, before they are standardised.
            generator: the generator of the draws, on their device.
            size: not used.
        """
        if share := self.strengths.get("crop"):
            x = cropped(x, share, generator)
        if strength := self.strengths.get("jitter"):
            values, is_padding = unpadded(x)
            noise = torch.randn(values.shape, generator=generator, device=x.device)
            x = padded(values + strength * self.std.to(x.device) * noise, is_padding)
        if probability := self.strengths.get("erase"):
            x = erased(x, probability, self.hidden.to(x.device), generator)
        return x


def spans(lengths: Tensor, shares: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return first step and number of steps, at least 1, of random spans of sequences, int64 (N,) each."""
    counts = (lengths * shares).round().long().clamp(min=1)
    room = (lengths - counts + 1) * torch.rand(lengths.shape, generator=generator, device=lengths.device)
    return room.long().minimum(lengths - counts), counts


def cropped(x: Tensor, least: float, generator: Generator) -> Tensor:
    """Return a random part in time of each sequence, of at least a share of its steps."""
    values, is_padding = unpadded(x)
    lengths = (~is_padding).sum(1)
    drawn = torch.rand(lengths.shape, generator=generator, device=x.device)
    begins, counts = spans(lengths, least + (1 - least) * drawn, generator)
    steps = torch.arange(values.shape[1], device=x.device)
    places = (begins[:, None] + steps).clamp(max=values.shape[1] - 1)
    return of_lengths(values.gather(1, places[..., None].expand_as(values)), counts)


def erased(x: Tensor, probability: float, hidden: Tensor, generator: Generator) -> Tensor:
    """Return sequences; in some of them a span is hidden behind the same values, float32 (F,)."""
    values, is_padding = unpadded(x)
    lengths = (~is_padding).sum(1)
    is_hit, drawn = torch.rand((2, *lengths.shape), generator=generator, device=x.device)
    begins, counts = spans(lengths, SHORTEST + (LONGEST - SHORTEST) * drawn, generator)
    steps = torch.arange(values.shape[1], device=x.device)
    inside = (steps >= begins[:, None]) & (steps < (begins + counts)[:, None])
    inside &= (is_hit < probability)[:, None]
    return padded(torch.where(inside[..., None], hidden, values), is_padding)
