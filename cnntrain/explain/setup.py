"""What the explanations work with: the parts of a run, put together as ``train`` does; a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cnntrain import loop
from cnntrain.compute.autotune import settle
from cnntrain.compute.engine import Engine
from cnntrain.compute.precision import Precision
from cnntrain.config.schema import Config
from cnntrain.config.sections import (
    CriterionSettings,
    DataSettings,
    EngineSettings,
    ModelSettings,
    TrainedSettings,
)
from cnntrain.data.loader import Normalize, TrainLoader
from cnntrain.data.open import Data, open_data, warn_of_no_record
from cnntrain.explain.subject import Subject
from cnntrain.image_folder.members import split_of
from cnntrain.inference.model import Trained
from cnntrain.optim.freezing import Freezing
from cnntrain.run import setup as run_setup
from cnntrain.runs.records import CheckpointState
from cnntrain.runs.run_folder import CHECKPOINTS
from cnntrain.runtime.console import Console
from cnntrain.tasks.classes import check_same
from cnntrain.tasks.metrics import RunningMean
from cnntrain.text import network_name
from cnntrain.training.components.components import build_model, build_task
from cnntrain.training.components.criterion import build_criterion
from cnntrain.training.components.device import find_device


@dataclass
class Parts:
    """All that the five steps need, as a run with this configuration has it before its first step."""

    config: Config
    device: torch.device
    precision: Precision
    model: nn.Module
    criterion: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    batches: TrainLoader
    data: Data
    normalize: Normalize
    freezing: Freezing


@dataclass
class Examined:
    """A model that has learnt, and what it is looked at with.

    Args:
        name: in tables and images.
        config: what it was built from.
        model: in evaluation mode.
        precision: the number format of its forward pass.
        data: the images.
        normalize: turns bytes into what the model takes.
    """

    name: str
    config: Config
    model: nn.Module
    precision: Precision
    data: Data
    normalize: Normalize


def settled_engine(config: Config) -> Engine:
    """Return the engine that a run would choose here, which reads no data."""
    device = find_device(config["device"])
    settings = ModelSettings.of(config)
    task = build_task(settings, None)
    model = build_model(settings, None).to(device)
    criterion = build_criterion(CriterionSettings.of(config), None, task).to(device)
    engine, _ = settle(EngineSettings.of(config), model, criterion, task.dummy, device)
    return engine


def assemble(config: Config, console: Console, data: Data | None = None) -> Parts:
    """Put the parts of a run together, as ``train`` does.

    Args:
        config: the configuration of a run, checked, as plain types.
        console: told before anything is downloaded.
        data: the images, if they are open already.
    """
    setup = run_setup.assemble({**config, "compile": False}, None, console, data=data)
    learner, batches = setup.learner, setup.batches
    return Parts(
        setup.config,
        setup.device,
        learner.precision,
        learner.model,
        learner.criterion,
        learner.optimizer,
        learner.schedule,
        batches.train,
        setup.data,
        batches.normalize,
        learner.freezing,
    )


def train(
    parts: Parts, optimizer: Any, console: Console, name: str, metrics: RunningMean | None = None
) -> None:
    """Train for the configured epochs, with a bar.

    Args:
        parts: of the run.
        optimizer: theirs, as it is to be called.
        console: where the bar is shown.
        name: of what is trained.
        metrics: told of every batch.
    """
    with console.bar(parts.config["epochs"] * len(parts.batches), 0, f"training {name}") as bar:

        def after_step() -> None:
            bar.update()

        for epoch in range(parts.config["epochs"]):
            parts.freezing.begin_epoch(parts.model, epoch)
            loop.train_epoch(
                parts.model,
                parts.freezing.keep(parts.model, parts.batches.epoch(epoch)),
                parts.criterion,
                optimizer,
                parts.schedule,
                precision=parts.precision,
                grad_clip=parts.config["grad_clip"],
                accumulate=parts.config["accumulate"],
                metrics=metrics,
                after_step=after_step,
            )


def trained(config: Config, console: Console, data: Data | None = None) -> Examined:
    """Train a model for the configured epochs, as a run would, and keep it as it is then."""
    parts = assemble(config, console, data)
    name = network_name(config["model"], type(parts.model).__name__)
    train(parts, parts.precision.wrap(parts.optimizer), console, name)
    return Examined(name, parts.config, parts.model.eval(), parts.precision, parts.data, parts.normalize)


def of_run(config: Config, path: Path, state: CheckpointState, console: Console) -> Examined:
    """Return the model of a checkpoint.

    Args:
        config: the checkpoint's, amended.
        path: the checkpoint file.
        state: its contents.
        console: told before anything is downloaded.
    """
    loaded = Trained(TrainedSettings.of(config), path, state)
    folder = path.parent.parent if path.parent.name == CHECKPOINTS else None
    split = split_of(config["data"]["source"], state, folder, ("test",))
    data = open_data(
        DataSettings.of(config), loaded.device, console, config["trust"], loaded.class_names, split
    )
    if split is not None and split.members is None:
        warn_of_no_record(split, state, data, config["data"]["root"], console)
    check_same(data.train.class_names, loaded.class_names)
    name = path.parent.parent.absolute().name if path.parent.name == CHECKPOINTS else path.name
    return Examined(name, config, loaded.model, loaded.precision, data, loaded.normalize)


def examined(subjects: Sequence[Subject], console: Console) -> list[Examined]:
    """Return a trained model for each subject: a run's own, or one that is trained now."""
    found: list[Examined] = []
    for subject in subjects:
        if subject.state is not None and subject.path is not None:
            found.append(of_run(subject.config, subject.path, subject.state, console))
        else:
            # Subjects that are trained now differ in their models alone, so they share the data.
            found.append(trained(subject.config, console, found[0].data if found else None))
        same = sum(other.name.partition(" (")[0] == found[-1].name for other in found)
        found[-1].name += f" ({same})" if same > 1 else ""
    return found
