"""Augmentation of sequences: parts in time, noise, and hidden spans, from the generator that is handed in."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from cnntrain.data.sequences.augment import AugmentSequences
from cnntrain.data.sequences.batch import of_lengths, unpadded

LENGTHS = torch.tensor([20, 5, 1, 13])
RISING = of_lengths(torch.arange(1, 21).float()[None, :, None].expand(4, 20, 2) + 100, LENGTHS)


def changed(
    crop: float = 0.0, jitter: float = 0.0, erase: float = 0.0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return values and padding of rising sequences after augmentation."""
    augment = AugmentSequences(crop, jitter, erase, [-1.0, -2.0], [1.0, 10.0])
    return unpadded(augment(RISING, Generator().manual_seed(seed)))


def test_crop_keeps_a_part_in_time_of_at_least_its_share() -> None:
    for seed in range(20):
        values, is_padding = changed(crop=0.5, seed=seed)
        lengths = (~is_padding).sum(1)
        assert (lengths >= (LENGTHS * 0.5).floor()).all()
        assert (lengths <= LENGTHS).all()
        for row, length, longest in zip(values, lengths, LENGTHS, strict=True):
            steps = row[:length, 0]
            assert (steps.diff() == 1).all()
            assert steps.min() >= 101
            assert steps.max() <= 100 + longest
            assert not row[length:].any()
    assert len({tuple(changed(crop=0.5, seed=s)[1].sum(1).tolist()) for s in range(20)}) > 5


def test_noise_is_in_standard_deviations_of_each_feature_and_spares_padding() -> None:
    values, is_padding = changed(jitter=0.1)
    noise = values - unpadded(RISING)[0]
    assert not noise[is_padding].any()
    ratio = noise[~is_padding][:, 1].std() / noise[~is_padding][:, 0].std()
    assert 5 < ratio < 20
    assert 0.05 < noise[~is_padding][:, 0].std() < 0.2


def test_erased_spans_hold_the_mean_and_sequences_keep_their_lengths() -> None:
    values, is_padding = changed(erase=1.0)
    assert ((~is_padding).sum(1) == LENGTHS).all()
    hidden = values[..., 0] == -1
    assert (hidden.sum(1) >= 1).all()
    assert (hidden.sum(1) <= (LENGTHS * 0.34).ceil().clamp(min=1)).all()
    assert ((values[..., 1] == -2) == hidden).all()
    assert not (changed(erase=0.0)[0] == -1).any()


def test_the_same_generator_gives_the_same_draws() -> None:
    assert torch.equal(changed(0.3, 0.1, 0.5, seed=4)[0], changed(0.3, 0.1, 0.5, seed=4)[0])
    assert not AugmentSequences(0, 0, 0, [0.0], [1.0])
