"""Several processes that train one model: each takes a share of the batch, all average their gradients."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cnntrain.runtime.ranks import rank, world_size
from cnntrain.runtime.torch_private import parallel_without_compiler


class Share:
    """Which part of each batch is this process's, and how much its gradient weighs.

    Args:
        number: of the process; None: its rank.
        processes: how many there are; None: as many as this run has.
    """

    def __init__(self, number: int | None = None, processes: int | None = None) -> None:
        self.rank = rank() if number is None else number
        self.processes = processes or world_size()
        self.weight = 1.0
        # Lets the draws of the others differ from those of the first, which are those of a single process.
        self.position = (self.rank,) if self.rank else ()

    def size(self, count: int) -> int:
        """Return how many of a batch's examples are this process's."""
        return count // self.processes + (self.rank < count % self.processes)

    def part(self, things: Any) -> Any:
        """Return this process's part: nearly equal ones in the order of the ranks, empty if there are few."""
        quotient, remainder = divmod(len(things), self.processes)
        first = self.rank * quotient + min(self.rank, remainder)
        return things[first : first + self.size(len(things))]

    def of(self, batch: Any) -> Any:
        """Return this process's part of a batch.

        In a batch of fewer examples than processes, those who have none take the last one, with no weight:
        they have to take part in the step.
        """
        return self.part(batch) if self.size(len(batch)) else batch[-1:]

    def weigh(self, count: int) -> None:
        """Note the size of the batch that comes next.

        The mean over the processes of their gradients, each times its weight, is the gradient of the mean
        loss over the whole batch.
        """
        self.weight = self.size(count) * self.processes / count


def parallel(model: nn.Module, share: Share, has_idle: bool = False) -> nn.Module:
    """Return what computes the gradients of a model for all processes together.

    DistributedDataParallel (Li et al. 2020, PyTorch Distributed) averages gradients while ``backward`` goes
    on. On GPUs, batch norm takes the whole batch (SyncBatchNorm); torch has none for CPUs, where each process
    keeps to its share.

    Args:
        model: what is trained.
        share: of each batch, for this process.
        has_idle: whether some parameters take no part in the loss, for which no gradient is waited for.
    """
    if share.processes == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    if next(model.parameters()).device.type == "cuda":
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)

    with parallel_without_compiler():
        together = DistributedDataParallel(model, find_unused_parameters=has_idle)
    together.register_comm_hook(share, lambda share, bucket: weighted_mean(share, bucket))
    return together


def weighted_mean(share: Share, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:
    """Begin to average some gradients over the processes, each with the weight of its part of the batch."""
    gradient = bucket.buffer().mul_(share.weight / share.processes)
    work = dist.all_reduce(gradient, async_op=True)
    return work.get_future().then(lambda done: done.value()[0])


def same_weights(model: nn.Module) -> None:
    """Give every process the weights and the statistics of rank 0."""
    if world_size() == 1:
        return
    for tensor in model.state_dict().values():
        dist.broadcast(tensor, src=0)
