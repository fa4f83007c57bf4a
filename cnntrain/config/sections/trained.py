"""What is done with a trained model, and what the configuration of an earlier run says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from operator import getitem
from typing import Any

from cnntrain.config.keys import KEYS, leaves
from cnntrain.config.mistakes.suggestions import check_value
from cnntrain.config.schema import Config
from cnntrain.config.sections.data import DataSettings, Node
from cnntrain.config.sections.training import CriterionSettings, EngineSettings, ModelSettings
from cnntrain.errors import UserError


@dataclass(frozen=True)
class TrainedSettings:
    """A trained model, and how it computes.

    Args:
        data: the images and classes that it is for.
        model: the network.
        criterion: the loss.
        engine: what is left to autotune.
        device: where it computes, or ``auto``.
        compile: whether torch.compile makes one piece of code of it.
        trust: packages that the configuration may name; None for what the user typed.
    """

    data: DataSettings
    model: ModelSettings
    criterion: CriterionSettings
    engine: EngineSettings
    device: str
    compile: bool
    trust: list[str] | None

    @classmethod
    def from_config(cls, config: Config) -> TrainedSettings:
        """Return what a checkpoint's configuration says about its model."""
        return cls(
            DataSettings.from_config(config),
            ModelSettings.from_config(config),
            CriterionSettings.from_config(config),
            EngineSettings.from_config(config),
            config["device"],
            config["compile"],
            config["trust"],
        )


@dataclass(frozen=True)
class EvalSettings:
    """A trained model that is evaluated.

    Args:
        trained: the model, its data, and how it computes.
        split: the part of the data: ``train``, ``val`` or ``test``.
        tta: the views of each image that outputs are averaged over; empty: none but the image itself.
        eval_batch_size: images of a batch.
    """

    trained: TrainedSettings
    split: str
    tta: list[str]
    eval_batch_size: int

    @classmethod
    def from_config(cls, config: Config) -> EvalSettings:
        """Return what a checkpoint's configuration, with that of ``conf/eval.yaml``, says."""
        names = ("split", "tta", "eval_batch_size")
        return cls(TrainedSettings.from_config(config), **{name: config[name] for name in names})


@dataclass(frozen=True)
class PredictSettings:
    """What is shown and written of image files.

    Args:
        top: classes that are listed for each image.
        invert: whether dark on white becomes white on dark first.
        tta: the views of each image that outputs are averaged over; empty: none but the image itself.
        tile: side of the tiles that files are cut into at their own resolution; None: files are scaled.
        out: the folder of masks or boxes, and overlays; None: one is named.
        score: the lowest score of a box; ``auto``: the one that validation has chosen.
        nms: the largest IoU of two boxes of one class.
        most: boxes of an image, at most.
        eval_batch_size: images that the model sees at a time.
        verbose: how much is printed.
        typed: the keys that the user has given.
    """

    top: int
    invert: bool
    tta: list[str]
    tile: int | None
    out: str | None
    score: float | str
    nms: float
    most: int
    eval_batch_size: int
    verbose: int
    typed: tuple[str, ...]

    @classmethod
    def from_config(cls, config: Config, typed: Iterable[str]) -> PredictSettings:
        """Return what a checkpoint's configuration, with that of ``conf/predict.yaml``, says."""
        known = {row.name: config[row.name] for row in fields(cls) if row.name != "typed"}
        return cls(**known, typed=tuple(typed))


@dataclass(frozen=True)
class ExportSettings:
    """A trained model that is written for use elsewhere.

    Args:
        trained: the model, its data, and how it computes.
        formats: the formats of the files, such as ``onnx``.
        names_data: whether the user has named the data, which are then not replaced by noise.
    """

    trained: TrainedSettings
    formats: list[str]
    names_data: bool

    @classmethod
    def from_config(cls, config: Config, names_data: bool) -> ExportSettings:
        """Return what a checkpoint's configuration, with that of ``conf/export.yaml``, says."""
        return cls(TrainedSettings.from_config(config), config["formats"], names_data)


@dataclass(frozen=True)
class DemoSettings:
    """A trained model that a page runs.

    Args:
        trained: the model, its data, and how it computes.
        out: the page's file; None: in the folder of the run.
        lang: the language of the page.
        names_data: whether the user has named the data, which are then not replaced by noise.
    """

    trained: TrainedSettings
    out: str | None
    lang: str
    names_data: bool

    @classmethod
    def from_config(cls, config: Config, names_data: bool) -> DemoSettings:
        """Return what a checkpoint's configuration, with that of ``conf/demo.yaml``, says."""
        return cls(TrainedSettings.from_config(config), config["out"], config["lang"], names_data)


@dataclass(frozen=True)
class ReportSettings:
    """What the report says about a run's configuration.

    Args:
        data: the data set, and how it is read.
        model: class and arguments of the network.
        augment: class and arguments of the augmentation.
        epochs: the epochs of training.
        early_stopping: epochs without improvement after which training stops.
        monitor: the score that chooses the best epoch.
        precision: number format of the forward pass.
        channels_last: whether images lie in memory as (N, H, W, C).
        threads: the number of CPU threads.
        compile: whether torch.compile makes one piece of code of the network.
        eval_batch_size: images of a batch that is evaluated.
        verbose: how much is printed.
        values: every key with its value.
    """

    data: DataSettings
    model: Node
    augment: Node
    epochs: int
    early_stopping: int | None
    monitor: str
    precision: str
    channels_last: bool | str
    threads: int | str
    compile: bool
    eval_batch_size: int
    verbose: int
    values: Mapping[str, Any]

    @classmethod
    def from_config(cls, config: Config) -> ReportSettings:
        """Return what a run's configuration says."""
        names = (field.name for field in fields(cls) if field.name not in ("data", "values"))
        known = {name: config[name] for name in names}
        return cls(data=DataSettings.from_config(config), values=dict(leaves(config)), **known)


@dataclass(frozen=True)
class SplitSettings:
    """What chooses the images that train and those that validate.

    Args:
        val_fraction: share of the training set that validates.
        split_seed: another seed gives another choice.
        limit: training images that are used; None: all.
    """

    val_fraction: float
    split_seed: int
    limit: int | None

    @classmethod
    def from_config(cls, config: Config) -> SplitSettings | None:
        """Return what a configuration says; None if a value is missing or not possible."""
        found: dict[str, Any] = {}
        try:
            for key in (key for key, rule in KEYS.items() if rule.splits):
                *groups, name = key.split(".")
                found[name] = reduce(getitem, groups, config)[name]
                check_value(key, found[name])
        except (LookupError, TypeError, UserError):
            return None
        return cls(**found)


@dataclass(frozen=True)
class PreviousRunSettings:
    """What a checkpoint's configuration says about its run. Whoever wrote it may have written anything.

    Args:
        model: class and arguments of the network; empty if there are none.
        data: the group ``data``; empty if there is none.
        source: the data set of that group; None if there is none.
        split: what chose the training images, checked; None if a part of it is missing or not possible.
    """

    model: Node
    data: Mapping[str, Any]
    source: Node | None
    split: SplitSettings | None

    @classmethod
    def from_config(cls, config: Config) -> PreviousRunSettings:
        """Return what a configuration says, as far as it says it."""
        model, data = (config.get(name) for name in ("model", "data"))
        data = data if isinstance(data, Mapping) else {}
        source = data.get("source")
        return cls(
            model if isinstance(model, Mapping) else {},
            data,
            source if isinstance(source, Mapping) and "_target_" in source else None,
            SplitSettings.from_config(config),
        )

    def same(self, names: Iterable[str], data: DataSettings) -> bool:
        """Return whether some keys of the group ``data`` have the values of other data."""
        return all(self.data.get(name) == getattr(data, name) for name in names)
