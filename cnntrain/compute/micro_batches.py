"""Micro-batches: how much of a batch fits into the memory at once is found out before the first step.

A batch that does not fit is cut into parts, whose gradients add up to its own (``accumulate``). The network
keeps the outputs of its layers for ``backward``; that is what takes the memory (Chen et al. 2016, Training
Deep Nets with Sublinear Memory Cost, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call

from cnntrain.compute.precision import Precision
from cnntrain.errors import RunFailed, UserError
from cnntrain.runs.checkpoint import LAST
from cnntrain.runs.run_folder import CHECKPOINTS
from cnntrain.runtime import memory
from cnntrain.runtime.console import Console, format_bytes
from cnntrain.runtime.ranks import world_size
from cnntrain.text import argument

SLACK = 1.5  # what backward takes on top: gradients of the outputs, and room to compute in
COPIES = 4  # of the parameters: themselves, their gradients, and up to two of the optimizer's
SURE = 0.5  # share of the free memory; what takes less needs no trial
MOST = 0.8  # share of the free memory; what takes more is never tried, since Linux kills the process
LITTLE = 2**26  # bytes that are not worth a refusal
BYTES = 5  # of a value of an image on its way to the network: as a byte, and as a float

MakeBatch = Callable[[int], tuple[Tensor, Tensor]]


class MicroBatchFinder:
    """Finds out what fits.

    Args:
        model: maps float (N, C, H, W) to logits (N, classes); it is tried out and left as it was.
        criterion: the loss.
        precision: numeric precision of the forward pass.
        dummy: returns a batch of that many black images and their targets, on the CPU.
        device: the model's device.
        still: names of modules that stay in evaluation mode.
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: nn.Module,
        precision: Precision,
        dummy: MakeBatch,
        device: torch.device,
        still: Sequence[str] = (),
    ) -> None:
        self.still = still
        self.model = model
        self.criterion = criterion
        self.precision = precision
        self.dummy = dummy
        self.device = device
        self.free = free_on(device)

    def accumulate(self, batch_size: int, wanted: int) -> int:
        """Return the fewest parts that each fit: ``wanted``, or that number doubled again and again.

        If not even a single image does, the run will say so.
        """
        parts = wanted
        per_image, fixed = self.estimate()
        while fixed < self.free and parts < batch_size:
            part = -(-batch_size // parts)
            share = (fixed + part * per_image) / max(1, self.free)
            if share <= SURE or (share <= MOST and self.fits_in_memory(part)):
                break
            parts = min(2 * parts, batch_size)
        return parts

    def most(self, share: float) -> int:
        """Return how many images at once take that share of the free memory; below 1 if not one does."""
        per_image, fixed = self.estimate()
        return int((share * self.free - fixed) / max(1.0, per_image))

    def estimate(self) -> tuple[float, float]:
        """Return the bytes that training takes for each image, and those that it takes anyway.

        Two batches distinguish them: copies of the weights in 16 bits, say, are kept once for all images.
        """
        few, more = self.activation_bytes(2), self.activation_bytes(4)
        per_image = max(0, more - few) / 2
        trained = sum(p.numel() * p.element_size() for p in self.model.parameters() if p.requires_grad)
        return SLACK * per_image, SLACK * max(0, few - 2 * per_image) + (COPIES - 1) * trained

    def activation_bytes(self, count: int) -> int:
        """Return the bytes that the network keeps for ``backward`` of that many images."""
        own = [*self.model.parameters(), *self.model.buffers()]
        storages = {tensor.untyped_storage().data_ptr() for tensor in own}
        kept: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in storages:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = self.loss_of(count)
        del loss  # which held what was counted
        return sum(kept.values())

    def fits_in_memory(self, count: int) -> bool:
        """Return whether a batch of that many images can be trained on, by trying."""
        try:
            self.loss_of(count).backward()
        except ValueError:  # of batch norm, for a single image
            return False
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            return False
        finally:
            self.model.zero_grad()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
        return True

    def loss_of(self, count: int) -> Tensor:
        """Return the loss of that many black images. No generator and no statistics are changed by it."""
        x, y = (part.to(self.device) for part in self.dummy(count))
        buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        was_training = [module for module in self.model.modules() if module.training]
        devices = [self.device] if self.device.type == "cuda" else []
        self.model.train()
        for name in self.still:
            self.model.get_submodule(name).eval()
        try:
            with torch.random.fork_rng(devices), torch.enable_grad(), self.precision.autocast():
                loss: Tensor = self.criterion(functional_call(self.model, buffers, (x,)), y)
        finally:
            self.model.eval()
            for module in was_training:
                module.training = True
        return loss

    def in_words(self, batch_size: int, parts: int) -> str:
        """Return the sentence that says that a batch was cut, and why."""
        per_image, fixed = self.estimate()
        needed = format_bytes(math.ceil(fixed + batch_size * per_image))
        return (
            f"batch_size={batch_size} would take about {needed} of {format_bytes(self.free)} free memory: "
            f"each batch goes in {parts} parts, the step is the same (accumulate={parts})"
        )


@dataclass(frozen=True)
class BatchPlan:
    """How a batch goes through the network.

    Args:
        size: images of a batch.
        accumulate: parts of a batch, whose gradients add up.
    """

    size: int
    accumulate: int

    def clipped(
        self, images: int, shape: tuple[int, int, int], console: Console, words: str = "images"
    ) -> BatchPlan:
        """Return a plan with no batch larger than the training set; warn of epochs of a single step.

        Args:
            images: number of images in the training set.
            shape: channels, height and width of an image.
            console: the console to print the results to.
            words: what images are called, which may be sequences.

        Raises:
            UserError: the images of one batch alone do not fit into the memory.
        """
        size = self.size
        if size >= images > 0:
            has = f"is more than the {images:,} training {words}" if size > images else "is the training set"
            now = f", so batch_size={images}" if size > images else ""
            console.warn(f"batch_size={size} {has}{now}: one step per epoch (full-batch gradient descent)")
            size = images
        per_image = BYTES * math.prod(shape)
        needed, free = size * per_image, memory.free()
        if needed > max(free, LITTLE):
            most = max(1, int(MOST * free) // per_image)
            raise UserError(
                f"batch_size={size}: the {words} of one batch take {format_bytes(needed)}, and "
                f"{format_bytes(free)} are free: take at most batch_size={most}"
            )
        return BatchPlan(size, min(self.accumulate, size))

    def split_to_fit(self, fitting: MicroBatchFinder, console: Console) -> BatchPlan:
        """Return a plan in which a batch that does not fit into the memory goes in more parts."""
        parts = fitting.accumulate(self.size, self.accumulate)
        if parts != self.accumulate:
            console.warn(fitting.in_words(self.size, parts))
        return BatchPlan(self.size, parts)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is that of a device, or of this machine, without memory."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def out_of_memory(folder: Path, step: int, accumulate: int, batch_size: int) -> RunFailed:
    """Return the error of a run that had enough memory at first, and then ran out of it.

    Args:
        folder: the folder of the run.
        step: the step after which it happened.
        accumulate: parts of a batch.
        batch_size: the batch size of all parts together.
    """
    if accumulate >= batch_size or world_size() > 1:
        return RunFailed(f"out of memory after step {step:,}: take a smaller batch_size or a smaller model")
    go_on = (
        f"cnntrain resume {argument(folder)}"
        if (folder / CHECKPOINTS / LAST).exists()
        else "the same command with"
    )
    more = min(2 * accumulate, batch_size)
    return RunFailed(
        f"out of memory after step {step:,}, where accumulate={accumulate}\n"
        f"half the memory is enough, for the same steps: {go_on} accumulate={more}"
    )


def free_on(device: torch.device) -> int:
    """Return the bytes that are free where the model is."""
    if device.type == "cuda":
        kept_by_torch = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept_by_torch
    return memory.free()  # Apple's GPUs share it
