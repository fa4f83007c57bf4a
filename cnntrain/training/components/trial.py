"""A trial step on noise, which shows whether a model can be trained and leaves no trace."""

from __future__ import annotations

import torch

from cnntrain.compute.micro_batches import BatchPlan, MicroBatchFinder, is_out_of_memory
from cnntrain.errors import UserError, describe_error
from cnntrain.optim.freezing import Freezing
from cnntrain.runtime.console import Console
from cnntrain.runtime.ranks import world_size
from cnntrain.text import printable

SHOWN = 3  # names of parameters
NEEDS_MORE = "more than 1 value per channel"  # what torch's batch norm says of a single image


def run_trial_step(
    fitting: MicroBatchFinder,
    freezing: Freezing,
    plan: BatchPlan,
    images: int,
    is_new: bool,
    console: Console,
) -> tuple[BatchPlan, bool]:
    """Check that the model can be trained on such batches, and cut those that do not fit into the memory.

    Args:
        fitting: tries batches out.
        freezing: the freezing of the model's parameters.
        plan: how a batch goes through the network.
        images: number of images in the training set.
        is_new: whether the run has no checkpoint, which decides how a batch is cut.
        console: the console to print warnings to.

    Returns:
        How a batch goes through the network, and whether some parameters take no part in the loss.

    Raises:
        UserError: the model can't be trained.
    """
    idle = idle_parameters(fitting, freezing)
    if idle:
        console.warn(in_words_of(idle))
    if is_new and world_size() == 1:  # else a part of the batch is decided already
        plan = plan.split_to_fit(fitting, console)
    check_single_images(plan, fitting, images)
    return plan, bool(idle)


def idle_parameters(fitting: MicroBatchFinder, freezing: Freezing) -> list[str]:
    """Return the names of parameters that take no part in the loss, so that no step changes them.

    Args:
        fitting: holds the model.
        freezing: the freezing of its parameters, which may take part once they are free again.

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
        raise UserError(f"model: {name} can't be trained by this loss: {describe_error(error)}") from error
    finally:
        for parameter in frozen:
            parameter.requires_grad_(False)
    return [name for (name, _), gradient in zip(named, gradients, strict=True) if gradient is None]


def in_words_of(names: list[str]) -> str:
    """Return a warning that some parameters take no part in the loss."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    shown = ", ".join(printable(name) for name in names[:SHOWN])
    return f"parameters that take no part in the loss are never trained: {shown}{more}"


def check_single_images(plan: BatchPlan, fitting: MicroBatchFinder, images: int) -> None:
    """Refuse batch sizes that leave a single image to a model with batch norm.

    Args:
        plan: how a batch goes through the network.
        fitting: holds the model.
        images: number of images in the training set.

    Raises:
        UserError: such a batch, or part of one, is in each epoch.
    """
    batch_size, accumulate = plan.size, plan.accumulate
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
