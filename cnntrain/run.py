"""Build the parts of a run in reading order, and run it. Nothing below this module sees the configuration."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cnntrain import loop
from cnntrain.compute import ddp
from cnntrain.compute.autotune import settle
from cnntrain.compute.engine import Engine
from cnntrain.compute.micro_batches import clip_batch_size
from cnntrain.compute.precision import Precision
from cnntrain.config.instantiate import build
from cnntrain.config.schema import Config, input_shape
from cnntrain.data.augment.augment import Augment
from cnntrain.data.loader import EvalLoader, Normalize, TrainLoader
from cnntrain.data.open import Data, check_same_data, open_data, train_loader
from cnntrain.data.streaming import StreamingDataset
from cnntrain.data.trained_on import earlier_run
from cnntrain.errors import CheckpointError, in_words
from cnntrain.image_folder import members
from cnntrain.image_folder.index import absolute
from cnntrain.image_folder.members import EVERY_PART, split_of
from cnntrain.loggers import Logged, Loggers, build_loggers
from cnntrain.optim.ema import MovingAverage
from cnntrain.runs import checkpoint, run_folder, run_writes
from cnntrain.runs.records import EpochRow, RunSummary
from cnntrain.runtime import distributed
from cnntrain.runtime.console import Console
from cnntrain.runtime.ranks import is_main, rank, world_size
from cnntrain.runtime.rng import random_state_of, seed_apart, seed_everything, set_random_state
from cnntrain.tasks.classification.classes import check_same
from cnntrain.tasks.classification.predictions import Predictions
from cnntrain.text import printable
from cnntrain.training.components import in_use
from cnntrain.training.components.components import build_freezing, build_model, build_task
from cnntrain.training.components.criterion import balanced, build_criterion
from cnntrain.training.components.device import be_deterministic, compile_model, find_device
from cnntrain.training.components.foresight import check_size
from cnntrain.training.components.optimizer import build_optimizer, build_schedule
from cnntrain.training.components.trial import try_out
from cnntrain.training.display import show_end, show_findings, show_header
from cnntrain.training.doctor.diagnosis import Finding
from cnntrain.training.doctor.diagnostics import EXAMINED, evenly
from cnntrain.training.doctor.doctor import Doctor, Seen
from cnntrain.training.init_from import recorded, start_from
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
) -> RunSummary:
    """Train a new model in a new run folder.

    Args:
        config: the configuration of ``train``, checked, as plain types.
        folder: the run folder, which exists and holds no run.
        trust: packages that the configuration may name; None if it is what the user typed.
        after_epoch: is given each epoch's row of metrics.csv; what it raises ends the run there.

    Returns:
        What is written to ``summary.json``.
    """
    return work(config, folder, None, trust, after_epoch)


def resume(config: Config, folder: Path, state: dict[str, Any]) -> RunSummary:
    """Go on with a run where its checkpoint left it, to the same end as if it had never stopped.

    Args:
        config: the checkpoint's configuration, amended.
        folder: the run folder.
        state: the checkpoint.
    """
    trust = config.pop("trust")
    return work(config, folder, state, trust)


def work(
    config: Config,
    folder: Path,
    state: dict[str, Any] | None,
    trust: Sequence[str] | None,
    after_epoch: AfterEpoch = nothing_after_epoch,
    header: bool = True,
) -> RunSummary:
    """Train from the beginning or from a checkpoint, then test the best epoch once."""
    begin = time.monotonic()
    config["data"].update(absolute_root(config["data"]))
    parts: dict[str, Any] = {}  # of others, perhaps, that may fail in use
    lock = run_folder.locked(folder) if is_main() else nullcontext()
    with lock, in_use.named(parts, folder), run_writes.writing(folder):
        if is_main():
            if state is None:
                run_folder.check_still_new(folder)
            run_writes.remove_temporaries(folder)
        console = Console(config["verbose"], folder / "train.log") if is_main() else Console(-1)
        device = find_device(config["device"])
        be_deterministic(config["deterministic"])

        seed_everything(config["seed"])
        if state is not None:
            check_size(config, state["model"], folder / run_folder.CHECKPOINTS / checkpoint.LAST, trust)
        task = build_task(config)
        model = build_model(config, trust).to(device)
        criterion = build_criterion(config, trust).to(device)
        start = None
        if state is None and config["init_from"] is not None:  # the run's own checkpoint needs no other
            start = start_from(config["init_from"], model, config)
        freezing = build_freezing(config, model)
        if freezing.names and start is None and state is None and not config["model"].get("weights"):
            console.warn("what is frozen keeps random weights: init_from=RUN gives it some that have learnt")
        optimizer = build_optimizer(config, trust, model)
        augment = build("augment", config["augment"], Augment, trust)
        loggers = Loggers(build_loggers(config, trust) if is_main() else {}, console)
        seed_apart(config["seed"], rank())

        split = split_of(config, state, folder, EVERY_PART)
        names = None if split is None or state is None else state["class_names"]
        earlier = earlier_run(start.path, start.state, config) if start is not None else None
        data = distributed.main_first(
            lambda: open_data(config, device, console, trust, names, split, earlier)
        )
        if start is not None:
            start.renew_head(model, data.train.class_names)
            config["init_from"] = str(start.path)
        started = start.record() if start is not None else recorded(state)
        val_criterion = criterion
        if config["balance_classes"]:
            labels = data.train.labels[data.train_indices]
            criterion = balanced(criterion, labels, config["data"]["num_classes"])
        clip_batch_size(config, len(data.train_indices), console)
        parts.update(model=model, criterion=criterion, optim=optimizer, augment=augment)
        idle = try_out(config, model, criterion, augment, freezing, len(data.train_indices), state, console)
        engine, engine_in_words = settle_engine(config, model, criterion, device)
        precision = Precision(engine.precision, device)
        batches = batches_of(config, data, augment, device, engine)
        schedule = parts["schedule"] = build_schedule(config, trust, optimizer, len(batches.train))

        learner = Learner(
            model,
            criterion,
            val_criterion,
            optimizer,
            schedule,
            Fresh(
                optimizer,
                schedule,
                lambda params: build("optim", config["optim"], Optimizer, trust, params=params),
            ),
            precision,
            freezing,
            MovingAverage(model, config["ema"]) if config["ema"] is not None else None,
            config["grad_clip"],
            config["accumulate"],
            idle,
        )
        trainer = Trainer(
            learner,
            batches.train,
            batches.val,
            task,
            Budget(
                config["epochs"],
                task.scores.monitored(config["monitor"]),
                config["early_stopping"],
                config["save_every_steps"],
                config["save_every_minutes"],
            ),
            Output(folder, console, about(config, data, started, trust), in_turn(loggers.epoch, after_epoch)),
            Doctor(model, optimizer, criterion, precision, config) if config["doctor"] else None,
        )
        show_header(
            console, config, folder, trainer, data, device, engine_in_words, started, level=1 if header else 2
        )
        if state is not None:
            check_same_data(state, data)
            check_same(data.train.class_names, state["class_names"])
            restore(trainer, state)
            console.line(
                f"\nresumed after step {trainer.progress.step:,}, {trainer.progress.epoch} of "
                f"{config['epochs']} epochs done"
            )
        if is_main():
            write_yaml(folder / "config.yaml", config, trust)
            if data.record is not None and (split is None or split.members is None):
                members.write(folder, data.record)
            run_folder.remember(folder)
        history = trainer.progress.history
        loggers.begin(lambda: Logged(folder, config, task.scores, history, batches.train.look(IMAGES_LOGGED)))
        with loggers:
            trainer.fit()
        return finish(config, trainer, data, batches, loggers, started, begin)


def absolute_root(data: Mapping[str, Any]) -> dict[str, str]:
    """Return ``data.root`` as an absolute path, if there is one: a run finds its data from any folder."""
    root = data.get("root")
    return {"root": str(absolute(root))} if isinstance(root, str) and root else {}


def settle_engine(
    config: Config,
    model: nn.Module,
    criterion: nn.Module,
    device: torch.device,
) -> tuple[Engine, str]:
    """Find out how the model computes best here, note that in the configuration, and prepare the model.

    Returns:
        The engine, and in words what was found out.
    """
    engine, gain = distributed.by_main(lambda: settle(config, model, criterion, device))
    config.update(asdict(engine))
    engine.prepare(model)
    if config["compile"]:
        compile_model(model, input_shape(config["data"]), device)
    several = f", {world_size()} processes" if world_size() > 1 else ""
    return engine, f"{engine}{gain}{', compiled' if config['compile'] else ''}{several}"


@dataclass(frozen=True)
class Batches:
    """The batches that train, validate (None without a validation set) and test; how they are normalised."""

    train: TrainLoader
    val: EvalLoader | None
    test: EvalLoader
    normalize: Normalize


def batches_of(config: Config, data: Data, augment: Augment, device: torch.device, engine: Engine) -> Batches:
    """Make loaders of the data of a run."""
    normalize = Normalize(config["data"]["mean"], config["data"]["std"], device, engine.memory_format)
    train = train_loader(config, data, augment, normalize, device)
    evaluating = (config["eval_batch_size"], normalize, device, config["workers"])
    val = EvalLoader(data.train, data.val_indices, *evaluating) if len(data.val_indices) else None
    test = EvalLoader(data.test, torch.arange(len(data.test)), *evaluating)
    return Batches(train, val, test, normalize)


def finish(
    config: Config,
    trainer: Trainer,
    data: Data,
    batches: Batches,
    loggers: Loggers,
    started: dict[str, Any] | None,
    begin: float,
) -> RunSummary:
    """Test the best epoch once, and write and show what came of the run.

    Args:
        config: of the run.
        trainer: the run, trained.
        data: its images.
        batches: of them.
        loggers: which learn how the run ended.
        started: the record of the checkpoint from which it started, if it did from one.
        begin: of the run, by the monotonic clock, in seconds.

    Returns:
        What is written to ``summary.json``.
    """
    learner, doctor = trainer.learner, trainer.doctor
    model, console, folder = learner.model, trainer.output.console, trainer.output.folder
    if is_main():
        best = folder / run_folder.CHECKPOINTS / checkpoint.BEST
        model.load_state_dict(checkpoint.load(best)["model"])
    ddp.same_weights(model)
    seen = Predictions()
    result = loop.evaluate(
        model,
        console.followed(batches.test, "testing"),
        learner.val_criterion,
        trainer.task.evaluation(batches.train.device),
        learner.precision,
        after_batch=seen.add,
    )
    found: list[Finding] = []
    if doctor is not None and is_main():
        try:
            found = doctor.findings(trainer.progress.history, seen_by_doctor(config, data, batches))
        except Exception as error:  # whatever a model of the user's raises where it is copied, say
            console.warn(
                f"the training can't be checked for problems: {in_words(error)}; doctor=false skips it"
            )
    seconds = time.monotonic() - begin
    summary = summarize(config, trainer, result, found, data, batches.train.device, seconds, started)
    if is_main():
        run_folder.write_json(folder / "summary.json", summary)
    loggers.end(summary)
    is_job = (
        folder.parent / run_folder.SWEEP
    ).exists()  # a sweep tells the test result of its best job alone
    show_end(console, folder, trainer, result, data.train.class_names, tells_test=not is_job)
    if not is_job:
        loggers.show()
    show_findings(console, [finding for finding in found if doctor and finding != doctor.told])
    verdicts = seen.joined()
    if config.get("report") and is_main():
        from cnntrain.report.entry import after_training  # which imports matplotlib

        after_training(console, config, summary, trainer, data, batches.normalize, result, verdicts)
    return summary


def seen_by_doctor(config: Config, data: Data, batches: Batches) -> Seen:
    """Return the images that the doctor looks at: some training and validation images, as they are."""
    labels = data.train.labels.cpu()[data.train_indices]
    names = data.train.class_names

    def some(indices: Tensor) -> EvalLoader:
        chosen = indices[evenly(EXAMINED, len(indices))]
        evaluating = (config["eval_batch_size"], batches.normalize, batches.train.device, config["workers"])
        return EvalLoader(data.train, chosen, *evaluating)

    return Seen(
        labels.bincount(minlength=len(names)).tolist(),
        names,
        len(data.val_indices),
        some(data.train_indices),
        some(data.val_indices) if len(data.val_indices) else None,
        isinstance(data.train, StreamingDataset),
    )


def in_turn(*observers: AfterEpoch) -> AfterEpoch:
    """Return what tells several observers of each epoch, one after the other."""

    def tell(row: EpochRow) -> None:
        for observer in observers:
            observer(row)

    return tell


def restore(trainer: Trainer, state: dict[str, Any]) -> None:
    """Bring everything to where a checkpoint was, the random generators last of all.

    Raises:
        CheckpointError: what it holds does not fit what its configuration describes.
    """
    try:
        trainer.load_state_dict(state)
        set_random_state(random_state_of(rank(), [state["random"], *state["random_of_others"]]))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(
            f"the checkpoint does not fit its own configuration: {printable(in_words(error))}"
        ) from error
