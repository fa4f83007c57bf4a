"""What the commands need that look at a run before it trains: explain, summary, script, bench."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnntrain.config.conf_files import conf_folder, read_yaml
from cnntrain.config.keys import CLASS_GROUPS, GROUPS, KEYS, affected_by
from cnntrain.config.schema import Config
from cnntrain.config.sections.data import DataSettings, Node
from cnntrain.config.sections.training import (
    CriterionSettings,
    EngineSettings,
    ModelSettings,
    OptimizerSettings,
)


@dataclass(frozen=True)
class ExplainSettings:
    """What the explanations use of a run's configuration.

    Args:
        data: the data set, and how it is read.
        model: the network.
        augment: class and arguments of the augmentation.
        optim: class and arguments of the optimizer.
        epochs: passes over the training images.
        eval_batch_size: images of a batch that is only evaluated.
        accumulate: parts in which a batch goes through the network.
        grad_clip: maximum L2 norm of the gradient; None without one.
        seed: the seed of weights and order.
    """

    data: DataSettings
    model: ModelSettings
    augment: Node
    optim: Node
    epochs: int
    eval_batch_size: int
    accumulate: int
    grad_clip: float | None
    seed: int

    @classmethod
    def from_config(cls, config: Config) -> ExplainSettings:
        """Return what a configuration says that is explained."""
        names = ("augment", "optim", "epochs", "eval_batch_size", "accumulate", "grad_clip", "seed")
        known = {name: config[name] for name in names}
        return cls(data=DataSettings.from_config(config), model=ModelSettings.from_config(config), **known)


@dataclass(frozen=True)
class SummarySettings:
    """A network whose layers are listed.

    Args:
        model: the network.
        freeze: patterns of the names of parameters that are frozen.
        unfreeze_epoch: the epoch that trains them again; None: none does.
    """

    model: ModelSettings
    freeze: str | list[str] | None
    unfreeze_epoch: int | None

    @classmethod
    def from_config(cls, config: Config) -> SummarySettings:
        """Return what a configuration says about the network."""
        return cls(ModelSettings.from_config(config), config["freeze"], config["unfreeze_epoch"])


@dataclass(frozen=True)
class ScriptSettings:
    """A run that is written as one plain PyTorch file.

    Args:
        data: the data set, and how it is read.
        criterion: the loss.
        engine: the network, and how it computes.
        optim: class and arguments of the optimizer.
        schedule: class and arguments of the learning-rate schedule.
        augment: class and arguments of the augmentation.
        device: where the run computes, or ``auto``.
        deterministic: whether a GPU repeats itself to the bit.
        ema: decay of the moving average of the weights; None without one.
        classes: the class and arguments of each group that changes the weights.
        written: the keys that the script writes down, with their values.
        changed: the keys without a group that are not at their defaults, with their values.
    """

    data: DataSettings
    criterion: CriterionSettings
    engine: EngineSettings
    optim: Node
    schedule: Node
    augment: Node
    device: str
    deterministic: bool
    ema: float | None
    classes: Mapping[str, Node]
    written: Mapping[str, Any]
    changed: Mapping[str, Any]

    @classmethod
    def from_config(cls, config: Config) -> ScriptSettings:
        """Return what a configuration says about a run."""
        defaults = read_yaml(conf_folder() / "train.yaml")
        names = ("optim", "schedule", "augment", "device", "deterministic", "ema")
        return cls(
            data=DataSettings.from_config(config),
            criterion=CriterionSettings.from_config(config),
            engine=EngineSettings.from_config(config),
            classes={name: config[name] for name in CLASS_GROUPS if affected_by(name) == "weights"},
            written={key: config[key] for key, rule in KEYS.items() if rule.in_script},
            changed={k: v for k, v in config.items() if k not in GROUPS and v != defaults.get(k)},
            **{name: config[name] for name in names},
        )

    @property
    def model(self) -> ModelSettings:
        """The network."""
        return self.engine.model


@dataclass(frozen=True)
class BenchSettings:
    """A run whose speed is measured.

    Args:
        data: the data set, and how it is read.
        engine: the network, and how it computes.
        optimization: the optimizer.
        device: where the run computes, or ``auto``.
        compile: whether torch.compile makes one piece of code of the network.
        seed: the seed of weights and order.
    """

    data: DataSettings
    engine: EngineSettings
    optimization: OptimizerSettings
    device: str
    compile: bool
    seed: int

    @classmethod
    def from_config(cls, config: Config) -> BenchSettings:
        """Return what a configuration says that changes the speed."""
        return cls(
            DataSettings.from_config(config),
            EngineSettings.from_config(config),
            OptimizerSettings.from_config(config),
            config["device"],
            config["compile"],
            config["seed"],
        )
