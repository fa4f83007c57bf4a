"""Build the parts of a run in reading order, and run it. Nothing below this module sees the configuration."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cnntrain import loop
from cnntrain.compute import ddp
from cnntrain.compute.autotune import settle
from cnntrain.compute.engine import Engine
from cnntrain.compute.micro_batches import BatchPlan, Fitting
from cnntrain.compute.precision import Precision
from cnntrain.config.instantiate import build
from cnntrain.config.schema import Config
from cnntrain.config.sections import (
    CriterionSettings,
    DataSettings,
    DoctorSettings,
    EngineSettings,
    ModelSettings,
    OptimizerSettings,
)
from cnntrain.data.augment.augment import Augment
from cnntrain.data.loader import EvalLoader, Normalize, TrainLoader
from cnntrain.data.open import Data, check_same_data, open_data
from cnntrain.data.streaming import StreamingDataset
from cnntrain.data.trained_on import earlier_run
from cnntrain.errors import CheckpointError, in_words
from cnntrain.image_folder import members
from cnntrain.image_folder.index import absolute
from cnntrain.image_folder.members import EVERY_PART, RunSplit, split_of
from cnntrain.loggers import Logged, Loggers, build_loggers
from cnntrain.optim.ema import MovingAverage
from cnntrain.optim.freezing import Freezing
from cnntrain.runs import checkpoint, run_folder, run_writes
from cnntrain.runs.records import EpochRow, RunSummary
from cnntrain.runtime import distributed
from cnntrain.runtime.console import Console
from cnntrain.runtime.ranks import is_main, rank, world_size
from cnntrain.runtime.rng import random_state_of, seed_apart, seed_everything, set_random_state
from cnntrain.tasks.base import Task
from cnntrain.tasks.classification.classes import check_same
from cnntrain.tasks.classification.predictions import Predictions, Verdicts
from cnntrain.tasks.metrics import Result
from cnntrain.text import printable
from cnntrain.training.components import in_use
from cnntrain.training.components.components import build_freezing, build_model, build_task
from cnntrain.training.components.criterion import balanced, build_criterion
from cnntrain.training.components.device import be_deterministic, compile_model, find_device
from cnntrain.training.components.foresight import check_size
from cnntrain.training.components.optimizer import build_optimizer, build_schedule, without_fused
from cnntrain.training.components.trial import try_out
from cnntrain.training.display import show_end, show_findings, show_header
from cnntrain.training.doctor.diagnosis import Finding
from cnntrain.training.doctor.diagnostics import EXAMINED, evenly
from cnntrain.training.doctor.doctor import Doctor, Seen
from cnntrain.training.init_from import Start, recorded, start_from
from cnntrain.training.learner import Learner
from cnntrain.training.record import about, summarize, write_yaml
from cnntrain.training.restoring import Fresh
from cnntrain.training.trainer import AfterEpoch, Budget, Output, Trainer

IMAGES_LOGGED = 64


def nothing_after_epoch(row: EpochRow) -> None:
    """Let an epoch end without anything further."""


def train(
    config: Config,
    folder: Path,
    trust: Sequence[str] | None = None,
    after_epoch: AfterEpoch = nothing_after_epoch,
    state: dict[str, Any] | None = None,
    header: bool = True,
) -> RunSummary:
    """Train a new model, or go on with one to the same end; then test the best epoch once.

    Args:
        config: the configuration of ``train``, checked, as plain types. It is not changed.
        folder: the run folder. That of a new run exists and holds no run.
        trust: packages that the configuration may name; None if it is what the user typed.
        after_epoch: is given each epoch's row of metrics.csv; what it raises ends the run there.
        state: the checkpoint to go on from; None for a new run.
        header: whether the screen shows what is trained on what.

    Returns:
        What is written to ``summary.json``.
    """
    begin = time.monotonic()
    parts: dict[str, Any] = {}  # of others, perhaps, that may fail in use
    with claimed(folder, state is None), in_use.named(parts, folder), run_writes.writing(folder):
        console = Console(config["verbose"], folder / "train.log") if is_main() else Console(-1)
        loggers = Loggers(build_loggers(config.get("logger") or {}, trust) if is_main() else {}, console)
        setup = assemble(config, trust, console, folder=folder, state=state, parts=parts)
        trainer = build_trainer(setup, trust, folder, console, in_turn(loggers.epoch, after_epoch))
        show_header(
            trainer, setup.config, setup.data, setup.engine_in_words, setup.started, 1 if header else 2
        )
        if state is not None:
            restore(trainer, setup.data, state)
        write_down(setup, folder, trust)
        history, images = trainer.progress.history, setup.batches.train
        loggers.begin(
            lambda: Logged(folder, setup.config, setup.task.scores, history, images.look(IMAGES_LOGGED))
        )
        with loggers:
            trainer.fit()
        return finish(setup, trainer, loggers, begin)


def resume(config: Config, folder: Path, state: dict[str, Any]) -> RunSummary:
    """Go on with a run where its checkpoint left it, to the same end as if it had never stopped.

    Args:
        config: the checkpoint's configuration, amended.
        folder: the run folder.
        state: the checkpoint.
    """
    return train(without_trust(config), folder, config["trust"], state=state)


def without_trust(config: Config) -> Config:
    """Return a configuration without ``trust``, which is of a command and not of a run."""
    return {name: value for name, value in config.items() if name != "trust"}


@contextmanager
def claimed(folder: Path, is_new: bool) -> Iterator[None]:
    """Keep other processes out of a run folder, and remove what one that was killed left unfinished.

    Raises:
        UserError: another process has it, or it holds a run and this is a new one.
    """
    if not is_main():
        yield
        return
    with run_folder.locked(folder):
        if is_new:
            run_folder.check_still_new(folder)
        run_writes.remove_temporaries(folder)
        yield


@dataclass
class Components:
    """What the configuration names, each tried before any data is read."""

    task: Task
    model: nn.Module
    criterion: nn.Module
    start: Start | None
    freezing: Freezing
    optim: Mapping[str, Any]
    optimizer: Optimizer
    augment: Augment


@dataclass(frozen=True)
class Batches:
    """The batches that train, validate (None without a validation set) and test; how they are normalised."""

    train: TrainLoader
    val: EvalLoader | None
    test: EvalLoader
    normalize: Normalize


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
        batches: of them.
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


def assemble(
    config: Config,
    trust: Sequence[str] | None,
    console: Console,
    *,
    folder: Path | None = None,
    state: dict[str, Any] | None = None,
    data: Data | None = None,
    parts: dict[str, Any] | None = None,
) -> Setup:
    """Build all that a run needs before its first step, in the order in which it draws random numbers.

    Args:
        config: the configuration of ``train``. It is not changed.
        trust: packages that the configuration may name; None if it is what the user typed.
        console: told before anything is downloaded.
        folder: the run folder, if there is one.
        state: the checkpoint to go on from; None for a new run.
        data: the images, if they are open already.
        parts: gets the parts that may be of others, by their keys.
    """
    config, parts = with_absolute_root(config), {} if parts is None else parts
    device = find_device(config["device"])
    be_deterministic(config["deterministic"])
    seed_everything(config["seed"])
    built = build_components(config, trust, device, console, folder, state)
    seed_apart(config["seed"], rank())
    split = split_of(config["data"]["source"], state, folder, EVERY_PART)
    data = data or read_data(config, trust, device, console, built.start, split, state)
    if built.start is not None:
        built.start.renew_head(built.model, data.train.class_names)
    criterion = criterion_of_training(config, built.criterion, data)
    parts.update(model=built.model, criterion=criterion, optim=built.optimizer, augment=built.augment)

    images, settings = len(data.train_indices), ModelSettings.of(config)
    plan = BatchPlan(config["batch_size"], config["accumulate"]).clipped(images, settings.shape, console)
    fitting = fitting_of(config, built, criterion, device)
    plan, has_idle = try_out(fitting, built.freezing, plan, images, state is None, console)
    engine, in_words = settle_engine(config, plan, built.task, built.model, criterion, device)
    config = as_found(config, built, data, plan, engine)
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


def build_components(
    config: Config,
    trust: Sequence[str] | None,
    device: torch.device,
    console: Console,
    folder: Path | None = None,
    state: dict[str, Any] | None = None,
) -> Components:
    """Build what the configuration names. No data is read."""
    settings = ModelSettings.of(config)
    task = build_task(settings, trust)
    if state is not None and folder is not None:
        last = folder / run_folder.CHECKPOINTS / checkpoint.LAST
        check_size(settings, state["model"], last, trust)
    model = build_model(settings, trust).to(device)
    criterion = build_criterion(CriterionSettings.of(config), trust, task).to(device)
    start = None
    if state is None and config["init_from"] is not None:  # the run's own checkpoint needs no other
        start = start_from(config["init_from"], model, settings)
    freezing = build_freezing(model, config["freeze"], config["unfreeze_epoch"], settings.num_classes)
    if freezing.names and start is None and state is None and not config["model"].get("weights"):
        console.warn("what is frozen keeps random weights: init_from=RUN gives it some that have learnt")
    optim = without_fused(config["optim"], model)
    optimizer = build_optimizer(replace(OptimizerSettings.of(config), optim=optim), trust, model)
    augment = build("augment", config["augment"], Augment, trust)
    return Components(task, model, criterion, start, freezing, optim, optimizer, augment)


def read_data(
    config: Config,
    trust: Sequence[str] | None,
    device: torch.device,
    console: Console,
    start: Start | None = None,
    split: RunSplit | None = None,
    state: dict[str, Any] | None = None,
) -> Data:
    """Read or open the images of a run; those of a run that goes on as it had them."""
    names = None if split is None or state is None else state["class_names"]
    earlier = earlier_run(start.path, start.state, config["data"]["source"]) if start is not None else None
    settings = DataSettings.of(config)
    return distributed.main_first(lambda: open_data(settings, device, console, trust, names, split, earlier))


def criterion_of_training(config: Config, criterion: nn.Module, data: Data) -> nn.Module:
    """Return the loss in training, with class weights if ``balance_classes`` asks for them."""
    if not config["balance_classes"]:
        return criterion
    return balanced(criterion, data.train.labels[data.train_indices], config["data"]["num_classes"])


def fitting_of(config: Config, built: Components, criterion: nn.Module, device: torch.device) -> Fitting:
    """Return what tries out how much of a batch fits into the memory."""
    precision = Precision("fp32" if config["precision"] == "auto" else config["precision"], device)
    freezing = built.freezing
    still = freezing.norms if freezing.is_frozen and freezing.unfreeze_epoch is None else ()
    dummy = functools.partial(built.task.dummy, mixed=built.augment.mixes)
    return Fitting(built.model, criterion, precision, dummy, device, still)


def settle_engine(
    config: Config, plan: BatchPlan, task: Task, model: nn.Module, criterion: nn.Module, device: torch.device
) -> tuple[Engine, str]:
    """Find out how the model computes best here, and prepare the model.

    Returns:
        The engine, and in words what was found out.
    """
    settings = replace(EngineSettings.of(config), batch_size=plan.size, accumulate=plan.accumulate)
    engine, gain = distributed.by_main(lambda: settle(settings, model, criterion, task.dummy, device))
    engine.prepare(model)
    if config["compile"]:
        compile_model(model, settings.model.shape, device)
    several = f", {world_size()} processes" if world_size() > 1 else ""
    return engine, f"{engine}{gain}{', compiled' if config['compile'] else ''}{several}"


def as_found(config: Config, built: Components, data: Data, plan: BatchPlan, engine: Engine) -> Config:
    """Return the configuration as the run writes it down, with what was found out."""
    val_fraction, split_seed = data.split
    return {
        **config,
        "data": {**config["data"], "val_fraction": val_fraction, "split_seed": split_seed},
        "optim": built.optim,
        "init_from": config["init_from"] if built.start is None else str(built.start.path),
        "batch_size": plan.size,
        "accumulate": plan.accumulate,
        **asdict(engine),
    }


def batches_of(config: Config, data: Data, augment: Augment, device: torch.device, engine: Engine) -> Batches:
    """Make loaders of the data of a run."""
    size, seed, workers = config["batch_size"], config["seed"], config["workers"]
    normalize = Normalize(config["data"]["mean"], config["data"]["std"], device, engine.memory_format)
    train = TrainLoader(data.train, data.train_indices, size, seed, augment, normalize, device, workers)
    evaluating = (config["eval_batch_size"], normalize, device, workers)
    val = EvalLoader(data.train, data.val_indices, *evaluating) if len(data.val_indices) else None
    test = EvalLoader(data.test, torch.arange(len(data.test)), *evaluating)
    return Batches(train, val, test, normalize)


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
    schedule = build_schedule(OptimizerSettings.of(config), trust, optimizer, steps_per_epoch)

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


def build_trainer(
    setup: Setup, trust: Sequence[str] | None, folder: Path, console: Console, after_epoch: AfterEpoch
) -> Trainer:
    """Put together what trains: the learner, its batches, a budget and where to write."""
    config, learner, batches = setup.config, setup.learner, setup.batches
    budget = Budget(
        config["epochs"],
        setup.task.scores.monitored(config["monitor"]),
        config["early_stopping"],
        config["save_every_steps"],
        config["save_every_minutes"],
    )
    contents = about(config, DataSettings.of(config), setup.data, setup.started, trust)
    output = Output(folder, console, contents, after_epoch)
    doctor = None
    if config["doctor"] and setup.task.is_examined:
        does = DoctorSettings.of(config)
        doctor = Doctor(learner.model, learner.optimizer, learner.criterion, learner.precision, does)
    return Trainer(learner, batches.train, batches.val, setup.task, budget, output, doctor)


def in_turn(*observers: AfterEpoch) -> AfterEpoch:
    """Return what tells several observers of each epoch, one after the other."""

    def tell(row: EpochRow) -> None:
        for observer in observers:
            observer(row)

    return tell


def restore(trainer: Trainer, data: Data, state: dict[str, Any]) -> None:
    """Bring everything to where a checkpoint was, the random generators last of all.

    Raises:
        UserError: the data are others than the run began with.
        CheckpointError: what it holds does not fit what its configuration describes.
    """
    check_same_data(state, data)
    check_same(data.train.class_names, state["class_names"])
    try:
        trainer.load_state_dict(state)
        set_random_state(random_state_of(rank(), [state["random"], *state["random_of_others"]]))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(
            f"the checkpoint does not fit its own configuration: {printable(in_words(error))}"
        ) from error
    trainer.output.console.line(
        f"\nresumed after step {trainer.progress.step:,}, {trainer.progress.epoch} of "
        f"{trainer.budget.epochs} epochs done"
    )


def write_down(setup: Setup, folder: Path, trust: Sequence[str] | None) -> None:
    """Write what the run is into its folder: the configuration and, of a folder of images, who does what."""
    if not is_main():
        return
    write_yaml(folder / "config.yaml", setup.config, trust)
    if setup.data.record is not None and (setup.split is None or setup.split.members is None):
        members.write(folder, setup.data.record)
    run_folder.remember(folder)


def finish(setup: Setup, trainer: Trainer, loggers: Loggers, begin: float) -> RunSummary:
    """Test the best epoch once, and write and show what came of the run.

    Args:
        setup: the run as it began.
        trainer: the run, trained.
        loggers: learn how the run ended.
        begin: when the run began, by the monotonic clock, in seconds.

    Returns:
        What is written to ``summary.json``.
    """
    config, data, console, folder = setup.config, setup.data, trainer.output.console, trainer.output.folder
    result, verdicts = test(setup, trainer)
    found = diagnose(setup, trainer)
    seconds = time.monotonic() - begin
    summary = summarize(config["seed"], trainer, result, found, data, setup.device, seconds, setup.started)
    if is_main():
        run_folder.write_json(folder / "summary.json", summary)
    loggers.end(summary)
    # A sweep tells the test result of its best job alone.
    is_job = (folder.parent / run_folder.SWEEP).exists()
    show_end(console, folder, trainer, result, data.train.class_names, tells_test=not is_job)
    if not is_job:
        loggers.show()
    doctor = trainer.doctor
    show_findings(console, [finding for finding in found if doctor and finding != doctor.told])
    if config.get("report") and verdicts is not None and is_main():
        from cnntrain.report.entry import after_training  # which imports matplotlib

        normalize = setup.batches.normalize
        after_training(console, config, summary, trainer, data, normalize, result, verdicts)
    return summary


def test(setup: Setup, trainer: Trainer) -> tuple[Result, Verdicts | None]:
    """Evaluate the best epoch on the test images; its weights stay in the model."""
    learner, output, seen = setup.learner, trainer.output, Predictions()
    if is_main():
        best = output.folder / run_folder.CHECKPOINTS / checkpoint.BEST
        learner.model.load_state_dict(checkpoint.load(best)["model"])
    ddp.same_weights(learner.model)
    result = loop.evaluate(
        learner.model,
        output.console.followed(setup.batches.test, "testing"),
        learner.val_criterion,
        setup.task.evaluation(setup.device),
        learner.precision,
        after_batch=seen.add,
    )
    return result, seen.joined() if setup.task.is_examined else None


def diagnose(setup: Setup, trainer: Trainer) -> list[Finding]:
    """Return the problems of a run that has ended, if its doctor finds any."""
    if trainer.doctor is None or not is_main():
        return []
    try:
        return trainer.doctor.findings(trainer.progress.history, seen_by_doctor(setup))
    except Exception as error:  # whatever a model of the user's raises where it is copied, say
        trainer.output.console.warn(
            f"the training can't be checked for problems: {in_words(error)}; doctor=false skips it"
        )
        return []


def seen_by_doctor(setup: Setup) -> Seen:
    """Return the images that the doctor looks at: some training and validation images, as they are."""
    data, size, workers = setup.data, setup.config["eval_batch_size"], setup.config["workers"]
    labels, names = data.train.labels.cpu()[data.train_indices], data.train.class_names

    def some(indices: Tensor) -> EvalLoader:
        chosen = indices[evenly(EXAMINED, len(indices))]
        return EvalLoader(data.train, chosen, size, setup.batches.normalize, setup.device, workers)

    return Seen(
        labels.bincount(minlength=len(names)).tolist(),
        names,
        len(data.val_indices),
        some(data.train_indices),
        some(data.val_indices) if len(data.val_indices) else None,
        isinstance(data.train, StreamingDataset),
    )
