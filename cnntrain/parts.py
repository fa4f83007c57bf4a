"""The parts of a run that the configuration names. Each is tried before any data is read."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cnntrain.build import build
from cnntrain.errors import CheckpointError, UserError, in_words
from cnntrain.freezing import Freezing
from cnntrain.ranks import local_rank, world_size

Config = dict[str, Any]
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
