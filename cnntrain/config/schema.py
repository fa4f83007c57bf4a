"""What each key of the configuration means: its type, its range, one line of explanation.

The values are in ``conf/``; nothing here repeats one. Imports no torch, so wrong input is refused at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Key:
    """One key, whose ``kind`` is one of ``WORDS``."""

    kind: str
    doc: str
    low: float | None = None
    high: float | None = None
    above: bool = False  # the value must lie above ``low``, not on it
    below: bool = False  # the value must lie below ``high``, not on it
    choices: tuple[str, ...] = ()
    optional: bool = False  # null is allowed
    auto: bool = False  # so is the word auto
    items: Key | None = None  # what each item of a list must be
    length: int | None = None  # of a list

    def describe(self) -> str:
        """Return type and range in words: ``a whole number of at least 1``."""
        if self.choices:
            text = " or ".join([", ".join(self.choices[:-1]), self.choices[-1]])
        else:
            text = WORDS[self.kind]
        if self.items is not None:
            size = "" if self.length is None else f" of {self.length}"
            text += f"{size}, [A,B,...], each {self.items.describe()}"
        low, high = number(self.low), number(self.high)
        if self.low is not None and self.high is not None:
            start, end = "above" if self.above else "from", "to below" if self.below else "to"
            text += f" {start} {low} {end} {high}"
        elif self.low is not None:
            text += f" {'above' if self.above else 'of at least'} {low}"
        return text + (", or auto" if self.auto else "") + (", or null" if self.optional else "")

    def short(self) -> str:
        """Return type and range as one word: ``INT>=1``, ``FLOAT 0..1``, ``a|b|c``, ``BOOL|auto``."""
        text = "|".join(self.choices) if self.choices else SHORT[self.kind]
        several = " or LIST" if self.kind == "counts" else ""
        if self.items is not None:
            text += f" of {'' if self.length is None else f'{self.length} '}{self.items.short()}"
        low, high = number(self.low), number(self.high)
        if self.low is not None and (self.high is None or self.high >= 2**31):
            text += f"{'>' if self.above else '>='}{low}"
        elif self.low is not None:
            text += f" {low}{'<' if self.above else ''}..{'<' if self.below else ''}{high}"
        return text + several + ("|auto" if self.auto else "") + ("|null" if self.optional else "")

    def accepts(self, value: Any) -> bool:
        """Return whether a value has the type and lies in the range; one item may stand for a list of it."""
        if value is None:
            return self.optional
        if value == "auto" and self.auto:
            return True
        if self.choices:
            return value in self.choices
        if self.takes_one(value):
            return self.items is not None and self.items.accepts(value)
        if self.kind == "counts" and isinstance(value, list | tuple):
            return bool(value) and all(replace(self, kind="int").accepts(item) for item in value)
        if not PREDICATES[self.kind](value):
            return False
        if self.items is not None:
            fits = self.length is None or len(value) == self.length
            return fits and all(self.items.accepts(item) for item in value)
        if self.low is not None and (value <= self.low if self.above else value < self.low):
            return False
        return self.high is None or (value < self.high if self.below else value <= self.high)

    def takes_one(self, value: Any) -> bool:
        """Return whether a value is a single one where a list of any length is meant."""
        is_list = self.kind == "list" and self.items is not None and self.length is None
        return is_list and not isinstance(value, list | tuple | Mapping) and value not in (None, "auto")


def number(value: float | None) -> str:
    """Return a bound as people write it: ``0.9``, ``1``, ``9223372036854775807``."""
    return str(value) if isinstance(value, int) else f"{value:g}" if value is not None else ""


WORDS = {
    "int": "a whole number",
    "counts": "a whole number, or a list [A,B,...] with one for each block,",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "names": "a name, or a list [A,B,...] of them; * and ? stand for other letters",
    "factors": "a number above 0 for each name, {NAME:N,...}",
    "list": "a list",
    "class": "a class and its arguments",
    "any": "any value",
}
SHORT = {
    "int": "INT",
    "counts": "INT",
    "float": "FLOAT",
    "bool": "BOOL",
    "str": "TEXT",
    "names": "NAME or LIST",
    "factors": "{NAME:FLOAT,...}",
    "list": "LIST",
    "class": "CLASS",
    "any": "ANY",
}
PREDICATES: dict[str, Callable[[Any], bool]] = {
    "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "counts": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "float": lambda v: isinstance(v, int | float) and not isinstance(v, bool) and is_finite(v),
    "bool": lambda v: isinstance(v, bool),
    "str": lambda v: isinstance(v, str),
    "names": lambda v: all(isinstance(n, str) and n for n in (v if isinstance(v, list) and v else [v])),
    "factors": lambda v: isinstance(v, Mapping) and bool(v) and all(map(is_factor, v.keys(), v.values())),
    "list": lambda v: isinstance(v, list | tuple),
    "class": lambda v: isinstance(v, Mapping),
    "any": lambda v: True,
}


def is_finite(value: float) -> bool:
    """Return whether a number is finite as a float, which a whole number of 400 digits is not."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_factor(name: Any, value: Any) -> bool:
    """Return whether something is a name with a number above 0."""
    return isinstance(name, str) and name != "" and PREDICATES["float"](value) and value > 0


# Keys whose values are file names, which Hydra's grammar must not read.
PATH_KEYS = ("out", "name", "data.root", "init_from", "json", "run")
WHOLE = ("int", "counts")  # kinds whose single values are whole numbers

SEED_LIMIT = 2**63 - 1
MOST_THREADS = 1024  # more than any machine can use; tens of thousands end the process without a word
ACTIVATIONS = (
    "ReLU",
    "LeakyReLU",
    "ELU",
    "SELU",
    "GELU",
    "SiLU",
    "Mish",
    "Hardswish",
    "Tanh",
    "Sigmoid",
    "Softplus",
)
FORMATS = ("fp32", "bf16", "fp16", "auto")
COUNT = Key("int", "", low=1)
SHARE = Key("float", "", low=0, high=1, below=True)

KEYS: dict[str, Key] = {
    # the run
    "epochs": Key("int", "passes over the training set", low=1, high=100_000),
    "batch_size": Key("int", "images per optimizer step", low=1),
    "eval_batch_size": Key("int", "images per batch when evaluating; affects speed and memory only", low=1),
    "limit": Key("int", "train on the first N shuffled images", low=1, optional=True),
    "seed": Key(
        "int",
        "seed of everything random",
        low=0,
        high=SEED_LIMIT,
    ),
    "init_from": Key(
        "str",
        "start from the weights of a run, a checkpoint file or `last`; a head for other classes is replaced",
        optional=True,
    ),
    "freeze": Key(
        "names",
        "parameters or modules to freeze, such as layer1; backbone: all but the last layer (head)",
        optional=True,
    ),
    "unfreeze_epoch": Key("int", "epoch from which frozen parameters are trained too", low=2, optional=True),
    "lr_scale": Key(
        "factors",
        "learning rate multipliers by parameter or module, such as {backbone:0.1}; the last match counts",
        optional=True,
    ),
    "criterion._target_": Key("str", "loss class"),
    "criterion.label_smoothing": Key("float", "label smoothing", low=0, high=1),
    "device": Key("str", "auto, cpu, cuda, cuda:N or mps"),
    "precision": Key("str", "numeric precision of the forward pass; auto: the fastest here", choices=FORMATS),
    "channels_last": Key("bool", "NHWC memory format; auto: if it is faster", auto=True),
    "threads": Key("int", "CPU threads; auto: the fastest number", low=1, high=MOST_THREADS, auto=True),
    "compile": Key("bool", "compile the model with torch.compile; takes a minute at the start"),
    "workers": Key("int", "data loading processes; 0: the main process", low=0, high=MOST_THREADS),
    "balance_classes": Key("bool", "weight the loss by inverse class frequency"),
    "doctor": Key("bool", "report problems found in the training, with evidence and a suggested fix"),
    "deterministic": Key("bool", "use deterministic algorithms only, on GPUs too"),
    "grad_clip": Key("float", "gradient clipping: maximum L2 norm", low=0, above=True, optional=True),
    "accumulate": Key(
        "int",
        "gradient accumulation steps (micro-batches per batch); more if a batch does not fit in memory",
        low=1,
    ),
    "ema": Key(
        "float",
        "decay of the exponential moving average of the weights, often 0.999; the average is kept",
        low=0,
        high=1,
        below=True,
        optional=True,
    ),
    "early_stopping": Key("int", "epochs without improvement until training stops", low=1, optional=True),
    "monitor": Key("str", "metric that chooses the best epoch", choices=("val_accuracy", "val_loss")),
    "save_every_steps": Key("int", "extra checkpoint every N steps", low=1, optional=True),
    "save_every_minutes": Key("float", "extra checkpoint every N minutes", low=0, above=True, optional=True),
    "report": Key("bool", "write report.html at the end of a run; in a sweep, for the best job"),
    "out": Key("str", "run folder; null: new, in outputs/", optional=True),
    "name": Key("str", "name of the run folder; null: model and optimizer", optional=True),
    "verbose": Key(
        "int",
        "warnings and errors only (0 or -q), normal (1), or configuration and classes too (2)",
        low=0,
        high=2,
    ),
    "seeds": Key("int", "repeat each run with seed=0 to N-1, as a sweep", low=2, optional=True),
    "on_error": Key("str", "what a sweep does when a job fails", choices=("continue", "stop")),
    # eval
    "split": Key("str", "images to evaluate", choices=("train", "val", "test")),
    "tta": Key(
        "list",
        "test-time augmentation: average over mirrored or shifted views of each image",
        items=Key("str", "", choices=("flip", "shift")),
    ),
    "trust": Key("list", "packages of your own that a checkpoint may name", items=Key("str", "")),
    # explain
    "run": Key("str", "run whose model is explained; null: one trained now", optional=True),
    # predict and export
    "top": Key("int", "classes to list per image, the most probable first", low=1),
    "invert": Key("bool", "invert dark-on-white images to white-on-dark first"),
    "formats": Key("list", "formats to write", items=Key("str", "", choices=("onnx", "pt2", "safetensors"))),
    # bench
    "repeats": Key("int", "rounds per method; the median is reported", low=1),
    "seconds": Key("float", "seconds per round", low=0, above=True),
    "json": Key("str", "file for the results; null: a new one under outputs/bench/", optional=True),
    # data
    "data.source": Key("class", "data set class, such as data.source._target_=my_pkg.MyDataset"),
    "data.root": Key("str", "folder of the data, and of downloads"),
    "data.channels": Key("int", "1: grey, 3: colour; images are converted", low=1, high=4, auto=True),
    "data.image_size": Key(
        "int", "height and width in pixels; images are resized", low=1, high=16384, auto=True
    ),
    "data.num_classes": Key("int", "number of classes", low=2, auto=True),
    "data.mean": Key(
        "list", "mean per channel, or one for all, of pixels from 0 to 1", items=Key("float", ""), auto=True
    ),
    "data.std": Key(
        "list",
        "standard deviation per channel, or one for all",
        items=Key("float", "", low=0, above=True),
        auto=True,
    ),
    "data.on_bad_image": Key("str", "what to do at an unreadable file", choices=("stop", "skip")),
    "data.val_fraction": Key("float", "share of the training set held out for validation", low=0, high=0.9),
    "data.split_seed": Key("int", "seed of the validation split", low=0, high=SEED_LIMIT),
    "data.resize": Key(
        "str",
        "how images become square: center crop, black padding, or distortion",
        choices=("crop", "pad", "squash"),
    ),
    "data.resize_size": Key(
        "int",
        "resize to this first, often 256 for 224; then augment.crop or the center is taken; null: image_size",
        low=1,
        high=16384,
        optional=True,
    ),
    "data.max_megapixels": Key(
        "float",
        "largest image in megapixels; JPEG: 4 times as many, decoded at half size",
        low=0,
        high=1000,
        above=True,
    ),
    "data.value_range": Key(
        "list",
        "values of black and white in images of 16 or 32 bits; null: 0 and 65535, 16 bits only; "
        "auto: found in the training images",
        items=Key("float", ""),
        length=2,
        auto=True,
        optional=True,
    ),
    "data.cache": Key(
        "str",
        "keep decoded images in memory or on disk, or decode in each epoch (off); auto: the first that fits",
        choices=("auto", "ram", "disk", "off"),
    ),
    "data.cache_gb": Key(
        "float", "size limit of the cache folder in GB; the oldest data sets are removed", low=0
    ),
    # augment
    "augment.crop": Key(
        "float", "smallest area share of a random resized crop, often 0.08; 0: off", low=0, high=1
    ),
    "augment.flip": Key("float", "probability of a horizontal flip", low=0, high=1),
    "augment.rotate": Key("float", "maximum rotation in degrees", low=0, high=180),
    "augment.shift": Key("int", "maximum translation in pixels", low=0),
    "augment.trivialaugment": Key("float", "probability of TrivialAugment, usually 1", low=0, high=1),
    "augment.randaugment": Key("float", "RandAugment magnitude (two operations), often 9", low=0, high=30),
    "augment.jitter": Key(
        "float", "brightness, contrast and saturation jitter: factors 1 ± N", low=0, high=1
    ),
    "augment.hue": Key("float", "hue jitter, as a share of the colour circle", low=0, high=0.5),
    "augment.erase": Key("float", "probability of random erasing", low=0, high=1),
    "augment.mixup": Key("float", "mixup: alpha of the Beta distribution, often 0.2", low=0),
    "augment.cutmix": Key("float", "CutMix: alpha of the Beta distribution, often 1", low=0),
    # model
    "model.hidden": Key("list", "units per hidden layer", items=COUNT),
    "model.activation": Key("str", "activation between the layers", choices=ACTIVATIONS),
    "model.dropout": Key("float", "dropout probability of hidden units", low=0, high=1, below=True),
    "model.channels": Key("list", "filters per block", items=COUNT),
    "model.kernel_size": Key("counts", "kernel size in pixels; odd", low=1),
    "model.batch_norm": Key("bool", "batch normalisation before ReLU"),
    "model.pool": Key("str", "max or average pooling", choices=("max", "avg")),
    "model.pool_size": Key("counts", "pooling window size; 1: no pooling", low=1),
    "model.padding": Key("str", "same: zero padding, valid: none", choices=("same", "valid")),
    "model.head": Key("list", "hidden units of the MLP after the convolutions", items=COUNT),
    "model.name": Key("str", "network of torchvision or timm, such as resnet18, vgg11 or convnext_tiny"),
    "model.weights": Key("str", "pretrained weights, such as DEFAULT; null: random", optional=True),
    "model.small": Key("bool", "stem for images of up to 64 pixels; auto: if they are that small", auto=True),
    # optim
    "optim.lr": Key("float", "learning rate", low=0, above=True),
    "optim.momentum": Key("float", "momentum factor", low=0, high=1),
    "optim.dampening": Key("float", "dampening of the momentum", low=0, high=1),
    "optim.weight_decay": Key("float", "weight decay (L2)", low=0),
    "optim.nesterov": Key("bool", "Nesterov momentum"),
    "optim.betas": Key(
        "list", "decay rates of the moving averages of gradient and squared gradient", items=SHARE, length=2
    ),
    "optim.alpha": Key("float", "decay rate of the moving average of squared gradients", low=0, high=1),
    "optim.eps": Key("float", "term added to the denominator for stability", low=0),
    "optim.amsgrad": Key("bool", "AMSGrad variant"),
    "optim.centered": Key("bool", "normalise the gradient by an estimate of its variance"),
    "optim.maximize": Key("bool", "maximise instead of minimise"),
    "optim.foreach": Key("bool", "multi-tensor implementation; null: torch decides", optional=True),
    "optim.fused": Key("bool", "fused implementation; null: torch decides", optional=True),
    "optim.capturable": Key("bool", "safe to capture in a CUDA graph"),
    "optim.differentiable": Key("bool", "let gradients flow through the step"),
    "optim.decoupled_weight_decay": Key("bool", "decoupled weight decay, as in AdamW"),
    # schedule
    "schedule.warmup": Key("float", "epochs of linear warm-up", low=0),
    "schedule.every": Key("float", "epochs between two steps", low=0, above=True),
    "schedule.gamma": Key("float", "factor per step", low=0, above=True),
    "schedule.final": Key("float", "final learning rate as a multiple of optim.lr", low=0),
    "schedule.rise": Key("float", "share of the run in which the learning rate rises", low=0, high=1),
    "schedule.start": Key("float", "initial learning rate as a multiple of optim.lr", low=0),
    # logger
    "logger.tensorboard.folder": Key("str", "folder of the event files, inside the run folder"),
    "logger.mlflow.uri": Key("str", "tracking URI; null: the file outputs/mlflow.db", optional=True),
    "logger.mlflow.experiment": Key("str", "experiment name; jobs of a sweep go under the sweep's name"),
    "logger.wandb.project": Key("str", "project name"),
    "logger.wandb.mode": Key("str", "online: send at once", choices=("offline", "online")),
    # sweeper
    "sweeper.kind": Key("str", "exhaustive grid or search", choices=("grid", "search")),
    "sweeper.sampler": Key("str", "how a search draws points", choices=("tpe", "random")),
    "sweeper.n_trials": Key("int", "number of trials of a search", low=1),
    "sweeper.prune": Key("bool", "stop trials whose validation curve is below the median"),
    "sweeper.seed": Key("int", "seed of the search", low=0, high=2**31),
    # launcher
    "launcher.n_jobs": Key("int", "parallel jobs; null: one per core", low=1, optional=True),
    "launcher.cluster": Key("str", "where submitit runs the jobs", choices=("slurm", "local")),
    "launcher.partition": Key("str", "cluster partition; null: its default", optional=True),
    "launcher.minutes": Key("int", "time limit per job; an unfinished job can be resumed", low=1),
    "launcher.cpus": Key("int", "CPUs per job", low=1),
    "launcher.gpus": Key("float", "GPUs per job", low=0),
    "launcher.memory_gb": Key("int", "memory per job in GB", low=1),
    "launcher.at_once": Key(
        "int", "parallel jobs; null: as many as the cluster allows", low=1, optional=True
    ),
    "launcher.address": Key("str", "address of the Ray cluster; null: start one here", optional=True),
}
# Groups that hold a class and its arguments. The table above describes the classes that conf/ names; the
# arguments of any other class are checked against its signature when it is built.
CLASS_GROUPS = ("task", "model", "optim", "schedule", "augment", "criterion", "launcher")
GROUPS = ("data", *CLASS_GROUPS)
LAUNCHERS = ("Local", "Joblib", "Submitit", "Ray")
MANY = "logger"  # a group with several choices at once, each with its class under its own name
DESCRIBED = (
    "cnntrain.",
    "torch.nn.CrossEntropyLoss",
    *(f"torch.optim.{name}" for name in ("SGD", "Adam", "AdamW", "RMSprop")),
)


LISTS = tuple(key for key, rule in KEYS.items() if rule.kind == "list" and rule.length is None)


def is_described(target: str) -> bool:
    """Return whether the table describes the arguments of a class."""
    return target.startswith(DESCRIBED[0]) or target in DESCRIBED


# Classes that have stood elsewhere: checkpoints and YAML files of users name them by the old path.
MOVED_CLASSES = {
    "cnntrain.data.folder.Folder": "cnntrain.data.sources.Folder",
    **{f"cnntrain.launchers.{name}": f"cnntrain.sweep.launchers.{name}" for name in LAUNCHERS},
}


def with_paths_of_today(node: Any) -> Any:
    """Return a configuration, or a part of one, with the paths that cnntrain's classes have today."""
    if isinstance(node, Mapping):
        result = {name: with_paths_of_today(value) for name, value in node.items()}
        if isinstance(target := result.get("_target_"), str):
            result["_target_"] = MOVED_CLASSES.get(target, target)
        return result
    return [with_paths_of_today(item) for item in node] if isinstance(node, list) else node


def with_lists(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration in which a single value of a key that holds a list is a list of one.

    The arguments of a class that the table does not describe stay as they are.
    """
    result = {name: dict(node) if isinstance(node, Mapping) else node for name, node in config.items()}
    for key in LISTS:
        group, _, name = key.rpartition(".")
        node: Any = result.get(group) if group else result
        if not isinstance(node, dict) or name not in node or not KEYS[key].takes_one(node[name]):
            continue
        if not KEYS[key].accepts(node[name]):  # a mistake, which is reported as it was typed
            continue
        if group not in CLASS_GROUPS or is_described(str(node.get("_target_"))):
            node[name] = [node[name]]
    return result


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key with its dots, and its value; ``data.source`` counts as one."""
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in KEYS:
            yield from leaves(value, f"{key}.")
        else:
            yield key, value


def shown(value: Any) -> str:
    """Return a value as it would be typed."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, list | tuple):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{shown(item)}" for name, item in value.items()) + "}"
    return str(value)


Config = dict[str, Any]


def input_shape(data: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return channels, height and width of an image as the network gets it."""
    return data["channels"], data["image_size"], data["image_size"]
