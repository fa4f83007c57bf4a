"""A run that starts from the weights of another: ``init_from=RUN``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.config.conf_files import choice_file, choice_values, groups, raw_yaml
from cnntrain.config.inputs import IMAGES, TEXT, inputs_of
from cnntrain.config.keys import leaves
from cnntrain.config.sections import ModelSettings, PreviousRunSettings
from cnntrain.errors import CheckpointError, UserError
from cnntrain.optim.param_names import heads_of, is_inside
from cnntrain.runs import checkpoint, lookup
from cnntrain.sequences.tokens import Tokens
from cnntrain.tasks.classes import difference
from cnntrain.text import printable, shown

Weights = dict[str, Tensor]
ENCODER_ALONE = "all but the encoder"  # is new


@dataclass
class Start:
    """The checkpoint that a run started from.

    Args:
        path: the checkpoint.
        epoch: the epoch after which it was written.
        class_names: the class names that its model knows.
        head: name of the last layer, or of the modules of the head; None where it can't be determined.
        new_head: the weights of a new one, as the seed gives them.
        is_new: whether the head is a new one.
        state: the checkpoint's contents, except for the weights.
    """

    path: Path
    epoch: int
    class_names: list[str]
    head: str | None
    new_head: Weights
    is_new: bool
    state: Mapping[str, Any]

    @torch.no_grad()
    def renew_head(self, model: nn.Module, class_names: Sequence[str]) -> None:
        """Fit the head to the classes of this run, by their names: in their order, or else a new one.

        Only a head that is a single layer can be put into another order.

        Raises:
            UserError: the classes are others, and which layer gives them can't be determined.
        """
        if self.is_new or self.class_names == list(class_names):
            return
        if not self.new_head:
            raise UserError(
                f"init_from={printable(self.path)}: {difference(class_names, self.class_names)}\n"
                f"{type(model).__name__} has no last layer of {len(class_names)} outputs to replace"
            )
        own = model.state_dict()
        are_unique = len(set(class_names)) == len(class_names)
        is_same = are_unique and sorted(class_names) == sorted(self.class_names)
        if is_same and all(name.rpartition(".")[0] == self.head for name in self.new_head):
            place = torch.tensor([self.class_names.index(name) for name in class_names])
            for name in self.new_head:
                if own[name].dim() and len(own[name]) == len(place):
                    own[name].copy_(own[name][place.to(own[name].device)].clone())
            return
        for name, weight in self.new_head.items():
            own[name].copy_(weight)
        self.is_new = True

    def record(self) -> dict[str, Any]:
        """Return what the run writes down of it, as plain types."""
        return {
            "checkpoint": str(self.path),
            "crc32": checkpoint.checksum_of(self.path),
            "epoch": self.epoch,
            "class_names": self.class_names,
            "new_head": self.head if self.is_new else None,
        }


def in_words(record: Mapping[str, Any], class_names: Sequence[str]) -> str:
    """Return in a line where a run started, and which layer is a new one.

    Args:
        record: see :meth:`Start.record`.
        class_names: the class names of this run.
    """
    count, before = len(class_names), len(record["class_names"])
    instead = f"in place of {before}" if count != before else "of other names"
    is_same = record["class_names"] == list(class_names)
    if record["new_head"] == ENCODER_ALONE:
        return f"the encoder of {printable(record['checkpoint'])}, epoch {record['epoch']}; the rest is new"
    head = "with its head" if is_same else "with its head, put into the order of these classes"
    if record["new_head"] is not None:
        head = f"with a new head ({record['new_head']}) for {count} classes {instead}"
    return f"the weights of {printable(record['checkpoint'])}, epoch {record['epoch']}, {head}"


def recorded(state: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the record that a run's own checkpoint holds of where it started, if it has one."""
    return None if state is None else state["init_from"]


def start_from(run: str, model: nn.Module, settings: ModelSettings) -> Start:
    """Load the weights of a checkpoint, without the head if that is for another number of classes.

    If the checkpoint is of another model with the same encoder, the model gets that alone.

    The checkpoint is data: only tensors that fit, by name and shape, are taken from it, and nothing is built.

    Args:
        run: a run folder, a checkpoint file, or ``last``.
        model: the model of this run, with its own weights.
        settings: the settings that it was built from.

    Raises:
        CheckpointError: there is no such checkpoint, or it is damaged.
        UserError: it is of another model.
    """
    state, path = lookup.load_best(run)
    check_inputs(state, settings, path)
    class_names = state["class_names"]
    weights = {name: weight for name, weight in state["model"].items() if isinstance(weight, Tensor)}
    heads = heads_of(model, settings.num_classes)
    head = ", ".join(heads) or None
    own = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
    new_head = {name: own[name] for name in own if any(is_inside(name, one) for one in heads)}
    is_new = bool(new_head) and all(
        name in weights and weights[name].shape[1:] == weight.shape[1:] for name, weight in new_head.items()
    )
    is_new = is_new and any(weights[name].shape != weight.shape for name, weight in new_head.items())
    taken = {**weights, **new_head} if is_new else weights
    reason = misfit(taken, own)
    encoder = None if reason is None else encoder_of(model, own, weights)
    if encoder is not None:
        taken, new_head, is_new, head = {**own, **encoder}, {}, True, ENCODER_ALONE
    elif reason is not None:
        name = type(model).__name__
        raise UserError(
            f"init_from={printable(path)}: its weights do not fit {name}: {reason}{advice(state, settings)}"
        )
    try:
        model.load_state_dict(taken)
    except RuntimeError as error:  # tensors of a kind that no model has
        raise CheckpointError(f"{path}: its weights can't be loaded") from error
    rest = {name: state[name] for name in ("config", "data_fingerprint", "split")}
    return Start(path, state["progress"]["epoch"], class_names, head, new_head, is_new, rest)


def check_inputs(state: Mapping[str, Any], settings: ModelSettings, path: Path) -> None:
    """Check that a checkpoint's model takes inputs of the same kind, and texts by the same numbers.

    Raises:
        UserError: it does not.
    """
    there = PreviousRunSettings.from_config(state["config"]).data
    inputs, name = inputs_of(there), f"init_from={printable(path)}"
    if inputs != settings.inputs:
        raise UserError(f"{name}: that run was trained on {inputs}, and these data have {settings.inputs}")
    if inputs != TEXT:
        return
    own, others = Tokens(settings.tokens, settings.vocabulary), Tokens(there["tokens"], there["vocabulary"])
    if (own.words, own.numbers) != (others.words, others.numbers):
        key = "tokens" if own.words != others.words else "vocabulary"
        raise UserError(
            f"{name}: that run has another data.{key}, so that its numbers mean other {own.words}: "
            f"take the data.{key} of its config.yaml"
        )


def misfit(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    """Return the first thing in which weights differ from those of a model, or None."""
    for name, weight in own.items():
        if name not in weights:
            return f"it has no {name}"
        if weights[name].shape != weight.shape:
            there, here = ("×".join(map(str, w.shape)) or "one number" for w in (weights[name], weight))
            return f"{name} is {there} there and {here} here"
    extra = next((str(name) for name in weights if name not in own), None)
    return None if extra is None else f"its {printable(extra, 100)!r} has no place here"


def encoder_of(model: nn.Module, own: Weights, weights: Weights) -> Weights | None:
    """Return weights for a model's encoder out of those of another model; None if that has no such encoder.

    A model names the modules of its encoder in the attribute ``encoder``. A single one of them, such as
    ``network.backbone``, may have another name there: ``network`` in a classifier.

    Args:
        model: its modules are asked for.
        own: its weights.
        weights: the weights of the other model.
    """
    modules: tuple[str, ...] = getattr(model, "encoder", ())
    root = f"{modules[0]}." if len(modules) == 1 else ""
    names = [name for name in own if any(is_inside(name, module) for module in modules)]
    rest = [name.removeprefix(root) for name in names]
    for there in weights if names else ():
        begin = there.removesuffix(rest[0])
        if begin == there or not (f".{begin}").endswith("."):
            continue
        found = {name: weights.get(begin + end) for name, end in zip(names, rest, strict=True)}
        if all(weight is not None and weight.shape == own[name].shape for name, weight in found.items()):
            return {name: weight for name, weight in found.items() if weight is not None}
    return None


def advice(state: Mapping[str, Any], settings: ModelSettings) -> str:
    """Return, on a line of its own, what to type so that the model is that of the checkpoint."""
    there, words = PreviousRunSettings.from_config(state["config"]), []
    model = there.model
    if not model or not there.data:
        return ""
    target = str(model.get("_target_"))
    known = {key: shown(value) for key, value in leaves({"model": settings.node})}
    if target != settings.node["_target_"]:
        choice = next((choice for choice in groups()["model"] if class_of(choice) == target), None)
        known = choice_values("model", choice) if choice else {}
        words.append(f"model={choice}" if choice else f"model._target_={target}")
    for key, value in leaves({"model": model}):
        if key not in ("model._target_", "model.weights") and shown(value) != known.get(key):
            words.append(shlex.quote(f"{key}={shown(value)}"))
    channels, height, width = settings.shape
    size = height if height == width else [height, width]
    sizes = (("channels", channels), ("image_size", size))
    if settings.inputs != IMAGES:  # whose columns say of padding, too
        sizes = (("steps", height), ("features", width - 1))
    for name, here in sizes:
        if shown(there.data.get(name)) != shown(here):
            words.append(f"data.{name}={shown(there.data.get(name))}")
    text = " ".join(words)
    return (
        f"\nto take that run's model, add {text}" if words and text.isprintable() and len(text) < 500 else ""
    )


def class_of(choice: str) -> str | None:
    """Return the class that a choice of the group ``model`` names."""
    return raw_yaml(choice_file("model", choice)).get("_target_")
