"""The components of a run that its configuration names, and what is trained, made of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from cnntrain.compute.micro_batches import MicroBatchFinder
from cnntrain.compute.precision import Precision
from cnntrain.config.inputs import IMAGES, SERIES
from cnntrain.config.instantiate import build
from cnntrain.config.schema import Config
from cnntrain.config.sections import (
    CriterionSettings,
    DataSettings,
    ModelSettings,
    OptimizerSettings,
)
from cnntrain.data.augment.augment import Augment
from cnntrain.data.open import Data
from cnntrain.data.sequences.augment import AugmentSequences
from cnntrain.optim.ema import MovingAverage
from cnntrain.optim.freezing import Freezing
from cnntrain.runs import checkpoint, run_folder
from cnntrain.runs.records import CheckpointState
from cnntrain.runtime.console import Console
from cnntrain.sequences.tokens import Tokens
from cnntrain.tasks.base import Task
from cnntrain.tasks.scores import Figure
from cnntrain.training.components.components import build_freezing, build_model, build_task
from cnntrain.training.components.criterion import balanced, build_criterion
from cnntrain.training.components.foresight import check_size
from cnntrain.training.components.optimizer import build_optimizer, build_schedule, without_fused
from cnntrain.training.init_from import Start, start_from
from cnntrain.training.learner import Learner
from cnntrain.training.restoring import Fresh


@dataclass
class Components:
    """What the configuration names, each tried before any data is read."""

    task: Task
    monitor: Figure
    model: nn.Module
    criterion: nn.Module
    start: Start | None
    freezing: Freezing
    optim: Mapping[str, Any]
    optimizer: Optimizer
    augment: Augment


def build_components(
    config: Config,
    trust: Sequence[str] | None,
    device: torch.device,
    console: Console,
    folder: Path | None = None,
    state: CheckpointState | None = None,
) -> Components:
    """Build what the configuration names. No data is read."""
    settings = ModelSettings.from_config(config)
    task = build_task(settings, trust)
    monitor = task.scores.monitored(config["monitor"])
    if state is not None and folder is not None:
        last = folder / run_folder.CHECKPOINTS / checkpoint.LAST
        check_size(settings, state["model"], last, trust)
    model = build_model(settings, trust).to(device)
    criterion = build_criterion(CriterionSettings.from_config(config), trust, task).to(device)
    start = None
    if state is None and config["init_from"] is not None:  # the run's own checkpoint needs no other
        start = start_from(config["init_from"], model, settings)
    freezing = build_freezing(model, config["freeze"], config["unfreeze_epoch"], settings.num_classes)
    if freezing.names and start is None and state is None and not config["model"].get("weights"):
        console.warn("frozen layers keep their random weights: add init_from=RUN to start from trained ones")
    optim = without_fused(config["optim"], model)
    optimizer = build_optimizer(replace(OptimizerSettings.from_config(config), optim=optim), trust, model)
    augment = build_augment(config["augment"], DataSettings.from_config(config), trust)
    return Components(task, monitor, model, criterion, start, freezing, optim, optimizer, augment)


def build_augment(node: Mapping[str, Any], data: DataSettings, trust: Sequence[str] | None) -> Augment:
    """Build what changes training images, or sequences: for these it is made of the same keys."""
    augment: Augment = build("augment", node, Augment, trust)
    if data.inputs == IMAGES:
        return augment
    hidden = data.mean if data.inputs == SERIES else [float(Tokens(data.tokens, data.vocabulary).unknown)]
    return AugmentSequences(node["crop"], node["jitter"], node["erase"], hidden, data.std)


def criterion_of_training(config: Config, criterion: nn.Module, data: Data) -> nn.Module:
    """Return the loss in training, with class weights if ``balance_classes`` asks for them."""
    if not config["balance_classes"]:
        return criterion
    return balanced(criterion, data.train.class_counts(data.train_indices))


def micro_batch_finder(
    config: Config, built: Components, criterion: nn.Module, device: torch.device
) -> MicroBatchFinder:
    """Return what tries out how much of a batch fits into the memory."""
    precision = Precision("fp32" if config["precision"] == "auto" else config["precision"], device)
    freezing = built.freezing
    still = freezing.norms if freezing.is_frozen and freezing.unfreeze_epoch is None else ()
    dummy = functools.partial(built.task.dummy, mixed=built.augment.mixes)
    return MicroBatchFinder(built.model, criterion, precision, dummy, device, still)


def build_learner(
    config: Config,
    trust: Sequence[str] | None,
    built: Components,
    criterion: nn.Module,
    steps_per_epoch: int,
    has_idle: bool,
) -> Learner:
    """Put together what is trained with all that changes it."""
    model, optimizer, device = built.model, built.optimizer, next(built.model.parameters()).device
    schedule = build_schedule(OptimizerSettings.from_config(config), trust, optimizer, steps_per_epoch)

    def another(params: list[nn.Parameter]) -> Optimizer:
        found: Optimizer = build("optim", built.optim, Optimizer, trust, params=params)
        return found

    return Learner(
        model,
        criterion,
        built.criterion,
        optimizer,
        schedule,
        Fresh(optimizer, schedule, another),
        Precision(config["precision"], device),
        built.freezing,
        MovingAverage(model, config["ema"]) if config["ema"] is not None else None,
        config["grad_clip"],
        config["accumulate"],
        has_idle,
    )
