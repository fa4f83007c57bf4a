"""Build all that a run needs before its first step, in reading order: data, model, optimizer, batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnntrain.compute.autotune import tune
from cnntrain.compute.engine import Engine
from cnntrain.compute.micro_batches import BatchPlan
from cnntrain.config.schema import Config
from cnntrain.config.sections import (
    DataSettings,
    EngineSettings,
    ModelSettings,
)
from cnntrain.data.augment.augment import Augment
from cnntrain.data.loader import EvalLoader, Normalize, TrainLoader
from cnntrain.data.open import Data, open_data
from cnntrain.data.sequences.standardize import normalizing
from cnntrain.data.trained_on import previous_run
from cnntrain.image_folder.members import EVERY_PART, RunSplit, recorded_split
from cnntrain.image_folder.walk import absolute
from cnntrain.run.components import (
    Components,
    build_components,
    build_learner,
    criterion_of_training,
    micro_batch_finder,
)
from cnntrain.runs.records import CheckpointState
from cnntrain.runtime import distributed
from cnntrain.runtime.console import Console
from cnntrain.runtime.ranks import rank, world_size
from cnntrain.runtime.rng import seed_apart, seed_everything
from cnntrain.tasks.base import Task
from cnntrain.training.components.device import compile_model, find_device, use_deterministic_algorithms
from cnntrain.training.components.trial import run_trial_step
from cnntrain.training.init_from import Start, recorded
from cnntrain.training.learner import Learner


@dataclass(frozen=True)
class Batches:
    """The batches that train, validate (None without a validation set) and test; how they are normalised."""

    train: TrainLoader
    val: EvalLoader | None
    test: EvalLoader
    normalize: Normalize

    def close(self) -> None:
        """End the processes that make batches."""
        for loader in (self.train, self.val, self.test):
            if loader is not None:
                loader.close()


@dataclass
class Setup:
    """A run before its first step.

    Args:
        config: the configuration as the run writes it down, with what was found out in place of what was
            left open.
        device: where the run computes.
        engine: how it computes.
        engine_in_words: the same, and what was measured.
        task: what is learnt.
        data: the images.
        batches: the batches of them.
        learner: what is trained.
        started: the record of the checkpoint whose weights the run began with, if it began with any.
        split: which images of a folder did what, if the run goes on.
    """

    config: Config
    device: torch.device
    engine: Engine
    engine_in_words: str
    task: Task
    data: Data
    batches: Batches
    learner: Learner
    started: dict[str, Any] | None
    split: RunSplit | None


def build_setup(
    config: Config,
    trust: Sequence[str] | None,
    console: Console,
    *,
    folder: Path | None = None,
    state: CheckpointState | None = None,
    data: Data | None = None,
    parts: dict[str, Any] | None = None,
) -> Setup:
    """Build all that a run needs before its first step, in the order in which it draws random numbers.

    Args:
        config: the configuration of ``train``. It is not changed.
        trust: packages that the configuration may name; None if it is what the user typed.
        console: where downloads are announced.
        folder: the run folder, if there is one.
        state: the checkpoint to go on from; None for a new run.
        data: the images, if they are open already.
        parts: gets the parts that may be of others, by their keys.
    """
    config, parts = with_absolute_root(config), {} if parts is None else parts
    device = find_device(config["device"])
    use_deterministic_algorithms(config["deterministic"])
    seed_everything(config["seed"])
    built = build_components(config, trust, device, console, folder, state)
    seed_apart(config["seed"], rank())
    split = None if state is None else split_to_keep(config, state, folder)
    data = data or read_data(config, trust, device, console, built.start, split, state)
    if built.start is not None:
        built.start.renew_head(built.model, data.train.class_names)
    criterion = criterion_of_training(config, built.criterion, data)
    parts.update(model=built.model, criterion=criterion, optim=built.optimizer, augment=built.augment)

    images, settings = len(data.train_indices), ModelSettings.from_config(config)
    words = built.task.called.words
    plan = BatchPlan(config["batch_size"], config["accumulate"])
    plan = plan.clipped(images, settings.shape, console, words)
    fitting = micro_batch_finder(config, built, criterion, device)
    plan, has_idle = run_trial_step(fitting, built.freezing, plan, images, state is None, console)
    engine, in_words = tune_engine(config, plan, built.task, built.model, criterion, device)
    config = with_facts(config, built, data, plan, engine)
    batches = batches_of(config, data, built.augment, device, engine)
    learner = build_learner(config, trust, built, criterion, len(batches.train), has_idle)
    parts["schedule"] = learner.schedule
    started = built.start.record() if built.start is not None else recorded(state)
    return Setup(config, device, engine, in_words, built.task, data, batches, learner, started, split)


def with_absolute_root(config: Config) -> Config:
    """Return a configuration with ``data.root`` as an absolute path: a run finds its data from any folder."""
    root = config["data"].get("root")
    if not isinstance(root, str) or not root:
        return config
    return {**config, "data": {**config["data"], "root": str(absolute(root))}}


def split_to_keep(config: Config, state: CheckpointState, folder: Path | None) -> RunSplit | None:
    """Return the split that a run which goes on keeps; None if its data are no folder."""
    source, before = config["data"]["source"], state["config"]["data"]["source"]
    return recorded_split(source, before, state.get("split"), folder, EVERY_PART)


def read_data(
    config: Config,
    trust: Sequence[str] | None,
    device: torch.device,
    console: Console,
    start: Start | None = None,
    split: RunSplit | None = None,
    state: CheckpointState | None = None,
) -> Data:
    """Read or open the images of a run; those of a run that goes on as it had them."""
    names = None if split is None or state is None else state["class_names"]
    earlier = previous_run(start.path, start.state, config["data"]["source"]) if start is not None else None
    settings = DataSettings.from_config(config)
    return distributed.rank_zero_first(
        lambda: open_data(settings, device, console, trust, names, split, earlier)
    )


def tune_engine(
    config: Config, plan: BatchPlan, task: Task, model: nn.Module, criterion: nn.Module, device: torch.device
) -> tuple[Engine, str]:
    """Find out how the model computes best here, and prepare the model.

    Returns:
        The engine, and in words what was found out.
    """
    settings = replace(EngineSettings.from_config(config), batch_size=plan.size, accumulate=plan.accumulate)
    engine, gain = distributed.on_rank_zero(lambda: tune(settings, model, criterion, task.dummy, device))
    engine.prepare(model)
    if config["compile"]:
        compile_model(model, settings.model.shape, device)
    several = f", {world_size()} processes" if world_size() > 1 else ""
    return engine, f"{engine}{gain}{', compiled' if config['compile'] else ''}{several}"


def with_facts(config: Config, built: Components, data: Data, plan: BatchPlan, engine: Engine) -> Config:
    """Return the configuration as the run writes it down, with what was found out."""
    val_fraction, split_seed = data.split
    return {
        **config,
        "data": {**config["data"], "val_fraction": val_fraction, "split_seed": split_seed},
        "optim": built.optim,
        "init_from": config["init_from"] if built.start is None else str(built.start.path),
        "batch_size": plan.size,
        "accumulate": plan.accumulate,
        "monitor": built.monitor.name,
        **asdict(engine),
    }


def batches_of(config: Config, data: Data, augment: Augment, device: torch.device, engine: Engine) -> Batches:
    """Make loaders of the data of a run."""
    size, seed, workers = config["batch_size"], config["seed"], config["workers"]
    normalize = normalizing(DataSettings.from_config(config), device, engine.memory_format)
    train = TrainLoader(data.train, data.train_indices, size, seed, augment, normalize, device, workers)
    evaluating = (config["eval_batch_size"], normalize, device, workers)
    val = EvalLoader(data.train, data.val_indices, *evaluating) if len(data.val_indices) else None
    test = EvalLoader(data.test, torch.arange(len(data.test)), *evaluating)
    return Batches(train, val, test, normalize)
