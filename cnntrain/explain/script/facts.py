"""What the template of a script needs of the model, the augmentation and the training."""

from __future__ import annotations

import inspect
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jinja2
from torch import nn

from cnntrain.config.sections import ScriptSettings
from cnntrain.data.augment import augment, crop
from cnntrain.explain import arithmetic
from cnntrain.explain.script import mlp
from cnntrain.explain.script.closure import source, with_called
from cnntrain.explain.script.codegen import call, layer, learning_rate
from cnntrain.explain.script.sequences import written
from cnntrain.explain.script.supported import MODELS, SEQUENCES
from cnntrain.models.mlp import MLP
from cnntrain.models.sequences.recurrent import Recurrent
from cnntrain.models.sequences.transformer import Transformer
from cnntrain.training.components.components import describe_model


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
