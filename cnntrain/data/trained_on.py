"""Which images an earlier run was trained on, so that none of them validates the model that it gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnntrain.config.keys import KEYS
from cnntrain.config.sections import DataSettings, PreviousRunSettings
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.sources.recorded import RecordedImages
from cnntrain.data.splits import limited, random_split, stratified_split
from cnntrain.data.streaming import StreamingDataset
from cnntrain.data.targets import checksum
from cnntrain.image_folder.members import Member, RunSplit, recorded_split
from cnntrain.runs.run_folder import CHECKPOINTS
from cnntrain.runtime.console import Console, count
from cnntrain.sequences.source import Source
from cnntrain.text import printable

Images = InMemoryDataset | StreamingDataset
# Of the group data: what the images are, and where they lie.
PLACE = ("source", "root")
# Of that group too: what the shape and the values of images depend on, and with them the fingerprint.
LOOKS = tuple(key.removeprefix("data.") for key, rule in KEYS.items() if rule.prepares == "pixels")


@dataclass(frozen=True)
class PreviousRun:
    """The run whose weights a command begins with.

    Args:
        path: its checkpoint.
        state: the contents; nothing in them is believed unchecked.
        members: the record of its split, if both runs have a folder of images.
        goes_on: whether these weights are trained further. Else they are evaluated.
    """

    path: Path
    state: Mapping[str, Any]
    members: list[Member] | None = None
    goes_on: bool = False

    def guard(self) -> RunSplit | None:
        """Return what keeps its training images out of the test part of a folder."""
        return RunSplit(self.members, binds=False, guarded=("test",)) if self.members else None

    @cached_property
    def settings(self) -> PreviousRunSettings:
        """What its configuration says."""
        return PreviousRunSettings.from_config(self.state["config"])

    def has_same_data(self, data: DataSettings, train: Images) -> bool:
        """Return whether it was trained on the same images, perhaps of another size.

        Args:
            data: the data set of the command.
            train: its training images.
        """
        if is_same_images(self.state, train):
            return True
        looks = [name for name in LOOKS if data.inputs in (KEYS[f"data.{name}"].inputs or (data.inputs,))]
        return self.settings.same(PLACE, data) and not self.settings.same(looks, data)

    def trained_on(self, data: DataSettings, dataset: Any, train: Images) -> Tensor | None:
        """Return which images it was trained on, bool (N,), on the CPU; None if that can't be determined.

        Args:
            data: the data set of the command.
            dataset: what was built of it; None if the images came from the cache.
            train: the images.
        """
        if isinstance(dataset, RecordedImages) and self.members is not None:
            return torch.from_numpy(dataset.run_split.has_trained(dataset.inventory)[dataset.indices])
        rule = self.settings.split
        by_index = isinstance(dataset, RecordedImages) and not isinstance(self.state.get("split"), str)
        if rule is None or by_index or not self.has_same_data(data, train):
            return None
        trained = torch.zeros(len(train), dtype=torch.bool)
        training, _ = split_indices(dataset, train, rule.val_fraction, rule.split_seed)
        trained[limited(training, rule.limit, rule.split_seed)] = True
        return trained


def previous_run(path: Path, state: Mapping[str, Any], source: Mapping[str, Any]) -> PreviousRun:
    """Return the run that a new one starts from.

    Args:
        path: the checkpoint of ``init_from``.
        state: its contents.
        source: the data set of the new run, ``data.source``.
    """
    run = path.parent.parent if path.parent.name == CHECKPOINTS else None
    before = PreviousRunSettings.from_config(state["config"]).source
    split = recorded_split(source, before, state.get("split"), run, other_data=True)
    return PreviousRun(path, state, None if split is None else split.members, goes_on=True)


def is_same_images(state: Mapping[str, Any], train: Images) -> bool:
    """Return whether training images are those that a checkpoint's run began with."""
    known = state["data_fingerprint"]
    if known == train.fingerprint:
        return True
    # Before 2026-11-24 the checksum was of all images.
    return isinstance(train, InMemoryDataset) and bool(known == checksum(train.images, train.labels))


def split_indices(dataset: Any, train: Images, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the training and of the validation part, int64.

    Args:
        dataset: what was built; None if the images came from the cache.
        train: the images of both parts.
        val_fraction: share of each class that validates.
        seed: another seed gives another choice.
    """
    if isinstance(dataset, RecordedImages):
        return dataset.split(val_fraction, seed)
    if isinstance(dataset, Source) and dataset.validates is not None:  # which come with a part of their own
        validates = torch.from_numpy(dataset.validates)
        return (~validates).nonzero().flatten(), validates.nonzero().flatten()
    if train.strata is None:
        return random_split(len(train), val_fraction, seed)
    return stratified_split(train.strata, val_fraction, seed)


def without_trained_images(
    earlier: PreviousRun,
    data: DataSettings,
    dataset: Any,
    train: Images,
    parts: tuple[Tensor, Tensor],
    console: Console,
) -> tuple[tuple[Tensor, Tensor], DataSettings]:
    """Return the parts of a run without the images in validation that an earlier run was trained on.

    A run that goes on with the weights of another keeps the split of that.

    Args:
        earlier: the run that trained the weights.
        data: the data set of this run.
        dataset: what was built; None if the images came from the cache.
        train: the images of both parts.
        parts: the indices of the training and of the validation part, int64, as the configuration says.
        console: where it is said.

    Returns:
        The parts, and the data set with the ``val_fraction`` and the ``split_seed`` that they follow.
    """
    indices, val = parts
    if isinstance(dataset, RecordedImages) and not earlier.goes_on:  # which leaves them out itself
        return parts, data
    trained = earlier.trained_on(data, dataset, train)
    name = printable(earlier.path)
    if trained is None:
        is_folder = earlier.goes_on and isinstance(dataset, RecordedImages)
        if is_folder and earlier.settings.same(PLACE, data) and len(val):
            console.warn(
                f"init_from={name}: there is no record of which images that run was trained on: if they "
                "are among the validation images, val scores are inflated"
            )
        return parts, data
    common = int(trained[val].sum())
    if not common:
        return parts, data
    if not earlier.goes_on:
        return (indices, val[~trained[val]]), data
    all_val = count(len(val), f"validation {data.called.word}")
    why = f"init_from={name} was trained on {common:,} of the {all_val}"
    rule = earlier.settings.split
    own = data.val_fraction, data.split_seed
    if rule is not None and rule.val_fraction > 0 and (rule.val_fraction, rule.split_seed) != own:
        before = split_indices(dataset, train, rule.val_fraction, rule.split_seed)
        if int(trained[before[1]].sum()) < common:
            indices, val = before
            data = replace(data, val_fraction=rule.val_fraction, split_seed=rule.split_seed)
            now = f"data.val_fraction={rule.val_fraction:g} data.split_seed={rule.split_seed}"
            console.line("{}", f"{why} of this split: that run's split is kept, {now}")
    left = val[~trained[val]]
    if len(left) == len(val):
        return (indices, val), data
    if isinstance(dataset, RecordedImages) and len(left):  # whose record says which they are
        console.warn(f"{why}: they are moved to training, and {len(left):,} are left to validate")
        return (torch.cat([indices, val[trained[val]]]).sort().values, left), data
    console.warn(f"{why}, and held out none instead: val scores are inflated")
    return (indices, val), data
