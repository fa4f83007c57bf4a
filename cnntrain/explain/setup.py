"""What the explanations work with: the parts of a run, put together as ``train`` does; a trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cnntrain import loop
from cnntrain.compute.autotune import tune
from cnntrain.compute.engine import Engine
from cnntrain.compute.precision import Precision
from cnntrain.config.schema import Config
from cnntrain.config.sections import (
    CriterionSettings,
    EngineSettings,
    ExplainSettings,
    PreviousRunSettings,
    Shape,
    TrainedSettings,
)
from cnntrain.data.loader import Normalize, TrainLoader
from cnntrain.data.open import Data, open_data, warn_of_no_record
from cnntrain.explain.table import Subject
from cnntrain.image_folder.members import recorded_split
from cnntrain.inference.model import Trained
from cnntrain.language.translation import tr
from cnntrain.optim.freezing import Freezing
from cnntrain.run import setup as run_setup
from cnntrain.runs.records import CheckpointState
from cnntrain.runs.run_folder import CHECKPOINTS
from cnntrain.runtime.console import Console
from cnntrain.tasks.base import Batch, Task
from cnntrain.tasks.classes import check_same
from cnntrain.tasks.metrics import RunningMean
from cnntrain.text import network_name
from cnntrain.training.components.components import build_model, build_task
from cnntrain.training.components.criterion import build_criterion


@dataclass
class TrainingSetup:
    """All that the five steps need, as a run has it before its first step."""

    settings: ExplainSettings
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
    task: Task

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, counted from 0, as a run trains on them."""
        return self.task.collate(self.freezing.keep(self.model, self.batches.epoch(epoch)))


@dataclass
class ExplainedModel:
    """A model that has learnt, and what it is looked at with.

    Args:
        name: the name in tables and images.
        shape: channels, height and width of an image.
        shift: pixels that its training moved the images by, at most.
        model: the model in evaluation mode.
        precision: the number format of its forward pass.
        data: the images.
        normalize: turns bytes into what the model takes.
        task: what it has learnt.
    """

    name: str
    shape: Shape
    shift: int
    model: nn.Module
    precision: Precision
    data: Data
    normalize: Normalize
    task: Task


def tuned_engine(settings: EngineSettings, criterion: CriterionSettings, device: torch.device) -> Engine:
    """Return the engine that a run would choose here, which reads no data."""
    task = build_task(settings.model, None)
    model = build_model(settings.model, None).to(device)
    loss = build_criterion(criterion, None, task).to(device)
    engine, _ = tune(settings, model, loss, task.dummy, device)
    return engine


def build_setup(config: Config, console: Console, data: Data | None = None) -> TrainingSetup:
    """Put the parts of a run together, as ``train`` does.

    Args:
        config: the configuration of a run, checked, as plain types.
        console: where downloads are announced.
        data: the images, if they are open already.
    """
    setup = run_setup.build_setup({**config, "compile": False}, None, console, data=data)
    learner, batches = setup.learner, setup.batches
    return TrainingSetup(
        ExplainSettings.from_config(setup.config),
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
        setup.task,
    )


def builder(config: Config, console: Console) -> Callable[[], TrainingSetup]:
    """Return a function that builds the parts of a run again at each call; the data are read once."""
    opened: list[Data] = []

    def build() -> TrainingSetup:
        parts = build_setup(config, console, *opened)
        opened[:] = [parts.data]
        return parts

    return build


def train(
    parts: TrainingSetup, optimizer: Any, console: Console, name: str, metrics: RunningMean | None = None
) -> None:
    """Train for the configured epochs, with a bar.

    Args:
        parts: the parts of the run.
        optimizer: theirs, as it is to be called.
        console: where the bar is shown.
        name: the name of what is trained.
        metrics: updated with every batch.
    """
    settings = parts.settings
    bars = console.bar(settings.epochs * len(parts.batches), 0, tr("training {name}", name=name))
    with closing(parts.batches), bars as bar:

        def after_step() -> None:
            bar.update()

        for epoch in range(settings.epochs):
            parts.freezing.begin_epoch(parts.model, epoch)
            loop.train_epoch(
                parts.model,
                parts.epoch(epoch),
                parts.criterion,
                optimizer,
                parts.schedule,
                precision=parts.precision,
                grad_clip=settings.grad_clip,
                accumulate=settings.accumulate,
                metrics=metrics,
                after_step=after_step,
            )


def trained(config: Config, console: Console, data: Data | None = None) -> ExplainedModel:
    """Train a model for the configured epochs, as a run would, and keep it as it is then."""
    parts = build_setup(config, console, data)
    settings = parts.settings
    name = network_name(settings.model.node, type(parts.model).__name__)
    train(parts, parts.precision.wrap(parts.optimizer), console, name)
    model = parts.model.eval()
    about = name, settings.data.shape, shift_of(settings)
    return ExplainedModel(*about, model, parts.precision, parts.data, parts.normalize, parts.task)


def shift_of(settings: ExplainSettings) -> int:
    """Return the pixels that augmentation moves images by, at most; 0 for one of the user's own."""
    return settings.augment.get("shift") or 0


def of_run(config: Config, path: Path, state: CheckpointState, console: Console) -> ExplainedModel:
    """Return the model of a checkpoint.

    Args:
        config: the checkpoint's, overridden.
        path: the checkpoint file.
        state: its contents.
        console: where downloads are announced.
    """
    settings = TrainedSettings.from_config(config)
    loaded = Trained(settings, path, state)
    folder = path.parent.parent if path.parent.name == CHECKPOINTS else None
    before = PreviousRunSettings.from_config(state["config"]).source
    split = recorded_split(settings.data.source, before, state.get("split"), folder, ("test",))
    data = open_data(settings.data, loaded.device, console, settings.trust, loaded.class_names, split)
    if split is not None and split.members is None:
        warn_of_no_record(split, state, data, settings.data.root or "", console)
    check_same(data.train.class_names, loaded.class_names)
    name = path.parent.parent.absolute().name if path.parent.name == CHECKPOINTS else path.name
    about = name, settings.data.shape, shift_of(ExplainSettings.from_config(config))
    return ExplainedModel(*about, loaded.model, loaded.precision, data, loaded.normalize, loaded.task)


def explained_models(subjects: Sequence[Subject], console: Console) -> list[ExplainedModel]:
    """Return a trained model for each subject: a run's own, or one that is trained now."""
    found: list[ExplainedModel] = []
    for subject in subjects:
        if subject.state is not None and subject.path is not None:
            found.append(of_run(subject.config, subject.path, subject.state, console))
        else:
            # Subjects that are trained now differ in their models alone, so they share the data.
            found.append(trained(subject.config, console, found[0].data if found else None))
        same = sum(other.name.partition(" (")[0] == found[-1].name for other in found)
        found[-1].name += f" ({same})" if same > 1 else ""
    return found
