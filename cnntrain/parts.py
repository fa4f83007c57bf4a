"""The parts of a run that the configuration names. Each is tried before any data is read."""

from __future__ import annotations

import copy
import inspect
import math
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from cnntrain import schedule_free
from cnntrain.build import build
from cnntrain.errors import CheckpointError, UserError, in_words
from cnntrain.freezing import Freezing
from cnntrain.lean import steps_without_compiler, without_compiler
from cnntrain.losses import check_mean
from cnntrain.optim import groups_of, scale_learning_rates
from cnntrain.ranks import local_rank, world_size

Config = dict[str, Any]
USUAL = tuple(f"torch.optim.{name}" for name in ("SGD", "Adam", "AdamW", "RMSprop"))  # known to step
SMALL, SMALL_IMAGE = 5_000_000, 3 * 256 * 256  # parameters, and values of an image, that are soon computed


def find_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` takes a CUDA GPU, else Apple's, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and device.index is None and world_size() > 1:
        device = torch.device("cuda", local_rank())  # each process has a GPU of its own
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
    if wanted:
        # cuBLAS repeats itself only with a workspace of fixed size (its documentation, Reproducibility).
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if wanted != torch.are_deterministic_algorithms_enabled():  # the call imports torch's compiler, for 2 s
        torch.use_deterministic_algorithms(wanted)
    torch.backends.cudnn.benchmark = not wanted


def input_shape(data: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return channels, height and width of an image as the network gets it."""
    return data["channels"], data["image_size"], data["image_size"]


def build_model(config: Config, trust: Sequence[str] | None) -> nn.Module:
    """Build the network for the shape and the classes of the data, and check its output on zeros."""
    model = untried(config, trust)
    check_takes(model, config, "cpu")
    return model


def describe_model(config: Config, trust: Sequence[str] | None) -> nn.Module:
    """Build the network for its shapes alone: without memory, unless it is small.

    On the meta device, torch takes 2 s to import its compiler for the first layer that it calls.
    """
    with torch.device("meta"):
        model = untried(config, trust)
    device = "meta"
    sizes = [math.inf if is_lazy(p) else p.numel() for p in model.parameters()]
    is_small = sum(sizes) <= SMALL and math.prod(input_shape(config["data"])) <= SMALL_IMAGE
    if is_small and "torch._dynamo" not in sys.modules:
        with torch.random.fork_rng(devices=[]):
            model, device = untried(config, trust), "cpu"
    check_takes(model, config, device)
    return model


def untried(config: Config, trust: Sequence[str] | None) -> nn.Module:
    """Build the network for the shape and the classes of the data."""
    shape = input_shape(config["data"])
    model: nn.Module = build(
        "model",
        config["model"],
        nn.Module,
        trust,
        input_shape=shape,
        in_channels=shape[0],
        image_size=shape[1],
        in_features=shape[0] * shape[1] * shape[2],
        num_classes=config["data"]["num_classes"],
    )
    return model


def check_takes(model: nn.Module, config: Config, device: str) -> None:
    """See that a network takes images of the data's shape and gives a logit for each class.

    Args:
        model: the network, which is left in evaluation mode.
        config: of the run.
        device: of the network.

    Raises:
        UserError: it does not.
    """
    shape, classes = input_shape(config["data"]), config["data"]["num_classes"]
    name = type(model).__name__
    model.eval()  # so that the trial below draws nothing and changes no statistics
    with torch.device(device):
        try:
            with torch.no_grad():
                output = model(torch.zeros(2, *shape))
        except Exception as error:  # whatever a network of the user's may raise
            size = "x".join(map(str, shape))
            raise UserError(f"model: {name} can't take images of {size}: {in_words(error)}") from error
    if not isinstance(output, Tensor) or tuple(output.shape) != (2, classes):
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UserError(f"model: {name} gives {got} for a batch of 2, not (2, {classes}): one logit a class")


def compile_model(model: nn.Module, shape: tuple[int, int, int], device: torch.device) -> None:
    """Let torch.compile make one piece of faster code of the model's layers, in place.

    On a GPU a whole pass becomes one CUDA graph, which spares a small model the launch of each kernel.

    Raises:
        UserError: it can't, since a compiler is missing, say.
    """
    model.compile(mode="reduce-overhead" if device.type == "cuda" else "default")
    model.eval()
    try:
        with torch.no_grad():
            model(torch.zeros(2, *shape, device=device))
    except Exception as error:  # whatever torch's compiler or the system's may raise
        raise UserError(
            f"compile=true: torch.compile fails here: {in_words(error)}; compile=false does without it"
        ) from error


def build_criterion(config: Config, trust: Sequence[str] | None) -> nn.Module:
    """Build the loss, and check that it maps logits and labels to the mean over the examples."""
    node, known = dict(config["criterion"]), {}
    if isinstance(node.get("weight"), list):  # which torch wants as a tensor
        known["weight"] = torch.tensor(node.pop("weight"), dtype=torch.float32)
    criterion: nn.Module = build("criterion", node, nn.Module, trust, **known)
    num_classes = config["data"]["num_classes"]
    logits, labels = torch.zeros(2, num_classes), torch.tensor([0, 1])
    mixes = bool(config["augment"].get("mixup") or config["augment"].get("cutmix"))
    if mixes:  # labels are shares of the classes
        labels = torch.full_like(logits, 1 / num_classes)
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
    with torch.random.fork_rng([]), warnings.catch_warnings(action="ignore"):
        check_mean(criterion, num_classes, mixes)
    return criterion


def balanced(criterion: nn.Module, labels: Tensor, num_classes: int) -> nn.Module:
    """Return the loss weighted by inverse class frequency, so that all classes count the same.

    See King and Zeng 2001, Logistic Regression in Rare Events Data. It is for training; evaluation keeps to
    the plain one.

    Args:
        criterion: with a buffer ``weight``, as ``torch.nn.CrossEntropyLoss`` has it.
        labels: of the training images, int64 (N,).
        num_classes: number of classes.

    Raises:
        UserError: the loss has no weights.
    """
    if not isinstance(criterion, nn.CrossEntropyLoss | nn.NLLLoss | nn.MultiMarginLoss):
        raise UserError(
            f"balance_classes=true needs a loss with weights, such as torch.nn.CrossEntropyLoss, and "
            f"{type(criterion).__name__} has none"
        )
    if criterion.weight is not None:
        raise UserError("balance_classes=true and criterion.weight both weight the classes: leave one out")
    counts = labels.bincount(minlength=num_classes).clamp(min=1)
    weight = len(labels) / (num_classes * counts.float())
    device = next((p.device for p in criterion.buffers()), labels.device)
    weighted = copy.deepcopy(criterion)
    weighted.weight = weight.to(device)
    return weighted


def build_optimizer(config: Config, trust: Sequence[str] | None, model: nn.Module) -> Optimizer:
    """Build the optimizer over the model's parameters, and check that it can step."""
    without_compiler()
    params: list[Any] = list(model.parameters())
    if config["lr_scale"] or config["freeze"]:
        params = groups_of(model, config["lr_scale"] or {}, config["data"]["num_classes"])
    if config["optim"].get("fused") and any(p.is_complex() for p in model.parameters()):
        config["optim"]["fused"] = False  # torch's fused kernels know no complex numbers
    optimizer: Optimizer = build("optim", config["optim"], Optimizer, trust, params=params)
    name = type(optimizer).__name__
    if config["lr_scale"]:
        scale_learning_rates(optimizer)  # after the optimizer has filled in a learning rate of its own
        check_schedule(config, trust)
    steps_without_compiler(type(optimizer))
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise UserError(f"optim: {name} computes the loss several times a step, which this loop does not do")
    if config["ema"] is not None and schedule_free.has_modes(optimizer):
        raise UserError(f"ema={config['ema']:g}: {name} averages the weights already: leave ema out")
    check_step(config, trust, model)
    schedule_free.begin(optimizer)
    return optimizer


def check_step(config: Config, trust: Sequence[str] | None, model: nn.Module) -> None:
    """Check that an optimizer of others can step, on copies of the smallest parameters of each dimension."""
    parameters = sorted(model.parameters(), key=lambda p: p.numel(), reverse=True)
    smallest = {p.dim(): p for p in parameters if p.requires_grad and p.numel()}
    copies = [nn.Parameter(p.detach().clone()) for p in smallest.values()]
    if config["optim"]["_target_"] in USUAL or not copies:
        return
    optimizer: Optimizer = build("optim", config["optim"], Optimizer, trust, params=copies)
    schedule_free.begin(optimizer)
    for copy_of in copies:
        copy_of.grad = torch.full_like(copy_of, 1e-3)
    try:
        with torch.random.fork_rng([]):
            optimizer.step()
    except Exception as error:  # whatever an optimizer of the user's may raise
        name = type(optimizer).__name__
        raise UserError(f"optim: {name} can't step with these gradients: {in_words(error)}") from error


def build_schedule(
    config: Config, trust: Sequence[str] | None, optimizer: Optimizer, steps_per_epoch: int
) -> LRScheduler:
    """Build the learning-rate schedule, for the steps of the whole run."""
    known = {
        "optimizer": optimizer,
        "total_steps": config["epochs"] * steps_per_epoch,
        "steps_per_epoch": steps_per_epoch,
    }
    schedule: LRScheduler = build("schedule", config["schedule"], LRScheduler, trust, **known)
    if isinstance(schedule, ReduceLROnPlateau):
        mode = mode_of(config, type(schedule).__name__)
        schedule = build("schedule", {**config["schedule"], "mode": mode}, LRScheduler, trust, **known)
    return schedule


def mode_of(config: Config, name: str) -> str:
    """Return whether the monitored value is better if it is larger, ``max``, or smaller, ``min``.

    Raises:
        UserError: the configuration says the opposite, or there is no validation set.
    """
    monitor, typed = config["monitor"], config["schedule"].get("mode")
    mode = "max" if monitor == "val_accuracy" else "min"
    if typed not in (None, mode):
        raise UserError(f"schedule.mode={typed} does not fit monitor={monitor}: schedule.mode={mode}")
    if config["data"]["val_fraction"] == 0:
        raise UserError(f"schedule: {name} needs a validation set, and data.val_fraction is 0")
    return mode


def check_schedule(config: Config, trust: Sequence[str] | None) -> None:
    """Check that a schedule keeps the ratios of learning rates, as cnntrain's own do by construction."""
    if config["schedule"]["_target_"].startswith("cnntrain."):
        return
    lr, ratio = config["optim"].get("lr", 1.0), 0.1
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": lr * scale} for scale in (1.0, ratio)]
    optimizer = torch.optim.SGD(groups, lr, momentum=0.9)
    steps, epochs = 10, config["epochs"]
    schedule = build_schedule(config, trust, optimizer, steps)
    for _ in range(steps * epochs):
        one, other = (group["lr"] for group in optimizer.param_groups)
        if not math.isclose(ratio * one, other, rel_tol=1e-6, abs_tol=1e-12):
            raise UserError(
                f"lr_scale: {type(schedule).__name__} does not keep the ratios of learning rates: take one "
                "of cnntrain's schedules, such as schedule=onecycle"
            )
        optimizer.step()
        if isinstance(schedule, ReduceLROnPlateau):
            schedule.step(0.0)
        else:
            schedule.step()


def build_freezing(config: Config, model: nn.Module) -> Freezing:
    """Freeze what the configuration says of a model; nothing, if it says nothing."""
    patterns = config["freeze"] or []
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return Freezing(model, patterns, config["unfreeze_epoch"], config["data"]["num_classes"])


def load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Load a checkpoint's weights into the model that its configuration describes."""
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: the weights do not fit the model that the configuration describes"
        ) from error
