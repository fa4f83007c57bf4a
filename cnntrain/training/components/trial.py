"""Whether a model can be trained: one step on noise before the first, which leaves no trace."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from cnntrain.compute.micro_batches import Fitting, cut_to_fit, is_out_of_memory
from cnntrain.compute.precision import Precision
from cnntrain.config.schema import Config, input_shape
from cnntrain.data.augment.augment import Augment
from cnntrain.errors import UserError, in_words
from cnntrain.optim.freezing import Freezing
from cnntrain.runtime.console import Console
from cnntrain.runtime.ranks import world_size
from cnntrain.text import printable

SHOWN = 3  # names of parameters
NEEDS_MORE = "more than 1 value per channel"  # what torch's batch norm says of a single image


def try_out(
    config: Config,
    model: nn.Module,
    criterion: nn.Module,
    augment: Augment,
    freezing: Freezing,
    images: int,
    state: dict[str, Any] | None,
    console: Console,
) -> bool:
    """See that the model can be trained on such batches, and cut those that do not fit into the memory.

    Returns:
        Whether some parameters take no part in the loss.
    """
    device = next(model.parameters()).device
    precision = Precision("fp32" if config["precision"] == "auto" else config["precision"], device)
    shape, classes = input_shape(config["data"]), config["data"]["num_classes"]
    still = freezing.norms if freezing.is_frozen and freezing.unfreeze_epoch is None else ()
    fitting = Fitting(model, criterion, precision, shape, classes, device, augment.mixes, still)
    idle = idle_parameters(fitting, freezing)
    if idle:
        console.warn(in_words_of(idle))
    if state is None and world_size() == 1:  # else a part of the batch is decided already
        cut_to_fit(config, fitting, console)
    check_single_images(config, fitting, images)
    return bool(idle)


def idle_parameters(fitting: Fitting, freezing: Freezing) -> list[str]:
    """Return the names of parameters that take no part in the loss, so that no step changes them.

    Args:
        fitting: holds the model.
        freezing: of its parameters, which may take part once they are free again.

    Raises:
        UserError: the model can't be trained by this loss.
    """
    model = fitting.model
    frozen = [model.get_parameter(name) for name in freezing.names if freezing.is_frozen]
    for parameter in frozen:
        parameter.requires_grad_(True)
    try:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        loss = fitting.loss_of(2)
        if not loss.requires_grad:
            raise UserError(f"model: {type(model).__name__} has no parameter that the loss depends on")
        gradients = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True)
    except UserError:
        raise
    except Exception as error:  # whatever a network or a loss of the user's may raise in training
        if is_out_of_memory(error):
            raise
        name = type(model).__name__
        raise UserError(f"model: {name} can't be trained by this loss: {in_words(error)}") from error
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
    return [name for (name, _), gradient in zip(named, gradients, strict=True) if gradient is None]


def in_words_of(names: list[str]) -> str:
    """Say that parameters take no part in the loss."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    shown = ", ".join(printable(name) for name in names[:SHOWN])
    return f"parameters that take no part in the loss are never trained: {shown}{more}"


def check_single_images(config: Config, fitting: Fitting, images: int) -> None:
    """Refuse batch sizes that leave a single image to a model with batch norm.

    Args:
        config: of the run.
        fitting: holds the model.
        images: number of images in the training set.

    Raises:
        UserError: such a batch, or part of one, is in each epoch.
    """
    batch_size, accumulate = config["batch_size"], config["accumulate"]
    # On GPUs SyncBatchNorm takes the images of all processes.
    processes = 1 if fitting.device.type == "cuda" else world_size()
    if smallest_part(images, batch_size, accumulate, processes) > 1:
        return
    try:
        fitting.loss_of(1)
    except ValueError as error:
        if NEEDS_MORE not in str(error):
            raise
        larger = range(batch_size + 1, min(images, 2 * batch_size) + 1)
        sizes = [*larger, *range(batch_size - 1, 1, -1)]
        possible = (size for size in sizes if smallest_part(images, size, accumulate, processes) > 1)
        fix = next((f"batch_size={size}" for size in possible), "accumulate=1")
        cut = f", accumulate={accumulate}" if accumulate > 1 else ""
        cut += f", {processes} processes" if processes > 1 else ""
        raise UserError(
            f"batch norm needs 2 images at a time, and {images:,} training images with "
            f"batch_size={batch_size}{cut} leave a single one: {fix}"
        ) from error


def smallest_part(images: int, batch_size: int, accumulate: int, processes: int) -> int:
    """Return how many images the smallest part of a batch has, in an epoch."""
    sizes = {min(batch_size, images), images % batch_size or batch_size}
    shares = [max(1, size // processes) for size in sizes]
    return min(share // min(accumulate, share) for share in shares)
