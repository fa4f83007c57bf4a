"""From images to batches on the device.

The order of the images follows from (seed, epoch) and their augmentation from (seed, epoch, step),
never from what ran before. So a resumed epoch goes on exactly, and workers change nothing but speed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import Sampler

from cnntrain.compute.ddp import Shard
from cnntrain.compute.wait_time import Stopwatch
from cnntrain.data.augment.augment import Augment
from cnntrain.data.batches import Batch, BatchLoader, raise_if_error
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.streaming import StreamingDataset
from cnntrain.runtime.rng import seed_for

AT_ONCE = 2**18  # values of small batches that are gathered together, 1 MB as floats


class Normalize:
    """Turn bytes into floats with zero mean and unit deviation, a whole batch at a time.

    Args:
        mean: mean of each channel over the training set, for pixels between 0 and 1.
        std: standard deviation of each channel, likewise.
        device: where the batches are.
        memory_format: layout of the floats in memory.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
        memory_format: torch.memory_format = torch.contiguous_format,
    ) -> None:
        self.memory_format = memory_format
        self.mean = 255 * torch.tensor(mean, device=device).view(1, -1, 1, 1)
        self.scale = 1 / (255 * torch.tensor(std, device=device).view(1, -1, 1, 1))

    def __call__(self, x: Tensor) -> Tensor:
        """Map uint8 (N, C, H, W) to float32 (N, C, H, W)."""
        is_last = self.memory_format == torch.channels_last
        # To that layout bytes change slowly and floats fast; where colours lie side by side already, a CPU
        # does many values at a time if whole rows are computed.
        floats = x.to(torch.float32, memory_format=torch.preserve_format if is_last else self.memory_format)
        if is_last and floats.is_contiguous(memory_format=torch.channels_last):
            rows = floats.permute(0, 2, 3, 1).flatten(2)  # a view, (N, H, W * C)
            mean, scale = (
                of.expand(1, x.shape[1], 1, 1).flatten().repeat(x.shape[3]) for of in (self.mean, self.scale)
            )
            rows.sub_(mean).mul_(scale)
            return floats
        return floats.sub_(self.mean).mul_(self.scale).contiguous(memory_format=self.memory_format)


class ShuffledBatches(Sampler[np.ndarray]):
    """The batches of one epoch, in the order that (seed, epoch) gives, from a batch of choice onwards.

    Args:
        indices: the indices of the images, int64.
        batch_size: images in a batch.
        seed: the seed of the order.
        at_once: batches whose indices are handed out together.
        regroup: puts shuffled indices into batches of like images; None: they stay as they are.
    """

    def __init__(
        self,
        indices: Tensor,
        batch_size: int,
        seed: int,
        at_once: int = 1,
        regroup: Callable[[Tensor, int, Generator], Tensor] | None = None,
    ) -> None:
        self.shard = Shard()
        self.indices = indices
        self.batch_size = batch_size
        self.seed = seed
        self.at_once = at_once
        self.regroup = regroup
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        """Return the number of batches of a whole epoch."""
        return -(-len(self.indices) // self.batch_size)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the indices of some batches, int64 (N,): arrays, which reach workers faster than tensors."""
        generator = Generator().manual_seed(seed_for(self.seed, "order", self.epoch))
        shuffled = self.indices[torch.randperm(len(self.indices), generator=generator)]
        if self.regroup is not None:
            shuffled = self.regroup(shuffled, self.batch_size, generator)
        order = shuffled.numpy()
        step = self.batch_size * self.at_once
        for first in range(self.start * self.batch_size, len(order), step):
            some = order[first : first + step]
            if self.shard.processes > 1:
                batches = np.split(some, range(self.batch_size, len(some), self.batch_size))
                some = np.concatenate([self.shard.take(batch) for batch in batches])
            yield some

    def size_of(self, number: int) -> int:
        """Return how many images a batch has, in all processes together."""
        return min(self.batch_size, len(self.indices) - number * self.batch_size)


class TrainLoader:
    """The training batches of any epoch: shuffled, augmented and normalised, on the device.

    Args:
        dataset: makes batches of bytes, uint8 (N, C, H, W), and their targets. Parts of images are taken
            from the whole of each.
        indices: which of its images to train on, int64.
        batch_size: images in a batch, of all processes together; the last one of an epoch may be smaller.
        seed: the seed of order and augmentation.
        augment: changes the bytes of a batch, on the device.
        normalize: turns them into floats.
        device: where the batches go.
        workers: processes that make batches; 0 makes them in this one.
    """

    def __init__(
        self,
        dataset: InMemoryDataset | StreamingDataset,
        indices: Tensor,
        batch_size: int,
        seed: int,
        augment: Augment,
        normalize: Normalize,
        device: torch.device,
        workers: int,
    ) -> None:
        self.image_size = dataset.image_size
        if augment.crops:
            dataset = dataset.whole
        at_once, regroup = 1, getattr(dataset, "grouped", None)
        if isinstance(dataset, InMemoryDataset) and workers == 0 and regroup is None:
            # A small batch takes less time to gather than to ask for, so several are gathered together.
            at_once = max(1, AT_ONCE // (batch_size * dataset.values))
        self.batches = ShuffledBatches(indices, batch_size, seed, at_once, regroup)
        self.shard = self.batches.shard
        self.dataset = dataset
        self.seed = seed
        self.augment = augment
        self.num_classes = len(dataset.class_names)
        self.normalize = normalize
        self.device = device
        self.loader = BatchLoader(dataset, self.batches, workers, pin=must_pin(dataset, device))
        self.stopwatch = Stopwatch(device)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return len(self.batches)

    def close(self) -> None:
        """End the workers."""
        self.loader.close()

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from batch ``start``: float32 (N, C, H, W) and their targets.

        Where images are mixed, those are the shares of the classes, float32 (N, classes).
        """
        return self.stopwatch.timed(self.made(epoch, start))

    def made(self, epoch: int, start: int) -> Iterator[Batch]:
        """Make the batches of an epoch."""
        self.batches.epoch, self.batches.start = epoch, start
        generator = Generator(self.device)
        step = start
        for images, targets in self.loader:
            images = images.to(self.device, non_blocking=True)
            targets = targets.to(self.device, non_blocking=True)
            if not self.augment:
                images = self.normalize(images)
            size = max(1, self.shard.size(self.batches.batch_size))
            for x, y in zip(images.split(size), targets.split(size), strict=True):
                self.shard.set_weight(self.batches.size_of(step))
                if self.augment:
                    generator.manual_seed(seed_for(self.seed, "augment", epoch, step, *self.shard.position))
                    x, y = self.augmented(x, y, generator)
                yield x, y
                step += 1

    def preview(self, count: int) -> Batch:
        """Return the first images of the first epoch as the network gets them, but as bytes, and labels.

        No generator of the run is touched by that.
        """
        batch = next(iter(ShuffledBatches(self.batches.indices, count, self.seed)))
        images, labels = (part.to(self.device) for part in raise_if_error(self.dataset.__getitems__(batch)))
        generator = Generator(self.device).manual_seed(seed_for(self.seed, "augment", 0, 0))
        if not self.augment:
            return images, labels
        return self.dataset.targets.augmented(self.augment, images, labels, generator, self.image_size)

    def augmented(self, x: Tensor, y: Tensor, generator: Generator) -> Batch:
        """Return a batch of bytes augmented, normalised and, if that is wanted, mixed."""
        x, y = self.dataset.targets.augmented(self.augment, x, y, generator, self.image_size)
        x = self.normalize(x)
        return self.augment.mix(x, y, self.num_classes, generator) if self.augment.mixes else (x, y)


class EvalLoader:
    """Every image once, in order, as it is, in batches; of several processes, each has its own part.

    Sequences come from the shortest to the longest, so that little is padded.

    Attributes:
        order: the places in this process's part, in the order of the batches, int64 (N,); None: as they come.
    """

    def __init__(
        self,
        dataset: InMemoryDataset | StreamingDataset,
        indices: Tensor,
        batch_size: int,
        normalize: Normalize,
        device: torch.device,
        workers: int = 0,
    ) -> None:
        self.normalize = normalize
        self.device = device
        mine, by_length = Shard().part(indices), getattr(dataset, "by_length", None)
        self.order: Tensor | None = None if by_length is None else by_length(mine)
        mine = mine if self.order is None else mine[self.order]
        batches = [part.numpy() for part in mine.split(batch_size) if len(part)]
        # Images in memory need no workers: to start them takes longer than to evaluate.
        workers = workers if isinstance(dataset, StreamingDataset) else 0
        self.loader = BatchLoader(dataset, batches, workers, pin=must_pin(dataset, device))

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.loader)

    def close(self) -> None:
        """End the workers."""
        self.loader.close()

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches: float32 (N, C, H, W) and their targets."""
        for x, y in self.loader:
            yield self.normalize(x.to(self.device, non_blocking=True)), y.to(self.device, non_blocking=True)


def must_pin(dataset: InMemoryDataset | StreamingDataset, device: torch.device) -> bool:
    """Return whether batches must travel to a GPU, rather than be made there."""
    return device.type == "cuda" and dataset.device.type == "cpu"
