"""What a run trains, and what it says about itself on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from cnntrain.config.inputs import IMAGES, TEXT, input_shape, inputs_of
from cnntrain.config.schema import Config
from cnntrain.config.sections.data import DataSettings, Node, Shape, strengths
from cnntrain.sequences.tokens import Tokens


@dataclass(frozen=True)
class ModelSettings:
    """The network, and the images and classes that it is for.

    Args:
        node: its class and arguments.
        shape: channels, height and width of an image.
        num_classes: number of classes.
        task: class and arguments of what it is to learn.
        targets: what the data give for each image, as in ``data.targets``.
        inputs: what it gets, as in ``data.inputs``.
        tokens: what of a text is numbered, as in ``data.tokens``.
        vocabulary: the characters or words, or the tokenizer, as in ``data.vocabulary``.
    """

    node: Node
    shape: Shape
    num_classes: int
    task: Node
    targets: str = "classes"
    inputs: str = IMAGES
    tokens: str = ""
    vocabulary: str = ""

    @classmethod
    def from_config(cls, config: Config) -> ModelSettings:
        """Return what a configuration says about the network."""
        data = config["data"]
        known = config["task"], data["targets"], inputs_of(data)
        words = data.get("tokens", ""), data.get("vocabulary", "")
        return cls(config["model"], input_shape(data), data["num_classes"], *known, *words)

    @property
    def token_count(self) -> int:
        """The number of different tokens of texts; 0 of other inputs."""
        return Tokens(self.tokens, self.vocabulary).count if self.inputs == TEXT else 0


@dataclass(frozen=True)
class CriterionSettings:
    """The loss.

    Args:
        node: its class and arguments.
        mixes: whether labels are shares of the classes, as mixup makes them.
    """

    node: Node
    mixes: bool

    @classmethod
    def from_config(cls, config: Config) -> CriterionSettings:
        """Return what a configuration says about the loss."""
        mixes = bool(config["augment"].get("mixup") or config["augment"].get("cutmix"))
        return cls(config["criterion"], mixes)


@dataclass(frozen=True)
class EngineSettings:
    """What is left to autotune, and what its choice depends on.

    Args:
        precision: ``fp32``, ``bf16``, ``fp16`` or ``auto``.
        channels_last: whether images lie in memory as (N, H, W, C), or ``auto``.
        threads: the number of CPU threads, or ``auto``.
        model: the network that is timed.
        batch_size: images of a batch.
        accumulate: parts in which a batch goes through the network.
        verbose: how much is printed.
    """

    precision: str
    channels_last: bool | str
    threads: int | str
    model: ModelSettings
    batch_size: int
    accumulate: int
    verbose: int

    @classmethod
    def from_config(cls, config: Config) -> EngineSettings:
        """Return what a configuration says about the engine."""
        names = (field.name for field in fields(cls) if field.name != "model")
        return cls(model=ModelSettings.from_config(config), **{name: config[name] for name in names})


@dataclass(frozen=True)
class OptimizerSettings:
    """The optimizer and the learning-rate schedule.

    Args:
        optim: class and arguments of the optimizer.
        schedule: class and arguments of the schedule.
        epochs: the epochs for which the schedule is planned.
        monitor: the score that a schedule looks at, if it looks at one.
        lr_scale: factors of the learning rate, by patterns of names.
        freezes: whether parameters are frozen.
        ema: decay of the moving average of the weights; None without one.
        model: the network.
        data: the data set, which may have no validation images.
    """

    optim: Node
    schedule: Node
    epochs: int
    monitor: str
    lr_scale: Mapping[str, float]
    freezes: bool
    ema: float | None
    model: ModelSettings
    data: DataSettings

    @classmethod
    def from_config(cls, config: Config) -> OptimizerSettings:
        """Return what a configuration says about the optimizer and the schedule."""
        names = ("optim", "schedule", "epochs", "monitor", "ema")
        return cls(
            lr_scale=config["lr_scale"] or {},
            freezes=bool(config["freeze"]),
            model=ModelSettings.from_config(config),
            data=DataSettings.from_config(config),
            **{name: config[name] for name in names},
        )


@dataclass(frozen=True)
class EndSettings:
    """When training ends.

    Args:
        epochs: the number of epochs after which training ends at the latest.
        early_stopping: the epochs without improvement after which it ends; None: not before.
    """

    epochs: int
    early_stopping: int | None

    @classmethod
    def from_config(cls, config: Config) -> EndSettings:
        """Return what a run's configuration says about its end."""
        return cls(config["epochs"], config["early_stopping"])


@dataclass(frozen=True)
class DoctorSettings:
    """What a run does, so that the training doctor suggests what it does not do yet.

    Args:
        data: the data set, and how it is read.
        model: class and arguments of the network.
        augment: class and arguments of the augmentation.
        criterion: class and arguments of the loss.
        lr: the learning rate; None if the optimizer has none of that name.
        init_from: the run whose weights it began with, if it began with any.
        early_stopping: epochs without improvement after which it stops.
        monitor: the score that chooses the best epoch.
        balance_classes: whether all classes count the same.
        grad_clip: maximum gradient norm; None: gradients are not clipped.
    """

    data: DataSettings
    model: Node
    augment: Node
    criterion: Node
    lr: float | None
    init_from: str | None
    early_stopping: int | None
    monitor: str
    balance_classes: bool
    grad_clip: float | None

    @classmethod
    def from_config(cls, config: Config) -> DoctorSettings:
        """Return what a configuration says that a run does."""
        names = ("model", "augment", "criterion", "init_from", "early_stopping", "monitor", "balance_classes")
        known = {name: config[name] for name in (*names, "grad_clip")}
        return cls(data=DataSettings.from_config(config), lr=config["optim"].get("lr"), **known)

    @property
    def augments(self) -> bool:
        """Whether the run changes its training images."""
        return bool(strengths(self.augment))


@dataclass(frozen=True)
class HeaderSettings:
    """What a run says that it is about to do.

    Args:
        data: the data set, and how it is read.
        model: class and arguments of the network.
        augment: class and arguments of the augmentation.
        optim: class and arguments of the optimizer.
        schedule: class and arguments of the learning-rate schedule.
        lr_scale: factors of the learning rate, by patterns of names.
        ema: decay of the moving average of the weights; None without one.
        batch_size: images of a batch.
    """

    data: DataSettings
    model: Node
    augment: Node
    optim: Node
    schedule: Node
    lr_scale: Mapping[str, float]
    ema: float | None
    batch_size: int

    @classmethod
    def from_config(cls, config: Config) -> HeaderSettings:
        """Return what a configuration says about a run."""
        names = ("model", "augment", "optim", "schedule", "ema", "batch_size")
        known = {name: config[name] for name in names}
        return cls(data=DataSettings.from_config(config), lr_scale=config["lr_scale"] or {}, **known)
