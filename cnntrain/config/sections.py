"""What one part of a run needs to know of the configuration, as typed values. Imports no torch.

Everything below ``cnntrain.run`` takes these, or plainer arguments, and never the whole configuration.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from cnntrain.annotations.auto import asked_of, has_validation_part
from cnntrain.config.compose import conf_folder, read_yaml
from cnntrain.config.keys import CLASS_GROUPS, GROUPS, KEYS, PASSED_ON, affected_by, leaves
from cnntrain.config.mistakes.suggestions import check_value
from cnntrain.config.schema import IMAGES, TEXT, Config, height_and_width, input_shape, inputs_of
from cnntrain.errors import UserError
from cnntrain.image_folder.layout import FOLDER
from cnntrain.sequences.tokens import Tokens

Node = Mapping[str, Any]  # a class by ``_target_``, and its arguments
NO_CHANGES = ("_target_", "min_visible")  # what an augmentation is told, and which changes no image by itself
Shape = tuple[int, int, int]  # channels, height and width of an image


def strengths(augment: Node) -> dict[str, Any]:
    """Return the arguments of an augmentation that make it change images."""
    return {name: value for name, value in augment.items() if name not in NO_CHANGES and value}


@dataclass(frozen=True)
class DataSettings:
    """The data set, and how it is read: the group ``data`` of the configuration, whose keys these are.

    Args:
        limit: training images that are used; None: all.
        workers: processes that decode.
        targets: what the data give for each image: ``classes`` or ``masks``.
        inputs: what the network gets: ``images``, ``series`` or ``text``. Of a sequence, ``channels`` and
            ``image_size`` follow from steps and features.
        steps: of the longest sequence; longer ones are cut.
        features: of a step.
        tokens: what of a text is numbered: ``bytes``, ``characters`` or ``words``.
        vocabulary: the characters or words.
        passed_on: what the class that reads the data is told, by the names of its arguments.
    """

    source: Node
    channels: int
    image_size: int | list[int]
    num_classes: int
    mean: list[float]
    std: list[float]
    val_fraction: float
    split_seed: int
    cache: str
    cache_gb: float
    resize: str
    resize_size: int | list[int] | None
    max_megapixels: float
    value_range: Any = None
    root: str | None = None
    on_bad_image: str | None = None
    limit: int | None = None
    workers: int = 0
    targets: str = "classes"
    inputs: str = IMAGES
    steps: int = 0
    features: int = 1
    tokens: str = "bytes"
    vocabulary: str = ""
    passed_on: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> DataSettings:
        """Return what a configuration says of the data."""
        group = config["data"]
        if inputs_of(group) != IMAGES:
            channels, *size = input_shape(group)
            as_image = {"channels": channels, "image_size": size}
            group = {"mean": [0.0], "std": [1.0], **group, **as_image, "resize_size": None}
        own = {row.name: group[row.name] for row in fields(cls) if row.name in group}
        passed_on = {name: group[name] for name in PASSED_ON if name in group}
        return cls(**own, passed_on=passed_on, limit=config["limit"], workers=config["workers"])

    @property
    def shape(self) -> Shape:
        """Channels, height and width of an image."""
        return (self.channels, *self.size)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image."""
        return height_and_width(self.image_size)

    @property
    def read_size(self) -> tuple[int, int]:
        """Height and width to which an image is brought before a part of it is cut out."""
        return height_and_width(self.resize_size or self.image_size)

    @property
    def has_validation(self) -> bool:
        """Whether some images validate: those that are held out, or a folder's own validation part.

        Raises:
            UserError: the folder can't be used.
        """
        if self.val_fraction > 0 or self.source["_target_"] != FOLDER:
            return bool(self.val_fraction > 0)
        return has_validation_part(str(self.root), asked_of({**self.passed_on, "targets": self.targets}))


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
        vocabulary: the number of different tokens of texts.
    """

    node: Node
    shape: Shape
    num_classes: int
    task: Node
    targets: str = "classes"
    inputs: str = IMAGES
    vocabulary: int = 0

    @classmethod
    def of(cls, config: Config) -> ModelSettings:
        """Return what a configuration says of the network."""
        data, inputs = config["data"], inputs_of(config["data"])
        words = Tokens(data["tokens"], data["vocabulary"]).count if inputs == TEXT else 0
        known = config["task"], data["targets"], inputs, words
        return cls(config["model"], input_shape(data), data["num_classes"], *known)


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
    def of(cls, config: Config) -> CriterionSettings:
        """Return what a configuration says of the loss."""
        mixes = bool(config["augment"].get("mixup") or config["augment"].get("cutmix"))
        return cls(config["criterion"], mixes)


@dataclass(frozen=True)
class EngineSettings:
    """What is left to autotune, and what its choice depends on.

    Args:
        precision: ``fp32``, ``bf16``, ``fp16`` or ``auto``.
        channels_last: whether images lie in memory as (N, H, W, C), or ``auto``.
        threads: of the CPU, or ``auto``.
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
    def of(cls, config: Config) -> EngineSettings:
        """Return what a configuration says of the engine."""
        names = (field.name for field in fields(cls) if field.name != "model")
        return cls(model=ModelSettings.of(config), **{name: config[name] for name in names})


@dataclass(frozen=True)
class OptimizerSettings:
    """The optimizer and the learning-rate schedule.

    Args:
        optim: class and arguments of the optimizer.
        schedule: class and arguments of the schedule.
        epochs: for which the schedule is planned.
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
    def of(cls, config: Config) -> OptimizerSettings:
        """Return what a configuration says of the optimizer and the schedule."""
        names = ("optim", "schedule", "epochs", "monitor", "ema")
        return cls(
            lr_scale=config["lr_scale"] or {},
            freezes=bool(config["freeze"]),
            model=ModelSettings.of(config),
            data=DataSettings.of(config),
            **{name: config[name] for name in names},
        )


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
    def of(cls, config: Config) -> DoctorSettings:
        """Return what a configuration says that a run does."""
        names = ("model", "augment", "criterion", "init_from", "early_stopping", "monitor", "balance_classes")
        known = {name: config[name] for name in (*names, "grad_clip")}
        return cls(data=DataSettings.of(config), lr=config["optim"].get("lr"), **known)

    @property
    def augments(self) -> bool:
        """Whether the run changes its training images."""
        return bool(strengths(self.augment))


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
    def of(cls, config: Config) -> TrainedSettings:
        """Return what a checkpoint's configuration says of its model."""
        return cls(
            DataSettings.of(config),
            ModelSettings.of(config),
            CriterionSettings.of(config),
            EngineSettings.of(config),
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
    def of(cls, config: Config) -> EvalSettings:
        """Return what a checkpoint's configuration, with that of ``conf/eval.yaml``, says."""
        names = ("split", "tta", "eval_batch_size")
        return cls(TrainedSettings.of(config), **{name: config[name] for name in names})


@dataclass(frozen=True)
class PredictSettings:
    """What is shown and written of image files.

    Args:
        top: classes that are listed for each image.
        invert: whether dark on white becomes white on dark first.
        tta: the views of each image that outputs are averaged over; empty: none but the image itself.
        tile: side of the tiles that files are cut into at their own resolution; None: files are scaled.
        out: the folder of masks and overlays; None: one is named.
        eval_batch_size: images that the model sees at a time.
        verbose: how much is printed.
    """

    top: int
    invert: bool
    tta: list[str]
    tile: int | None
    out: str | None
    eval_batch_size: int
    verbose: int

    @classmethod
    def of(cls, config: Config) -> PredictSettings:
        """Return what a checkpoint's configuration, with that of ``conf/predict.yaml``, says."""
        return cls(**{field.name: config[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class ExportSettings:
    """A trained model that is written for use elsewhere.

    Args:
        trained: the model, its data, and how it computes.
        formats: of the files, such as ``onnx``.
    """

    trained: TrainedSettings
    formats: list[str]

    @classmethod
    def of(cls, config: Config) -> ExportSettings:
        """Return what a checkpoint's configuration, with that of ``conf/export.yaml``, says."""
        return cls(TrainedSettings.of(config), config["formats"])


@dataclass(frozen=True)
class EndSettings:
    """When training ends.

    Args:
        epochs: after so many at the latest.
        early_stopping: after so many without improvement; None: not before.
    """

    epochs: int
    early_stopping: int | None

    @classmethod
    def of(cls, config: Config) -> EndSettings:
        """Return what a run's configuration says of its end."""
        return cls(config["epochs"], config["early_stopping"])


@dataclass(frozen=True)
class EarlierSettings:
    """What a checkpoint's configuration says of its run. Whoever wrote it may have written anything.

    Args:
        model: class and arguments of the network; empty if there are none.
        data: the group ``data``; empty if there is none.
        source: the data set of that group; None if there is none.
        split: the ``val_fraction``, ``split_seed`` and ``limit`` that chose the training images, checked;
            None if one of them is missing or not possible.
    """

    model: Node
    data: Mapping[str, Any]
    source: Node | None
    split: tuple[float, int, int | None] | None

    @classmethod
    def of(cls, config: Config) -> EarlierSettings:
        """Return what a configuration says, as far as it says it."""
        model, data = (config.get(name) for name in ("model", "data"))
        data = data if isinstance(data, Mapping) else {}
        source = data.get("source")
        return cls(
            model if isinstance(model, Mapping) else {},
            data,
            source if isinstance(source, Mapping) and "_target_" in source else None,
            split_in(config, data),
        )

    def same(self, names: Iterable[str], data: DataSettings) -> bool:
        """Return whether some keys of the group ``data`` have the values of other data."""
        return all(self.data.get(name) == getattr(data, name) for name in names)


def split_in(config: Config, data: Mapping[str, Any]) -> tuple[float, int, int | None] | None:
    """Return the ``val_fraction``, ``split_seed`` and ``limit`` of a configuration; None if one is wrong."""
    try:
        split = data["val_fraction"], data["split_seed"], config["limit"]
        for key, value in zip(("data.val_fraction", "data.split_seed", "limit"), split, strict=True):
            check_value(key, value)
    except (LookupError, TypeError, UserError):
        return None
    return split


@dataclass(frozen=True)
class ReportSettings:
    """What the report says of a run's configuration.

    Args:
        data: the data set, and how it is read.
        model: class and arguments of the network.
        augment: class and arguments of the augmentation.
        epochs: of training.
        early_stopping: epochs without improvement after which training stops.
        monitor: the score that chooses the best epoch.
        precision: number format of the forward pass.
        channels_last: whether images lie in memory as (N, H, W, C).
        threads: of the CPU.
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
    def of(cls, config: Config) -> ReportSettings:
        """Return what a run's configuration says."""
        names = (field.name for field in fields(cls) if field.name not in ("data", "values"))
        known = {name: config[name] for name in names}
        return cls(data=DataSettings.of(config), values=dict(leaves(config)), **known)


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
    def of(cls, config: Config) -> HeaderSettings:
        """Return what a configuration says of a run."""
        names = ("model", "augment", "optim", "schedule", "ema", "batch_size")
        known = {name: config[name] for name in names}
        return cls(data=DataSettings.of(config), lr_scale=config["lr_scale"] or {}, **known)


@dataclass(frozen=True)
class ExplainSettings:
    """What the explanations tell of a run.

    Args:
        data: the data set, and how it is read.
        model: the network.
        augment: class and arguments of the augmentation.
        optim: class and arguments of the optimizer.
        epochs: passes over the training images.
        eval_batch_size: images of a batch that is only evaluated.
        accumulate: parts in which a batch goes through the network.
        grad_clip: maximum L2 norm of the gradient; None without one.
        seed: of weights and order.
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
    def of(cls, config: Config) -> ExplainSettings:
        """Return what a configuration says that is explained."""
        names = ("augment", "optim", "epochs", "eval_batch_size", "accumulate", "grad_clip", "seed")
        known = {name: config[name] for name in names}
        return cls(data=DataSettings.of(config), model=ModelSettings.of(config), **known)


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
    def of(cls, config: Config) -> SummarySettings:
        """Return what a configuration says of the network."""
        return cls(ModelSettings.of(config), config["freeze"], config["unfreeze_epoch"])


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
    def of(cls, config: Config) -> ScriptSettings:
        """Return what a configuration says of a run."""
        defaults = read_yaml(conf_folder() / "train.yaml")
        names = ("optim", "schedule", "augment", "device", "deterministic", "ema")
        return cls(
            data=DataSettings.of(config),
            criterion=CriterionSettings.of(config),
            engine=EngineSettings.of(config),
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
        seed: of weights and order.
    """

    data: DataSettings
    engine: EngineSettings
    optimization: OptimizerSettings
    device: str
    seed: int

    @classmethod
    def of(cls, config: Config) -> BenchSettings:
        """Return what a configuration says that changes the speed."""
        return cls(
            DataSettings.of(config),
            EngineSettings.of(config),
            OptimizerSettings.of(config),
            config["device"],
            config["seed"],
        )
