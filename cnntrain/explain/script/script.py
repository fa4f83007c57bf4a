"""``cnntrain explain --as-script FILE``: the configured run as one plain PyTorch file.

The text is in ``script.py.jinja``. What the tool computes itself (the split, augmentation) is put in as it
stands in its own modules, so that the script can't come to differ from the run.
"""

from __future__ import annotations

import inspect
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
from torch import nn

from cnntrain.config.compose import conf_folder, read_yaml
from cnntrain.config.keys import KEYS
from cnntrain.config.schema import Config, input_shape
from cnntrain.config.sections import ModelSettings
from cnntrain.data import resize, splits
from cnntrain.data.augment import augment, color, crop, geometry, policies
from cnntrain.errors import UserError
from cnntrain.explain import arithmetic
from cnntrain.explain.script.codegen import call, command, in_docstring, layer, learning_rate, python_string
from cnntrain.explain.script.supported import MODELS, check_writable, files_of
from cnntrain.explain.setup import settled_engine
from cnntrain.optim import ema, schedules
from cnntrain.runs.named_output import write_named
from cnntrain.runs.run_folder import make_folder
from cnntrain.runtime import rng
from cnntrain.runtime.console import Console, count
from cnntrain.text import argument, encoded, printable
from cnntrain.training.components.components import describe_model
from cnntrain.training.components.device import find_device

SIDE = 28  # of the images in the IDX files of MNIST and its relatives
# Each import, and what in the script needs it.
IMPORTS = {
    "import copy": "copy.",
    "import gzip": "gzip.",
    "import hashlib": "hashlib.",
    "import math": "math.",
    "import struct": "struct.",
    "from collections.abc import Callable": "Callable[",
    "from collections.abc import Iterator": "Iterator[",
    "from pathlib import Path": "Path(",
    "from typing import NamedTuple": "(NamedTuple)",
    "": "",
    "import numpy as np": "np.",
    "import torch": "torch.",
    "import torch.nn.functional as F": "F.",
    "from torch import Generator, Tensor, nn": "Tensor",
    "from torch.optim.swa_utils import AveragedModel": "AveragedModel",
}
# The functions that each kind of augmentation calls, besides its own.
WARPING = (geometry.uniform, geometry.to_bytes, geometry.warp)
COLOURS = (geometry.uniform, geometry.to_bytes, color.blend, color.grey)
ENHANCING = (color.brightness, color.contrast, color.saturation)
POLICY = (
    *(*WARPING, geometry.rotation, *COLOURS, *ENHANCING, color.sharpness, color.posterize, color.solarize),
    *(color.autocontrast, color.equalize, policies.Ways, policies.random_ways, policies.skew),
    *(policies.matrices_of, policies.moves, policies.changed),
)
CROPPING = (
    *(resize.scaled, crop.shares, crop.scaled_together, crop.scaled_one_by_one, crop.scaled_parts),
    crop.random_parts,
)
CALLED = {
    "crop": (geometry.uniform, geometry.to_bytes, *CROPPING),
    "flip": (geometry.uniform, geometry.flip),
    "rotate": (*WARPING, geometry.rotation, geometry.turn),
    "shift": (geometry.random_corners, geometry.shift),
    "trivialaugment": (*POLICY, policies.trivial_ways),
    "randaugment": (*POLICY, policies.rand_ways),
    "jitter": (*COLOURS, *ENHANCING),
    "hue": (geometry.uniform, geometry.to_bytes, color.hue),
    "erase": (geometry.uniform, geometry.between, geometry.random_rectangles),
}
MIXING = (geometry.uniform, geometry.between, augment.beta, augment.random_box)


def write_script(config: Config, overrides: Sequence[str], target: Path) -> None:
    """Write the script and say how it computes.

    Args:
        config: of a run, checked, as plain types.
        overrides: as typed.
        target: a file that is not there yet.

    Raises:
        UserError: the file is there, or something of the run can't be written.
    """
    if target.exists():
        raise UserError(f"--as-script {printable(target)}: the file exists already; give another name")
    engine = settled_engine(config)
    text = script({**config, **asdict(engine)}, overrides, target.name)
    if target.parent != Path():
        make_folder(target.parent)
    write_named(target, encoded(text))
    console = Console(config["verbose"])
    console.command("script", f"python {argument(target)}")
    console.line("It computes as the run does here: {}.", engine)
    if engine.precision != "fp32" or engine.channels_last:
        console.line("[dim]plainer to read, and slower: precision=fp32 channels_last=false[/]")


def script(config: Config, overrides: Sequence[str], file: str) -> str:
    """Return the text of the script.

    Args:
        config: of a run, checked, as plain types, nothing of its engine left to ``auto``.
        overrides: as typed.
        file: the name that it will have.

    Raises:
        UserError: something of the run can't be written.
    """
    check_writable(config)
    files = files_of(config)
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"code": python_string, "words": in_docstring}
    template = environment.from_string(Path(__file__).with_name("script.py.jinja").read_text("utf-8"))
    facts = {
        **plain_facts(config, overrides, file, files),
        **model_facts(config),
        **augment_facts(config["augment"]),
        **training_facts(config),
        "sources": {
            "seed_for": source(rng.seed_for),
            "stratified_split": source(splits.stratified_split),
            "limited": source(splits.limited),
            "cosine": source(schedules.cosine),
            "approach": source(ema.approach),
        },
    }
    body = template.render(**facts, imports="")
    own = [line for line in facts["own_imports"] if line]
    lines = [line for line, name in IMPORTS.items() if name in body]
    return template.render(**facts, imports="\n".join([*lines, *own]))


def plain_facts(
    config: Config, overrides: Sequence[str], file: str, files: Mapping[str, list[Path]]
) -> dict[str, Any]:
    """Return what the template needs that stands in the configuration as it is."""
    data = config["data"]
    compressed = [path.suffix == ".gz" for part in files.values() for path in part]
    return {
        **{key: config[key] for key, rule in KEYS.items() if rule.in_script},
        "file": file,
        "kept": "model" if config["ema"] is None else "average.module",
        "weights": f"{file.removesuffix('.py')}.pt",
        "command": command(overrides),
        "sameness": sameness(config),
        "left_out": ", ".join(left_out(config)),
        "files": files,
        "gz": "all" if all(compressed) else "some" if any(compressed) else "",
        "transposed": data["source"].get("dataset") == "EMNIST",
        "classes": data["num_classes"],
        "mean": list(data["mean"]),
        "std": list(data["std"]),
        "shape": input_shape(data),
        "size": SIDE,
        "val_fraction": data["val_fraction"],
        "validates": data["val_fraction"] > 0,
        "split_seed": data["split_seed"],
        "device": str(find_device(config["device"])),
        "bf16": config["precision"] == "bf16",
        "channels_last": config["channels_last"],
        "threads": config["threads"],
    }


def left_out(config: Config) -> list[str]:
    """Return the keys that are not at their default and that the script may leave out."""
    defaults = read_yaml(conf_folder() / "train.yaml")
    without_effect = [key for key, rule in KEYS.items() if rule.affects != "weights" and not rule.in_script]
    return [key for key in without_effect if key in config and config[key] != defaults.get(key)]


def sameness(config: Config) -> str:
    """Say how much the same the weights are."""
    if find_device(config["device"]).type != "cpu" and not config["deterministic"]:
        return "as nearly as a GPU repeats itself (deterministic=true: to the bit)"
    return f"to the bit in {config['precision']} with {count(config['threads'], 'thread')}"


def model_facts(config: Config) -> dict[str, Any]:
    """Return how the model is written: layer by layer if it is one of ours, by its name if it is not."""
    model = describe_model(ModelSettings.of(config), trust=None)
    name, target = type(model).__name__, config["model"]["_target_"]
    total = sum(p.numel() for p in model.parameters())
    if target in MODELS:
        rows = arithmetic.trace(model, input_shape(config["data"]))
        dropout = any(isinstance(row.module, nn.Dropout) for row in rows)
        return {
            "title": f"{name} on images of {arithmetic.shape_in_words(input_shape(config['data']))}, "
            f"in plain PyTorch: {total:,} parameters.",
            "name": name,
            "total": arithmetic.total_in_words(rows, total),
            "layers": [line for row in rows for line in layer(row)],
            "model_call": f"{name}()",
            "dropout": dropout,
        }
    shape = input_shape(config["data"])
    known = {
        "input_shape": repr(shape),
        "in_channels": repr(shape[0]),
        "image_size": repr(shape[1] if shape[1] == shape[2] else shape[1:]),
        "in_features": repr(math.prod(shape)),
        "num_classes": "CLASSES",
    }
    return {
        "title": f"{target} on images of {arithmetic.shape_in_words(shape)}, in plain PyTorch.",
        "layers": [],
        "model_call": call("model", config["model"], known),
        "dropout": True,
        "name": name,
        "total": f"{total:,}",
    }


def augment_facts(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the functions that the configured augmentation needs, each once, and how they are called."""
    changes_in_order = {"crop": crop.random_crop, **augment.CHANGES}
    on = {name: change for name, change in changes_in_order.items() if node.get(name)}
    mixes = bool(node.get("mixup") or node.get("cutmix"))
    functions = [f for name, change in on.items() for f in (*CALLED[name], change)]
    sources = [source(function) for function in dict.fromkeys([*functions, *(MIXING if mixes else ())])]
    if mixes:
        text = textwrap.dedent(inspect.getsource(augment.Augment.mix)).rstrip()
        for old, new in {"self, ": "", "self.mixup": "MIXUP", "self.cutmix": "CUTMIX"}.items():
            text = text.replace(old, new)
        sources.append(text)
    return {
        "augments": bool(on or mixes),
        "changes": [f"{change.__name__}(x, {node[name]!r}, generator)" for name, change in on.items()],
        "mixes": mixes,
        "mixup": node.get("mixup", 0.0),
        "cutmix": node.get("cutmix", 0.0),
        "augment_sources": sources,
        "label_words": "the shares of the classes" if mixes else "int64 (N,)",
    }


def training_facts(config: Config) -> dict[str, Any]:
    """Return how criterion, optimizer and schedule are written, and what they import."""
    words = ""
    lines: list[str] = []
    node, schedule = config["schedule"], ""
    if node["_target_"].startswith("cnntrain."):
        words, lines = learning_rate(node)
        if lines:
            factor = "lambda step: learning_rate(step, steps_per_epoch)"
            schedule = f"torch.optim.lr_scheduler.LambdaLR(optimizer, {factor})"
    else:
        known = {
            "optimizer": "optimizer",
            "total_steps": "EPOCHS * steps_per_epoch",
            "steps_per_epoch": "steps_per_epoch",
        }
        schedule = call("schedule", node, known)
    groups = ("model", "criterion", "optim", "schedule")
    targets = [config[g]["_target_"] for g in groups]
    own = [t for t in targets if not t.startswith(("torch.optim.", "torch.nn.", "cnntrain."))]
    return {
        "criterion": call("criterion", config["criterion"], {}),
        "optimizer": call("optim", config["optim"], {"params": "model.parameters()"}),
        "schedule": schedule,
        "schedule_words": words,
        "schedule_lines": lines,
        "uses_cosine": any("cosine(" in line for line in lines),
        "own_imports": [f"from {t.rpartition('.')[0]} import {t.rpartition('.')[2]}" for t in own],
    }


def source(function: Any) -> str:
    """Return a function's text."""
    return inspect.getsource(function).rstrip()
