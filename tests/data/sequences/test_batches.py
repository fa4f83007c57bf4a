"""Sequences in memory become padded batches of like length, in an order that (seed, epoch) gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cnntrain.data.loader import EvalLoader, ShuffledBatches
from cnntrain.data.sequences.batch import unpadded
from cnntrain.data.sequences.dataset import SequenceDataset, in_memory
from cnntrain.data.sequences.standardize import Standardize
from cnntrain.sequences.reading import Sequences
from cnntrain.sequences.tokens import Tokens
from cnntrain.tasks.collector import Collector

RANDOM = np.random.default_rng(0)
LENGTHS = RANDOM.integers(1, 40, 330)


def series(steps: int = 40) -> tuple[SequenceDataset, int]:
    """Return many series of three features, each of which begins with its number."""
    values = [RANDOM.normal(size=(length, 3)).astype(np.float32) for length in LENGTHS]
    for number, value in enumerate(values):
        value[0, 0] = number
    labels = np.arange(len(values)) % 4
    names = [str(n) for n in labels]
    return in_memory(Sequences(values, labels, ("a", "b", "c", "d"), names), steps, None)


def test_a_batch_is_as_long_as_its_longest_sequence_and_says_what_is_padding() -> None:
    dataset, cut = series()
    chosen = [3, 7, 11]
    x, labels = dataset.__getitems__(chosen)
    values, is_padding = unpadded(x)
    assert x.shape == (3, 1, max(LENGTHS[chosen]), 4)
    assert labels.tolist() == [n % 4 for n in chosen]
    assert (~is_padding).sum(1).tolist() == LENGTHS[chosen].tolist()
    assert values[:, 0, 0].tolist() == chosen
    assert not values[is_padding].any()
    assert cut == 0


def test_longer_sequences_are_cut() -> None:
    dataset, cut = series(steps=10)
    assert cut == (LENGTHS > 10).sum()
    assert dataset.gather(torch.arange(330)).shape == (330, 1, 10, 4)


def batches(seed: int, epoch: int, start: int = 0) -> list[list[int]]:
    """Return the indices of an epoch's batches."""
    dataset, _ = series()
    sampler = ShuffledBatches(torch.arange(330), 16, seed, regroup=dataset.grouped)
    sampler.epoch, sampler.start = epoch, start
    return [some.tolist() for some in sampler]


def test_an_epoch_has_each_sequence_once_and_little_padding() -> None:
    found = batches(0, 0)
    assert sorted(index for batch in found for index in batch) == list(range(330))
    assert [len(batch) for batch in found] == [16] * 20 + [10]
    padded = sum(len(batch) * max(LENGTHS[batch]) for batch in found)
    shuffled = np.random.default_rng(1).permutation(330)
    by_chance = sum(len(part) * max(LENGTHS[part]) for part in np.split(shuffled, range(16, 330, 16)))
    assert padded < 1.15 * LENGTHS.sum() < by_chance


def test_the_order_follows_from_seed_and_epoch_and_goes_on_from_any_batch() -> None:
    assert batches(0, 3) == batches(0, 3)
    assert batches(0, 3) != batches(0, 4)
    assert batches(0, 3) != batches(1, 3)
    assert batches(0, 3)[5:] == batches(0, 3, start=5)
    lengths = [max(LENGTHS[batch]) for batch in batches(0, 3)]
    assert lengths != sorted(lengths)  # short sequences do not all come first


def test_features_are_standardised_and_padding_stays_zero() -> None:
    dataset, _ = series()
    x = dataset.gather(torch.tensor([3, 7, 11]))
    standardize = Standardize([1.0, 2.0, 3.0], [0.5, 1.0, 2.0], torch.device("cpu"))
    values, is_padding = unpadded(standardize(x))
    before, _ = unpadded(x)
    expected = (before - torch.tensor([1.0, 2.0, 3.0])) / torch.tensor([0.5, 1.0, 2.0])
    assert torch.allclose(values[~is_padding], expected[~is_padding])
    assert not values[is_padding].any()


def test_texts_become_the_numbers_of_their_tokens() -> None:
    found = Sequences(["b a", "c", "..."], np.array([0, 1, 1]), ("x", "y"), ["0", "1", "2"])
    dataset, _ = in_memory(found, 10, Tokens("words", "b a"))
    values, is_padding = unpadded(dataset.gather(torch.arange(3)))
    assert values[..., 0].tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert (~is_padding).sum(1).tolist() == [2, 1, 3]


class Numbers(Collector[list[int]]):
    """Keeps the number with which each series begins, given as output."""

    def extract(self, output: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        return (output,)

    def combine(self, batches: Sequence[tuple[Tensor, ...]]) -> list[int]:
        return torch.cat([numbers for (numbers,) in batches]).int().tolist()


def test_an_evaluation_pads_little_and_what_it_keeps_stands_in_order() -> None:
    dataset, _ = series()
    chosen = torch.arange(300, 20, -1)
    as_they_are = Standardize([0.0], [1.0], torch.device("cpu"))
    loader, seen, steps = EvalLoader(dataset, chosen, 16, as_they_are, torch.device("cpu")), Numbers(), 0
    for x, y in loader:
        seen.add(x[:, 0, 0, 0], y)
        assert y.tolist() == [int(number) % 4 for number in x[:, 0, 0, 0]]
        steps += len(x) * x.shape[2]
    assert seen.local_results(loader.order) == seen.all_results(loader.order) == chosen.tolist()
    assert steps < 1.05 * LENGTHS[chosen].sum()
