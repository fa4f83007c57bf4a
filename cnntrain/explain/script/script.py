"""``cnntrain explain --as-script FILE``: the configured run as one plain PyTorch file.

The text is in ``script.py.jinja``. What the tool computes itself (the split, augmentation) is put in as it
stands in its own modules, so that the script can't come to differ from the run.
"""

from __future__ import annotations

import ast
import inspect
import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jinja2
from torch import nn

from cnntrain.config.keys import KEYS
from cnntrain.config.sections import ScriptSettings
from cnntrain.data import splits
from cnntrain.data.augment import augment, crop
from cnntrain.errors import UserError
from cnntrain.explain import arithmetic
from cnntrain.explain.script import mlp
from cnntrain.explain.script.closure import imported, names_in, source, with_called
from cnntrain.explain.script.codegen import call, command, in_docstring, layer, learning_rate, python_string
from cnntrain.explain.script.sequences import written
from cnntrain.explain.script.supported import MODELS, SEQUENCES, check_writable, files_of
from cnntrain.explain.setup import tuned_engine
from cnntrain.models.mlp import MLP
from cnntrain.models.sequences.recurrent import Recurrent
from cnntrain.models.sequences.transformer import Transformer
from cnntrain.optim import ema, schedules
from cnntrain.runs.named_output import write_named
from cnntrain.runs.run_folder import make_folder
from cnntrain.runtime import rng
from cnntrain.runtime.console import Console, count
from cnntrain.text import argument, encoded, printable
from cnntrain.training.components.components import describe_model
from cnntrain.training.components.device import find_device

SIDE = 28  # of the images in the IDX files of MNIST and its relatives
# The imports that a script may need: those whose names it uses are written.
IMPORTS = (
    "import copy",
    "import gzip",
    "import hashlib",
    "import math",
    "import struct",
    "from collections.abc import Callable",
    "from collections.abc import Iterator",
    "from pathlib import Path",
    "from typing import NamedTuple",
    "",
    "import numpy as np",
    "import torch",
    "import torch.nn.functional as F",
    "from torch import Generator, Tensor, nn",
    "from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn",
    "from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset",
)


def write_script(settings: ScriptSettings, overrides: Sequence[str], target: Path, console: Console) -> None:
    """Write the script and say how it computes.

    Args:
        settings: the settings of a run.
        overrides: the overrides as typed.
        target: a file that is not there yet.
        console: where to say so.

    Raises:
        UserError: the file is there, or something of the run can't be written.
    """
    if target.exists():
        raise UserError(f"--as-script {printable(target)}: the file exists already; give another name")
    engine = tuned_engine(settings.engine, settings.criterion, find_device(settings.device))
    settled = replace(settings, engine=replace(settings.engine, **asdict(engine)))
    text = script(settled, overrides, target)
    if target.parent != Path():
        make_folder(target.parent)
    write_named(target, encoded(text))
    console.command("script", f"python {argument(target)}")
    console.line("It computes as the run does here: {}.", engine)
    if engine.precision != "fp32" or engine.channels_last:
        console.line("[dim]plainer to read, and slower: precision=fp32 channels_last=false[/]")


def script(settings: ScriptSettings, overrides: Sequence[str], target: Path) -> str:
    """Return the text of the script.

    Args:
        settings: the settings of a run, nothing of its engine left to ``auto``.
        overrides: the overrides as typed.
        target: the file that it will be.

    Raises:
        UserError: something of the run can't be written.
    """
    check_writable(settings)
    files = files_of(settings.data)
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"code": python_string, "words": in_docstring}
    template = environment.from_string(Path(__file__).with_name("script.py.jinja").read_text("utf-8"))
    facts = {
        **plain_facts(settings, overrides, target, files),
        **model_facts(settings, environment),
        **augment_facts(settings.augment),
        **training_facts(settings),
        "sources": {
            "seed_for": source(rng.seed_for),
            "stratified_split": source(splits.stratified_split),
            "limited": source(splits.limited),
            "cosine": source(schedules.cosine),
            "move_average": source(ema.move_average),
        },
    }
    body = template.render(**facts, imports="")
    own = [line for line in facts["own_imports"] if line]
    lines = [line for line in IMPORTS if not line or imported(line) & names_in(ast.parse(body))]
    return template.render(**facts, imports="\n".join([*lines, *own]))


def plain_facts(
    settings: ScriptSettings, overrides: Sequence[str], target: Path, files: Mapping[str, list[Path]]
) -> dict[str, Any]:
    """Return what the template needs that stands in the configuration as it is."""
    data, engine, file = settings.data, settings.engine, target.name
    folder = Path(os.path.commonpath([path.parent for part in files.values() for path in part]))
    compressed = [path.suffix == ".gz" for part in files.values() for path in part]
    return {
        **settings.written,
        "file": file,
        "kept": "model" if settings.ema is None else "average.module",
        "weights": f"{file.removesuffix('.py')}.pt",
        "command": command(overrides),
        "sameness": sameness(settings),
        "left_out": ", ".join(left_out(settings)),
        "folder": folder_from(folder, target),
        "files": {part: [path.relative_to(folder) for path in paths] for part, paths in files.items()},
        "gz": "all" if all(compressed) else "some" if any(compressed) else "",
        "transposed": data.source.get("dataset") == "EMNIST",
        "classes": data.num_classes,
        "mean": list(data.mean),
        "std": list(data.std),
        "shape": data.shape,
        "size": SIDE,
        "val_fraction": data.val_fraction,
        "validates": data.val_fraction > 0,
        "split_seed": data.split_seed,
        "device": str(find_device(settings.device)),
        "bf16": engine.precision == "bf16",
        "channels_last": engine.channels_last,
        "threads": engine.threads,
    }


def folder_from(folder: Path, target: Path) -> str:
    """Return the code for where the images are: from the script, if both lie below the current folder."""
    beside, here = target.absolute().parent, Path.cwd()
    if not (folder.is_relative_to(here) and beside.is_relative_to(here)):
        return f"Path({python_string(folder)})"
    return f"Path(__file__).parent / {python_string(Path(os.path.relpath(folder, beside)).as_posix())}"


def left_out(settings: ScriptSettings) -> list[str]:
    """Return the keys that are not at their default and that the script may leave out."""
    without_effect = [key for key, rule in KEYS.items() if rule.affects != "weights" and not rule.in_script]
    return [key for key in without_effect if key in settings.changed]


def sameness(settings: ScriptSettings) -> str:
    """Describe how much the same the weights are."""
    engine = settings.engine
    if find_device(settings.device).type != "cpu" and not settings.deterministic:
        return "as nearly as a GPU repeats itself (deterministic=true: to the bit)"
    return f"to the bit in {engine.precision} with {count(int(engine.threads), 'thread')}"


def model_facts(settings: ScriptSettings, environment: jinja2.Environment) -> dict[str, Any]:
    """Return how the model is written: layer by layer if it is one of ours, by its name if it is not."""
    model = describe_model(settings.model, trust=None)
    name, target, shape = type(model).__name__, settings.model.node["_target_"], settings.model.shape
    total = sum(p.numel() for p in model.parameters())
    title = f"{name} on images of {arithmetic.format_shape(shape)}, in plain PyTorch: {total:,} parameters."
    facts = {
        "title": title,
        "model_source": "",
        "layers": [],
        "model_call": f"{name}()",
        "dropout": draws(model),
    }
    if isinstance(model, Recurrent | Transformer) and target in SEQUENCES:
        return {**facts, "model_source": written(model, shape, environment)}
    rows = arithmetic.trace(model, shape) if target in MODELS else []
    if isinstance(model, MLP) and rows:
        text, made = mlp.written(model, shape, arithmetic.describe_total(rows, total))
        return {**facts, "model_source": text, "model_call": made}
    if rows:
        lines = [line for row in in_order_of_the_course(rows) for line in layer(row)]
        return {**facts, "name": name, "total": arithmetic.describe_total(rows, total), "layers": lines}
    known = {
        "input_shape": repr(shape),
        "in_channels": repr(shape[0]),
        "image_size": repr(shape[1] if shape[1] == shape[2] else shape[1:]),
        "in_features": repr(math.prod(shape)),
        "num_classes": "CLASSES",
    }
    return {
        **facts,
        "title": f"{target} on images of {arithmetic.format_shape(shape)}, in plain PyTorch.",
        "model_call": call("model", settings.model.node, known),
        "dropout": True,
    }


def in_order_of_the_course(rows: Sequence[arithmetic.TracedLayer]) -> list[arithmetic.TracedLayer]:
    """Return the layers with ReLU before max pooling: Conv, ReLU, Pool, which computes the same.

    ReLU keeps the order of numbers. Our networks pool first, since ReLU has less to do then.
    """
    ordered = list(rows)
    for place in range(len(ordered) - 1):
        pool, activation = ordered[place : place + 2]
        if isinstance(pool.module, nn.MaxPool2d) and isinstance(activation.module, nn.ReLU):
            ordered[place : place + 2] = [
                replace(activation, input_shape=activation.layer.output_shape),
                pool,
            ]
    return ordered


def draws(model: nn.Module) -> bool:
    """Return whether a model has dropout that switches anything off."""
    return any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())


def augment_facts(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the functions that the configured augmentation needs, each once, and how they are called."""
    changes_in_order = {"crop": crop.random_crop, **augment.CHANGES}
    on = {name: change for name, change in changes_in_order.items() if node.get(name)}
    mixes = bool(node.get("mixup") or node.get("cutmix"))
    roots = [*on.values(), *([augment.Augment.mix] if mixes else [])]
    functions = dict.fromkeys(function for root in roots for function in with_called(root))
    sources = [source(function) for function in functions if function is not augment.Augment.mix]
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


def training_facts(settings: ScriptSettings) -> dict[str, Any]:
    """Return how criterion, optimizer and schedule are written, and what they import."""
    words = ""
    lines: list[str] = []
    node, schedule = settings.schedule, ""
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
    criterion, optim = settings.criterion.node, settings.optim
    targets = [part["_target_"] for part in (settings.model.node, criterion, optim, node)]
    own = [t for t in targets if not t.startswith(("torch.optim.", "torch.nn.", "cnntrain."))]
    return {
        "criterion": call("criterion", criterion, {}),
        "optimizer": call("optim", optim, {"params": "model.parameters()"}),
        "schedule": schedule,
        "schedule_words": words,
        "schedule_lines": lines,
        "uses_cosine": any("cosine(" in line for line in lines),
        "own_imports": [f"from {t.rpartition('.')[0]} import {t.rpartition('.')[2]}" for t in own],
    }
