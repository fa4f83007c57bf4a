"""What the commands do: build the parts in reading order and let them work. The configuration ends here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from cnntrain import checkpoint, distributed, loop, run_folder
from cnntrain.average import MovingAverage
from cnntrain.build import build
from cnntrain.calibrate import settle
from cnntrain.console import Console
from cnntrain.data.augment import Augment
from cnntrain.data.loader import EvalLoader, Normalize, TrainLoader
from cnntrain.datasets import check_same_data, open_data
from cnntrain.doctor import Doctor
from cnntrain.errors import CheckpointError, RunFailed, UserError, in_words
from cnntrain.fit import AfterEpoch, Fit
from cnntrain.loggers import Logged, Loggers, build_loggers
from cnntrain.metrics import Result
from cnntrain.parts import (
    Config,
    balance,
    be_deterministic,
    build_criterion,
    build_freezing,
    build_model,
    build_optimizer,
    compile_model,
    find_device,
    input_shape,
)
from cnntrain.precision import Precision
from cnntrain.ranks import is_main, rank, world_size
from cnntrain.records import about, summarize, write_yaml
from cnntrain.report.predictions import Predictions
from cnntrain.screen import show_end, show_findings, show_header
from cnntrain.seeding import random_state_of, seed_apart, seed_everything, set_random_state
from cnntrain.trained import Trained
from cnntrain.views import Views
from cnntrain.warm_start import recorded, start_from

PICTURES_LOGGED = 64


def nothing_after_epoch(row: Mapping[str, Any]) -> None:
    """Let an epoch end without anything further."""


def train(
    config: Config,
    folder: Path,
    trust: Sequence[str] | None = None,
    after_epoch: AfterEpoch = nothing_after_epoch,
) -> dict[str, Any]:
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


def resume(config: Config, folder: Path, state: dict[str, Any]) -> dict[str, Any]:
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
) -> dict[str, Any]:
    """Train from the beginning or from a checkpoint, then test the best epoch once."""
    begin = time.monotonic()
    with run_folder.locked(folder) if is_main() else nullcontext():
        console = Console(config["verbose"], folder / "train.log") if is_main() else Console(-1)
        device = find_device(config["device"])
        be_deterministic(config["deterministic"])

        seed_everything(config["seed"])
        model = build_model(config, trust).to(device)
        criterion = build_criterion(config, trust).to(device)
        start = None
        if state is None and config["init_from"] is not None:  # the run's own checkpoint needs no other
            start = start_from(config["init_from"], model, config)
        freezing = build_freezing(config, model)
        if freezing.names and start is None and state is None and not config["model"].get("weights"):
            console.warn("what is frozen keeps random weights: init_from=RUN gives it some that have learnt")
        seed_apart(config["seed"], rank())
        engine, gain = distributed.by_main(lambda: settle(config, model, criterion, device))
        config.update(asdict(engine))
        engine.prepare(model)
        if config["compile"]:
            compile_model(model, input_shape(config["data"]), device)
        precision = Precision(engine.precision, device)
        optimizer = build_optimizer(config, trust, model)
        augment = build("augment", config["augment"], Augment, trust)

        loggers = Loggers(build_loggers(config, trust) if is_main() else {}, console)
        data = distributed.main_first(lambda: open_data(config, device, console, trust))
        if start is not None:
            start.renew_head(model, data.train.class_names)
            config["init_from"] = str(start.path)
        started = start.record() if start is not None else recorded(state)
        if config["balance_classes"]:
            balance(criterion, data.train.labels[data.train_indices], config["data"]["num_classes"])
        normalize = Normalize(config["data"]["mean"], config["data"]["std"], device, engine.memory_format)
        train_batches = TrainLoader(
            data.train,
            data.train_indices,
            config["batch_size"],
            config["seed"],
            augment,
            normalize,
            device,
            config["workers"],
        )
        evaluating = (config["eval_batch_size"], normalize, device, config["workers"])
        val_batches = None
        if len(data.val_indices):
            val_batches = EvalLoader(data.train, data.val_indices, *evaluating)
        test_batches = EvalLoader(data.test, torch.arange(len(data.test)), *evaluating)
        schedule = build(
            "schedule",
            config["schedule"],
            LRScheduler,
            trust,
            optimizer=optimizer,
            total_steps=config["epochs"] * len(train_batches),
            steps_per_epoch=len(train_batches),
        )

        fitting = Fit(
            folder,
            model,
            criterion,
            optimizer,
            schedule,
            precision,
            train_batches,
            val_batches,
            freezing,
            epochs=config["epochs"],
            num_classes=config["data"]["num_classes"],
            grad_clip=config["grad_clip"],
            accumulate=config["accumulate"],
            early_stopping=config["early_stopping"],
            monitor=config["monitor"],
            save_every_steps=config["save_every_steps"],
            save_every_minutes=config["save_every_minutes"],
            about=about(config, data, started),
            after_epoch=in_turn(loggers.epoch, after_epoch),
            console=console,
            doctor=Doctor(model, optimizer, criterion, precision, config) if config["doctor"] else None,
            average=MovingAverage(model, config["ema"]) if config["ema"] is not None else None,
        )
        several = f", {world_size()} processes" if world_size() > 1 else ""
        compiled = ", compiled" if config["compile"] else ""
        engine_in_words = f"{engine}{gain}{compiled}{several}"
        show_header(console, config, folder, fitting, data, device, engine_in_words, started)
        if state is not None:
            check_same_data(state, data)
            restore(fitting, state)
            console.line(
                f"\nresumed after step {fitting.progress.step:,}, {fitting.progress.epoch} of "
                f"{config['epochs']} epochs done"
            )
        if is_main():
            write_yaml(folder / "config.yaml", config)
            run_folder.remember(folder)
        history = fitting.progress.history
        loggers.begin(lambda: Logged(folder, config, history, train_batches.look(PICTURES_LOGGED)))
        with loggers:
            fitting.run()

        if is_main():
            best = folder / run_folder.CHECKPOINTS / checkpoint.BEST
            model.load_state_dict(checkpoint.load(best)["model"])
        distributed.same_weights(model)
        classes, seen = config["data"]["num_classes"], Predictions()
        result = loop.evaluate(model, test_batches, criterion, classes, precision, after_batch=seen.add)
        result = distributed.whole(result)
        counts = data.train.labels.cpu()[data.train_indices].bincount(minlength=len(data.train.class_names))
        found = []
        if fitting.doctor is not None and is_main():
            found = fitting.doctor.findings(fitting.progress.history, counts.tolist(), val_batches)
        seconds = time.monotonic() - begin
        summary = summarize(config, fitting, result, found, data, device, seconds, started)
        if is_main():
            run_folder.write_json(folder / "summary.json", summary)
        loggers.end(summary)
        show_end(console, folder, fitting, result, data.train.class_names)
        show_findings(console, [f for f in found if fitting.doctor is not None and f != fitting.doctor.told])
        verdicts = seen.joined()
        if config.get("report") and is_main():
            from cnntrain.report.of_run import after_training  # which imports matplotlib

            after_training(console, config, summary, fitting, data, normalize, result, verdicts)
        return summary


def in_turn(*observers: AfterEpoch) -> AfterEpoch:
    """Return what tells several observers of each epoch, one after the other."""

    def tell(row: Mapping[str, Any]) -> None:
        for observer in observers:
            observer(row)

    return tell


def evaluate(config: Config, path: Path, state: dict[str, Any], command: str) -> Result:
    """Evaluate a checkpoint on one of the splits, and write ``eval_<split>.json`` beside a run's other files.

    Args:
        config: the checkpoint's configuration with that of ``conf/eval.yaml``, amended.
        path: the checkpoint file.
        state: its contents.
        command: as typed.
    """
    console = Console(config["verbose"] if is_main() else -1)
    trained, split = Trained(config, path, state), config["split"]
    device, class_names = trained.device, trained.class_names
    data = distributed.main_first(lambda: open_data(config, device, console, config["trust"], class_names))
    if len(data.train.class_names) != len(class_names):
        raise UserError(
            f"the model knows {len(class_names)} classes and the data have {len(data.train.class_names)}: "
            "evaluate on data of the same classes"
        )
    pictures, indices = {
        "train": (data.train, data.train_indices),
        "val": (data.train, data.val_indices),
        "test": (data.test, torch.arange(len(data.test))),
    }[split]
    if len(indices) == 0:
        raise UserError(
            f"split={split} holds no pictures: data.val_fraction is {config['data']['val_fraction']}"
        )
    batches = EvalLoader(
        pictures, indices, config["eval_batch_size"], trained.normalize, device, config["workers"]
    )
    model = Views(trained.model, config["tta"]) if config["tta"] else trained.model
    result = loop.evaluate(model, batches, trained.criterion, len(class_names), trained.precision)
    result = distributed.whole(result)
    if not torch.isfinite(torch.tensor(result.loss)):
        raise RunFailed(f"the loss on {split} is {result.loss}: the checkpoint's weights are of no use")

    views = f", mean over views by {' and '.join(config['tta'])}" if config["tta"] else ""
    console.line(f"{path}  epoch {trained.epoch}, {device}, {trained.precision.name}{views}")
    console.result(split, result)
    console.classes(result.per_class(class_names))
    if path.parent.name == run_folder.CHECKPOINTS and is_main():
        report = {
            "checkpoint": path.name,
            "split": split,
            "tta": config["tta"],
            **result.as_dict(),
            "per_class": result.per_class(class_names),
            "confusion_matrix": result.confusion.tolist(),
            "command": command,
        }
        target = path.parent.parent / f"eval_{split}.json"
        run_folder.write_json(target, report)
        console.line(f"[dim]written to {target}[/]")
    return result


def restore(fitting: Fit, state: dict[str, Any]) -> None:
    """Bring everything to where a checkpoint was, the random generators last of all."""
    try:
        fitting.restore(state)
        set_random_state(random_state_of(rank(), [state["random"], *state["random_of_others"]]))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"the checkpoint does not fit its own configuration: {in_words(error)}"
        ) from error
