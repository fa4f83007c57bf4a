"""Several processes that train one model: each takes a shard of a batch, all average their gradients."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cnntrain.runtime.ranks import rank, world_size
from cnntrain.runtime.torch_private import parallel_without_compiler


class Shard:
    """The part of each batch that this process trains on, and the weight of its gradient.

    Args:
        number: the number of the process; None means its rank.
        processes: the number of processes; None means those of this run.
    """

    def __init__(self, number: int | None = None, processes: int | None = None) -> None:
        self.rank = rank() if number is None else number
        self.processes = processes or world_size()
        self.weight = 1.0
        # The first process draws what a single process draws; the position makes the others draw differently.
        self.position = (self.rank,) if self.rank else ()

    def size(self, count: int) -> int:
        """Return the number of a batch's examples that this process trains on."""
        return count // self.processes + (self.rank < count % self.processes)

    def part(self, things: Any) -> Any:
        """Return this process's part: nearly equal ones in the order of the ranks, empty if there are few."""
        quotient, remainder = divmod(len(things), self.processes)
        first = self.rank * quotient + min(self.rank, remainder)
        return things[first : first + self.size(len(things))]

    def take(self, batch: Any) -> Any:
        """Return this process's part of a batch.

        In a batch of fewer examples than processes, those who have none take the last one, with no weight:
        they have to take part in the step.
        """
        return self.part(batch) if self.size(len(batch)) else batch[-1:]

    def set_weight(self, count: int) -> None:
        """Note the size of the batch that comes next.

        The mean over the processes of their gradients, each times its weight, is the gradient of the mean
        loss over the whole batch.
        """
        self.weight = self.size(count) * self.processes / count


def parallel(model: nn.Module, shard: Shard, has_idle: bool = False) -> nn.Module:
    """Return what computes the gradients of a model for all processes together.

    DistributedDataParallel (Li et al. 2020, PyTorch Distributed) averages gradients while ``backward`` goes
    on. On GPUs, batch norm takes the whole batch (SyncBatchNorm); torch has none for CPUs, where each process
    keeps to its shard.

    Args:
        model: the model to train.
        shard: the part of each batch that this process trains on.
        has_idle: whether some parameters take no part in the loss, so that no gradient of theirs is awaited.
    """
    if shard.processes == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    if next(model.parameters()).device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)

    with parallel_without_compiler():
        together = DistributedDataParallel(model, find_unused_parameters=has_idle)
    together.register_comm_hook(shard, lambda shard, bucket: weighted_mean(shard, bucket))
    return together


def weighted_mean(shard: Shard, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """Begin to average some gradients over the processes, each with the weight of its part of the batch."""
    gradient = bucket.buffer().mul_(shard.weight / shard.processes)
    work = dist.all_reduce(gradient, async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


def same_weights(model: nn.Module) -> None:
    """Copy the weights and the statistics of rank 0 to every process."""
    if world_size() == 1:
        return
    for tensor in model.state_dict().values():
        dist.broadcast(tensor, src=0)
