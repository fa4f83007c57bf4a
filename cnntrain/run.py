"""What the commands do: build the parts in reading order and let them work. The configuration ends here."""

from __future__ import annotations

import inspect
import platform
import shlex
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import Dataset

from cnntrain import __version__, checkpoint, loop, run_folder
from cnntrain.build import build
from cnntrain.console import Console, count, joined
from cnntrain.data.augment import Augment
from cnntrain.data.loader import EvalLoader, Normalize, TrainLoader
from cnntrain.data.pictures import Pictures, as_pictures, fit
from cnntrain.data.sources import DataMissing
from cnntrain.data.splits import limited, stratified_split
from cnntrain.errors import CheckpointError, RunFailed, UserError, in_words
from cnntrain.fit import Fit
from cnntrain.metrics import Result
from cnntrain.precision import Precision, choose
from cnntrain.seeding import seed_everything, set_random_state

Config = dict[str, Any]


@dataclass
class Data:
    """The pictures of a run and which of them do what."""

    train: Pictures
    test: Pictures
    train_indices: Tensor
    val_indices: Tensor


def train(config: Config, folder: Path) -> dict[str, Any]:
    """Train a new model in a new run folder.

    Args:
        config: the configuration of ``train``, checked, as plain types.
        folder: the run folder, which exists and holds no run.

    Returns:
        What is written to ``summary.json``.
    """
    return work(config, folder, state=None, trust=None)


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
    config: Config, folder: Path, state: dict[str, Any] | None, trust: Sequence[str] | None
) -> dict[str, Any]:
    """Train from the beginning or from a checkpoint, then test the best epoch once."""
    begin = time.monotonic()
    with run_folder.locked(folder):
        console = Console(config["verbose"], folder / "train.log")
        device = find_device(config["device"])
        precision = Precision(choose(config["precision"], device), device)
        be_deterministic(config["deterministic"])

        seed_everything(config["seed"])
        model = build_model(config, trust).to(device)
        criterion = build_criterion(config, trust).to(device)
        optimizer = build_optimizer(config, trust, model)
        augment = build("augment", config["augment"], Augment, trust)

        data = load_data(config["data"], console, config["limit"], trust)
        normalize = Normalize(config["data"]["mean"], config["data"]["std"], device)
        workers, batch = config["workers"], config["eval_batch_size"]
        train_batches = TrainLoader(
            data.train,
            data.train_indices,
            config["batch_size"],
            config["seed"],
            augment,
            normalize,
            device,
            workers,
        )
        val_batches = None
        if len(data.val_indices):
            val_batches = EvalLoader(data.train, data.val_indices, batch, normalize, device)
        test_batches = EvalLoader(data.test, torch.arange(len(data.test)), batch, normalize, device)
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
            epochs=config["epochs"],
            num_classes=config["data"]["num_classes"],
            grad_clip=config["grad_clip"],
            accumulate=config["accumulate"],
            early_stopping=config["early_stopping"],
            monitor=config["monitor"],
            save_every_steps=config["save_every_steps"],
            save_every_minutes=config["save_every_minutes"],
            about=about(config, data),
            console=console,
        )
        show_header(console, config, folder, model, data, device, precision)
        if state is not None:
            check_same_data(state, data)
            restore(fitting, state)
            console.line(
                f"\nresumed after step {fitting.progress.step:,}, {fitting.progress.epoch} of "
                f"{config['epochs']} epochs done"
            )
        write_yaml(folder / "config.yaml", config)
        run_folder.remember(folder)
        fitting.run()

        best = folder / run_folder.CHECKPOINTS / checkpoint.BEST
        model.load_state_dict(checkpoint.load(best)["model"])
        result = loop.evaluate(model, test_batches, criterion, config["data"]["num_classes"], precision)
        summary = summarize(config, fitting, result, data.train.class_names, device, time.monotonic() - begin)
        run_folder.write_json(folder / "summary.json", summary)
        show_end(console, folder, fitting, result, data.train.class_names)
        return summary


def evaluate(config: Config, path: Path, state: dict[str, Any], command: str) -> Result:
    """Evaluate a checkpoint on one of the splits, and write ``eval_<split>.json`` beside a run's other files.

    Args:
        config: the checkpoint's configuration with that of ``conf/eval.yaml``, amended.
        path: the checkpoint file.
        state: its contents.
        command: as typed.
    """
    console = Console(config["verbose"])
    trust, split = config["trust"], config["split"]
    device = find_device(config["device"])
    precision = Precision(choose(config["precision"], device), device)
    model = build_model(config, trust)
    load_weights(model, state["model"], path)
    model = model.to(device)
    criterion = build_criterion(config, trust).to(device)

    data = load_data(config["data"], console, config["limit"], trust)
    class_names = tuple(state["class_names"])
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
    normalize = Normalize(state["normalization"]["mean"], state["normalization"]["std"], device)
    batches = EvalLoader(pictures, indices, config["eval_batch_size"], normalize, device, config["workers"])
    result = loop.evaluate(model, batches, criterion, len(class_names), precision)
    if not torch.isfinite(torch.tensor(result.loss)):
        raise RunFailed(f"the loss on {split} is {result.loss}: the checkpoint's weights are of no use")

    console.line(f"{path}  epoch {state['progress']['epoch']}, {device}, {precision.name}")
    console.result(split, result)
    console.classes(result.per_class(class_names))
    if path.parent.name == run_folder.CHECKPOINTS:
        report = {
            "checkpoint": path.name,
            "split": split,
            **result.as_dict(),
            "per_class": result.per_class(class_names),
            "confusion_matrix": result.confusion.tolist(),
            "command": command,
        }
        target = path.parent.parent / f"eval_{split}.json"
        run_folder.write_json(target, report)
        console.line(f"[dim]written to {target}[/]")
    return result


def find_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` takes a CUDA GPU, else Apple's, else the CPU."""
    if name == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device(kind)
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(
            f"device={name}: torch {torch.__version__} finds no GPU here; device=auto takes what is there"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device={name}: {torch.cuda.device_count()} GPUs are here, from cuda:0")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError("device=mps: torch finds no Apple GPU here; device=auto takes what is there")
    return device


def be_deterministic(wanted: bool) -> None:
    """Use only algorithms that give the same bits each time, or let torch choose the fastest."""
    torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.benchmark = not wanted


def input_shape(data: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return channels, height and width of a picture as the network gets it."""
    return data["channels"], data["image_size"], data["image_size"]


def build_model(config: Config, trust: Sequence[str] | None, device: str = "cpu") -> nn.Module:
    """Build the network for the shape and the classes of the data, and see that it takes and gives them."""
    shape, classes = input_shape(config["data"]), config["data"]["num_classes"]
    with torch.device(device):
        model: nn.Module = build(
            "model",
            config["model"],
            nn.Module,
            trust,
            input_shape=shape,
            in_channels=shape[0],
            image_size=shape[1],
            in_features=shape[0] * shape[1] * shape[2],
            num_classes=classes,
        )
        name = type(model).__name__
        model.eval()  # so that the trial below draws nothing and changes no statistics
        try:
            with torch.no_grad():
                output = model(torch.zeros(2, *shape))
        except Exception as error:  # whatever a network of the user's may raise
            size = "x".join(map(str, shape))
            raise UserError(f"model: {name} can't take pictures of {size}: {in_words(error)}") from error
    if not isinstance(output, Tensor) or tuple(output.shape) != (2, classes):
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UserError(f"model: {name} gives {got} for a batch of 2, not (2, {classes}): one logit a class")
    return model


def build_criterion(config: Config, trust: Sequence[str] | None) -> nn.Module:
    """Build the loss, and see that it makes one number of logits and labels."""
    criterion: nn.Module = build("criterion", config["criterion"], nn.Module, trust)
    logits, labels = torch.zeros(2, config["data"]["num_classes"]), torch.tensor([0, 1])
    name = type(criterion).__name__
    try:
        with warnings.catch_warnings(action="ignore"):
            loss = criterion(logits, labels)
    except Exception as error:  # whatever a loss of the user's may raise
        raise UserError(
            f"criterion: {name} can't compare logits with class numbers: {in_words(error)}"
        ) from error
    if not isinstance(loss, Tensor) or loss.dim() != 0:
        got = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise UserError(f"criterion: {name} gives {got} for a batch, not one number")
    return criterion


def build_optimizer(config: Config, trust: Sequence[str] | None, model: nn.Module) -> Optimizer:
    """Build the optimizer over the model's parameters, and see that the loop can drive it."""
    optimizer: Optimizer = build("optim", config["optim"], Optimizer, trust, params=list(model.parameters()))
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        name = type(optimizer).__name__
        raise UserError(f"optim: {name} computes the loss several times a step, which this loop does not do")
    return optimizer


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Load a checkpoint's weights into the model that its configuration describes."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: the weights do not fit the model that the configuration describes"
        ) from error


def load_data(data: Config, console: Console, limit: int | None, trust: Sequence[str] | None) -> Data:
    """Read the training and the test pictures and split off the validation set."""
    known = {
        "root": data.get("root"),
        "channels": data["channels"],
        "image_size": data["image_size"],
        "num_classes": data["num_classes"],
    }

    def read(is_train: bool) -> Pictures:
        pictures = as_pictures(build("data.source", data["source"], Dataset, trust, train=is_train, **known))
        told, found = data["num_classes"], len(pictures.class_names)
        if found != told:
            raise UserError(
                f"data.num_classes={told}, but the data have {found} classes: data.num_classes={found}"
            )
        return fit(pictures, data["channels"], data["image_size"])

    try:
        train_pictures, test_pictures = read(True), read(False)
    except DataMissing as missing:
        console.warn(f"{missing.what}: downloading it to {missing.root}")
        data["source"] = {**data["source"], "download": True}
        train_pictures, test_pictures = read(True), read(False)
    train_indices, val_indices = stratified_split(
        train_pictures.labels, data["val_fraction"], data["split_seed"]
    )
    return Data(train_pictures, test_pictures, limited(train_indices, limit, data["split_seed"]), val_indices)


def about(config: Config, data: Data) -> dict[str, Any]:
    """Return what a checkpoint says about itself, beside weights and states."""
    return {
        "config": config,
        "class_names": list(data.train.class_names),
        "input_shape": list(input_shape(config["data"])),
        "normalization": {"mean": config["data"]["mean"], "std": config["data"]["std"]},
        "data_fingerprint": data.train.fingerprint(),
        "versions": versions(),
    }


def restore(fitting: Fit, state: dict[str, Any]) -> None:
    """Bring everything to where a checkpoint was, the random generators last of all."""
    try:
        fitting.restore(state)
        set_random_state(state["random"])
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"the checkpoint does not fit its own configuration: {in_words(error)}"
        ) from error


def check_same_data(state: Mapping[str, Any], data: Data) -> None:
    """Raise a UserError if the training pictures are not those that the run began with."""
    if state["data_fingerprint"] != data.train.fingerprint():
        raise UserError(
            "the training data are not those that this run began with: resume needs the same files "
            "(data.root=DIR), or start a new run"
        )


def show_header(
    console: Console,
    config: Config,
    folder: Path,
    model: nn.Module,
    data: Data,
    device: torch.device,
    precision: Precision,
) -> None:
    """Print what is about to be trained, on what, and where it goes."""
    sizes = [
        f"{len(data.train_indices):,} train",
        f"{len(data.val_indices):,} val",
        f"{len(data.test):,} test",
    ]
    shape = "×".join(map(str, input_shape(config["data"])))
    optim, schedule = config["optim"], config["schedule"]
    parameters = sum(p.numel() for p in model.parameters())
    on = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else count(torch.get_num_threads(), "thread")
    )
    source = config["data"]["source"]
    name = source.get("dataset", source["_target_"].rpartition(".")[2])
    used = {k: v for k, v in config["augment"].items() if k != "_target_" and v}
    console.line(f"[bold]cnntrain {__version__}[/]")
    console.facts(
        {
            "data": f"{name}: {', '.join(sizes)}; {shape}, {data_classes(data)}; in memory",
            "augment": ", ".join(f"{k} {v:g}" for k, v in used.items()) or "none",
            "model": f"{type(model).__name__}, {parameters:,} parameters",
            "optimizer": joined(
                [
                    f"{optim['_target_'].rpartition('.')[2]}, lr {optim.get('lr', 'of its own')}",
                    f"{schedule['_target_'].rpartition('.')[2].lower()} schedule",
                    f"batch size {config['batch_size']}",
                ]
            ),
            "device": f"{device} ({on}), {precision.name}",
            "run folder": str(folder),
        }
    )
    if console.verbose >= 2:
        from omegaconf import OmegaConf

        console.line("\n" + OmegaConf.to_yaml(config).replace("[", "\\["), level=2)


def data_classes(data: Data) -> str:
    """Return the number of classes in words."""
    return f"{len(data.train.class_names)} classes"


def show_end(
    console: Console, folder: Path, fitting: Fit, result: Result, class_names: tuple[str, ...]
) -> None:
    """Print the test result, where everything is, and what to type next."""
    best = fitting.progress.best
    chosen = f"epoch {best['epoch']}, the best by {fitting.monitor}" if best else "the last epoch"
    console.line()
    console.result("test", result)
    console.classes(result.per_class(class_names), level=2)
    console.line(f"[dim]with the weights of {chosen}[/]")
    console.line(f"everything is in [bold]{folder}[/]")
    console.line(f"next: [bold]cnntrain eval {shlex.quote(str(folder))}[/] shows every class")


def summarize(
    config: Config,
    fitting: Fit,
    result: Result,
    class_names: tuple[str, ...],
    device: torch.device,
    seconds: float,
) -> dict[str, Any]:
    """Return what ``summary.json`` says of a finished run."""
    return {
        "epochs": fitting.progress.epoch,
        "steps": fitting.progress.step,
        "best": fitting.progress.best,
        "final": fitting.progress.history[-1],
        "test": result.as_dict(),
        "per_class": result.per_class(class_names),
        "confusion_matrix": result.confusion.tolist(),
        "parameters": sum(p.numel() for p in fitting.model.parameters()),
        "train_seconds": sum(row["seconds"] for row in fitting.progress.history),
        "seconds": seconds,
        "seed": config["seed"],
        "device": str(device),
        "precision": fitting.precision.name,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "command": shlex.join(["cnntrain", *sys.argv[1:]]),
        "git_commit": git_commit(),
    }


def versions() -> dict[str, str]:
    """Return the versions on which a result depends."""
    return {
        "cnntrain": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "platform": platform.platform(),
    }


def git_commit() -> str | None:
    """Return the commit of the current folder, with ``-dirty`` if files differ from it; None outside git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def write_yaml(path: Path, config: Config) -> None:
    """Write a configuration as YAML, atomically."""
    from omegaconf import OmegaConf

    checkpoint.write_atomically(path, OmegaConf.to_yaml(config).encode())
