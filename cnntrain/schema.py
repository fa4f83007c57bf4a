"""What each key of the configuration means: its type, its range, one line of explanation.

The values are in ``conf/``; nothing here repeats one. Imports no torch, so wrong input is told at once.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cnntrain.errors import UserError, did_you_mean
from cnntrain.shapes import cnn_sizes


@dataclass(frozen=True)
class Key:
    """One key: ``kind`` is int, float, bool, str, list or any."""

    kind: str
    doc: str
    low: float | None = None
    high: float | None = None
    above: bool = False  # the value must lie above ``low``, not on it
    choices: tuple[str, ...] = ()
    optional: bool = False  # null is allowed
    items: Key | None = None  # what each item of a list must be

    def describe(self) -> str:
        """Return type and range in words: ``a whole number, at least 1``."""
        if self.choices:
            text = " or ".join([", ".join(self.choices[:-1]), self.choices[-1]])
        else:
            text = WORDS[self.kind]
        if self.items is not None:
            text += f" of which each is {self.items.describe()}"
        if self.low is not None and self.high is not None:
            text += f" {'above' if self.above else 'from'} {self.low:g} to {self.high:g}"
        elif self.low is not None:
            text += f" {'above' if self.above else 'of at least'} {self.low:g}"
        return text + (", or null" if self.optional else "")

    def accepts(self, value: Any) -> bool:
        """Say whether a value has the type and lies in the range."""
        if value is None:
            return self.optional
        if self.choices and value in self.choices:
            return True
        if self.choices and self.kind == "str":
            return False
        if not PREDICATES[self.kind](value):
            return False
        if self.items is not None and not all(self.items.accepts(item) for item in value):
            return False
        if self.low is not None and (value <= self.low if self.above else value < self.low):
            return False
        return self.high is None or value <= self.high


WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list",
    "any": "any value",
}
PREDICATES = {
    "int": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "float": lambda v: isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v),
    "bool": lambda v: isinstance(v, bool),
    "str": lambda v: isinstance(v, str),
    "list": lambda v: isinstance(v, list | tuple),
    "any": lambda v: True,
}

SEED_LIMIT = 2**63 - 1
ACTIVATIONS = ("ReLU", "LeakyReLU", "ELU", "SELU", "GELU", "SiLU", "Mish", "Hardswish", "Tanh", "Sigmoid", "Softplus")
FORMATS = ("fp32", "bf16", "fp16", "auto")
COUNT = Key("int", "", low=1)

KEYS: dict[str, Key] = {
    # the run
    "epochs": Key("int", "passes over the training set", low=1),
    "batch_size": Key("int", "pictures for one step of the optimizer", low=1),
    "eval_batch_size": Key("int", "pictures at a time when evaluating; changes nothing but speed", low=1),
    "limit": Key("int", "train on the first N pictures of the shuffled training set", low=1, optional=True),
    "seed": Key("int", "of weights, order, augmentation, dropout and split", low=0, high=SEED_LIMIT),
    "criterion._target_": Key("str", "class of the loss"),
    "criterion.label_smoothing": Key("float", "share of the target spread over all classes", low=0, high=1),
    "device": Key("str", "auto, cpu, cuda, cuda:N or mps"),
    "precision": Key("str", "number format of the forward pass", choices=FORMATS),
    "workers": Key("int", "processes that gather batches; 0: the main process", low=0),
    "deterministic": Key("bool", "only algorithms that give the same bits each time, on GPUs too"),
    "grad_clip": Key("float", "longest gradient, as an L2 norm", low=0, above=True, optional=True),
    "accumulate": Key("int", "parts into which a batch is cut to save memory", low=1),
    "early_stopping": Key("int", "stop after this many epochs without improvement", low=1, optional=True),
    "monitor": Key("str", "what chooses the best epoch", choices=("val_accuracy", "val_loss")),
    "save_every_steps": Key("int", "write a checkpoint every N steps, besides every epoch", low=1, optional=True),
    "save_every_minutes": Key(
        "float", "write a checkpoint every N minutes, besides every epoch", low=0, above=True, optional=True
    ),
    "out": Key("str", "the run folder; null makes a new one under outputs/", optional=True),
    "name": Key("str", "names the run folder, in place of model and optimizer", optional=True),
    "verbose": Key("int", "0: errors alone (-q), 1: as usual, 2: configuration and classes too", low=0, high=2),
    # eval
    "split": Key("str", "which pictures to evaluate", choices=("train", "val", "test")),
    "trust": Key("list", "packages of yours that a checkpoint may name", items=Key("str", "")),
    # data
    "data.source": Key("any", "a data set class (_target_) and its arguments"),
    "data.root": Key("str", "folder that holds the data, or to which they are downloaded"),
    "data.channels": Key("int", "1: grey, 3: colour; pictures are converted", choices=(), low=1, high=4),
    "data.image_size": Key("int", "height and width in pixels; pictures are scaled to it", low=1, high=16384),
    "data.num_classes": Key("int", "number of classes", low=2),
    "data.mean": Key("list", "mean of each channel, for pixels from 0 to 1", items=Key("float", "")),
    "data.std": Key(
        "list", "standard deviation of each channel, likewise", items=Key("float", "", low=0, above=True)
    ),
    "data.val_fraction": Key("float", "share of the training set kept for validation", low=0, high=0.9),
    "data.split_seed": Key("int", "which pictures validate", low=0, high=SEED_LIMIT),
    # augment
    "augment.shift": Key("int", "move by up to N pixels", low=0),
    "augment.flip": Key("float", "probability of mirroring left to right", low=0, high=1),
    "augment.rotate": Key("float", "turn by up to N degrees", low=0, high=180),
    "augment.erase": Key("float", "probability of blackening a rectangle", low=0, high=1),
    # model
    "model.hidden": Key("list", "units of each hidden layer", items=COUNT),
    "model.activation": Key("str", "between the layers", choices=ACTIVATIONS),
    "model.dropout": Key("float", "probability of switching a hidden unit off", low=0, high=0.99),
    "model.channels": Key("list", "filters of each block", items=COUNT),
    "model.kernel_size": Key("int", "side of the filters, in pixels; odd", low=1),
    "model.batch_norm": Key("bool", "batch norm between convolution and ReLU"),
    "model.pool": Key("str", "how a window becomes one value", choices=("max", "avg")),
    "model.pool_size": Key("int", "side of the pooling window; 1: no pooling", low=1),
    "model.head": Key("list", "hidden units of the MLP behind the convolutions", items=COUNT),
    # optim
    "optim.lr": Key("float", "learning rate", low=0, above=True),
    "optim.momentum": Key("float", "share of the last step that is kept", low=0, high=1),
    "optim.dampening": Key("float", "of the momentum", low=0, high=1),
    "optim.weight_decay": Key("float", "pull of the weights towards zero", low=0),
    "optim.nesterov": Key("bool", "Nesterov's momentum"),
    "optim.betas": Key("list", "decay of both running means", items=Key("float", "", low=0, high=1)),
    "optim.alpha": Key("float", "decay of the running mean of squares", low=0, high=1),
    "optim.eps": Key("float", "added to the denominator", low=0),
    "optim.amsgrad": Key("bool", "the AMSGrad variant"),
    "optim.centered": Key("bool", "divide by an estimate of the variance"),
    "optim.maximize": Key("bool", "go uphill"),
    "optim.foreach": Key("bool", "update all parameters in a few operations; null: torch decides", optional=True),
    "optim.fused": Key("bool", "update all parameters in one operation; null: torch decides", optional=True),
    "optim.capturable": Key("bool", "safe inside CUDA graphs"),
    "optim.differentiable": Key("bool", "lets gradients flow through the step"),
    "optim.decoupled_weight_decay": Key("bool", "weight decay as in AdamW"),
    # schedule
    "schedule.warmup": Key("float", "epochs in which the learning rate rises from 0", low=0),
    "schedule.every": Key("float", "epochs between two steps", low=0, above=True),
    "schedule.gamma": Key("float", "factor of each step", low=0, above=True),
    "schedule.final": Key("float", "factor at the last step", low=0),
    "schedule.rise": Key("float", "share of the run in which the learning rate rises", low=0, high=1),
    "schedule.start": Key("float", "factor at the first step", low=0),
}
# Groups that hold a class and its arguments. The table above describes the classes that conf/ names; the
# arguments of any other class are checked against its signature when it is built.
CLASS_GROUPS = ("model", "optim", "schedule", "augment", "criterion")
DESCRIBED = (
    "cnntrain.",
    "torch.nn.CrossEntropyLoss",
    *(f"torch.optim.{name}" for name in ("SGD", "Adam", "AdamW", "RMSprop")),
)


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key with its dots, and its value; ``data.source`` counts as one."""
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in KEYS:
            yield from leaves(value, f"{key}.")
        else:
            yield key, value


def check_value(key: str, value: Any) -> None:
    """Raise a UserError unless a value suits its key. Keys that are not in the table are let through."""
    rule = KEYS.get(key)
    if rule is None or rule.accepts(value):
        return
    shown = "null" if value is None else str(value).lower() if isinstance(value, bool) else value
    near = did_you_mean(str(value), rule.choices) if rule.choices else ""
    raise UserError(f"{key}={shown} is not possible{near}\n{key} takes {rule.describe()}: {rule.doc}")


def check(config: Mapping[str, Any]) -> None:
    """Check a whole configuration of ``train``, as plain types, before anything is built or read.

    Raises:
        UserError: a key is unknown, or a value is of the wrong type, out of range or does not fit the others.
    """
    for key, value in leaves(config):
        group = key.partition(".")[0]
        if key not in KEYS and group not in CLASS_GROUPS:
            raise UserError(f"unknown key {key}{did_you_mean(key, KEYS)}")
        if group not in CLASS_GROUPS or is_described(config[group].get("_target_")):
            check_value(key, value)
    check_together(config)


def is_described(target: Any) -> bool:
    """Say whether the table knows the arguments of a class."""
    return isinstance(target, str) and (target.startswith(DESCRIBED[0]) or target in DESCRIBED)


def check_together(config: Mapping[str, Any]) -> None:
    """Check values that must fit each other, and this machine."""
    data, model = config["data"], config["model"]
    for key in ("mean", "std"):
        if len(data[key]) != data["channels"]:
            raise UserError(
                f"data.{key} has {len(data[key])} value(s) for data.channels={data['channels']}: give one a channel"
            )
    if model.get("_target_") == "cnntrain.models.CNN":
        if model["kernel_size"] % 2 == 0:
            raise UserError(
                f"model.kernel_size={model['kernel_size']} is even: padding keeps the size of a picture only with an odd one"
            )
        try:
            cnn_sizes(data["image_size"], len(model["channels"]), model["kernel_size"], model["pool_size"])
        except ValueError as error:
            raise UserError(f"model.channels={list(model['channels'])}: {error}") from error
    check_device(config["device"])


def check_device(name: str) -> None:
    """Check, without torch, that a device exists. What only torch knows is checked again by run.py."""
    kind, _, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdigit())):
        raise UserError(
            f"device={name} is not possible{did_you_mean(kind, ('auto', 'cpu', 'cuda', 'mps'))}\n"
            "device takes auto, cpu, cuda, cuda:N or mps"
        )
    if kind == "cuda" and not has_cuda_driver():
        raise UserError(f"device={name}: this machine has no CUDA driver; device=auto takes what is there")
    if kind == "mps" and sys.platform != "darwin":
        raise UserError("device=mps: only Apple's computers have it; device=auto takes what is there")


def has_cuda_driver() -> bool:
    """Say whether the library of NVIDIA's driver can be loaded."""
    import ctypes

    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
