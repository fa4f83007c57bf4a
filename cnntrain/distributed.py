"""What the processes of one run tell each other: weights, gradients, sums, signals and their end.

The process of rank 0 writes the files and talks to the user; all of them train, each on its share of every
batch. A run of one process calls the same functions, which then do nothing.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cnntrain.errors import CnntrainError, Interrupted, RunFailed
from cnntrain.lean import parallel_without_compiler
from cnntrain.losses import Weigh
from cnntrain.metrics import Result, RunningMean
from cnntrain.ranks import Spokesman, is_main, local_rank, rank, world_size

T = TypeVar("T")
# The first process must have decoded the data by then. A process that is lost shows at once.
TIMEOUT = datetime.timedelta(hours=6)
ANSWER_SECONDS = 1.0  # that the first process waits for the others when a run ends with an error
TOLD = f"cnntrain/told/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
LOST = (
    "one of the processes of this run was lost, so the others end; its checkpoints are whole\n"
    "to go on, with any number of processes: torchrun ... -m cnntrain resume last"
)
UNFINISHED = "finished reduction in the prior iteration"  # what torch says of parameters without gradients
SIGNS_OF_LOSS = ("Connection closed", "Connection reset", "Broken pipe", "imed out", "NCCL", "Socket", "gloo")


def is_sign_of_loss(error: BaseException) -> bool:
    """Return whether an error is what the loss of another process looks like."""
    return world_size() > 1 and any(sign in str(error) for sign in SIGNS_OF_LOSS)


def decide_who_tells() -> None:
    """Let this process tell the user why the run ends if no other has, whichever are still alive."""
    try:
        store = dist.distributed_c10d._get_default_store()
        Spokesman.speaks = store.add(TOLD, 1) == 1
        end = time.monotonic() + ANSWER_SECONDS
        while is_main() and store.add(TOLD, 0) < world_size() and time.monotonic() < end:
            time.sleep(0.01)  # the store is in this process: it stays until the others have asked
    except Exception:  # the store has gone with its process
        Spokesman.speaks = True


@contextmanager
def group(uses_cuda: bool) -> Iterator[None]:
    """Let the processes find each other, and part them in the end.

    Args:
        uses_cuda: talk through the GPUs (NCCL) and not through the CPUs (gloo).

    Raises:
        RunFailed: one of the others was lost.
    """
    if world_size() == 1:
        yield
        return
    if uses_cuda:
        torch.cuda.set_device(local_rank())
    dist.init_process_group("nccl" if uses_cuda else "gloo", timeout=TIMEOUT)
    try:
        yield
    except Interrupted:  # all stop at the same step
        Spokesman.speaks = is_main()
        raise
    except CnntrainError:
        decide_who_tells()
        raise
    except (RuntimeError, OSError) as error:
        decide_who_tells()
        if not is_sign_of_loss(error):
            raise
        raise RunFailed(LOST) from error
    finally:
        dist.destroy_process_group()


def broadcast(value: T) -> T:
    """Return what the process of rank 0 has; plain types."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def by_main(work: Callable[[], T]) -> T:
    """Do work in the process of rank 0, and give all what came of it: a value, or an error for the user."""
    if world_size() == 1:
        return work()
    outcome: tuple[Any, CnntrainError | None] = (None, None)
    if is_main():
        try:
            outcome = (work(), None)
        except CnntrainError as error:
            outcome = (None, error)
    value, error_of_main = broadcast(outcome)
    if error_of_main is not None:
        raise error_of_main
    return value


def main_first(work: Callable[[], T]) -> T:
    """Do work in all processes, in that of rank 0 before the others, who find what it leaves in the cache."""
    if world_size() == 1:
        return work()
    mine: list[T] = []
    by_main(lambda: mine.append(work()))
    return mine[0] if mine else work()


def gathered(value: T) -> list[T]:
    """Return what each process has, in the order of their ranks; plain types and tensors."""
    if world_size() == 1:
        return [value]
    box: list[Any] = [None] * world_size()
    dist.all_gather_object(box, value)
    return box


def agreed(*flags: int) -> tuple[int, ...]:
    """Return the largest that any process has of each number, such as the signal that one has received."""
    if world_size() == 1:
        return flags
    box = torch.tensor(flags, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(box, dist.ReduceOp.MAX)
    return tuple(box.tolist())


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


def weighed(
    batches: Iterator[tuple[Tensor, Tensor]], weigh: Weigh, share: Share
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the batches of an epoch; with class weights, a process's part counts as much as its labels do."""
    for x, y in batches:
        mine = weigh(y)
        if share.processes > 1 and isinstance(mine, Tensor):
            mine = mine * bool(share.weight)  # nothing, of a batch that has no example for this process
            whole = mine.clone()
            dist.all_reduce(whole)
            share.weight = float(mine * share.processes / whole)
        yield x, y


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


def running_mean(device: torch.device, share: Share) -> RunningMean:
    """Return a mean over the examples of all processes."""
    return RunningMean(device) if share.processes == 1 else SharedMean(device, share)


def whole(result: Result) -> Result:
    """Return the evaluation of all examples; each process has evaluated a part."""
    if world_size() == 1:
        return result
    weight = result.examples if result.weight is None else result.weight
    parts = gathered((result.loss * weight, weight, result.confusion, (result.top5 or 0.0) * result.examples))
    losses, weights, confusions, top5s = zip(*parts, strict=True)
    confusion = sum(confusions[1:], start=confusions[0])
    top5 = None if result.top5 is None else sum(top5s) / max(1, int(confusion.sum()))
    return Result(sum(losses) / (sum(weights) or 1.0), confusion, top5, sum(weights))


class SharedMean(RunningMean):
    """A running mean over all processes; each sees its share.

    Args:
        device: where the losses are.
        share: of this process, which tells what has no weight.
    """

    def __init__(self, device: torch.device, share: Share) -> None:
        super().__init__(device)
        self.share = share

    def update(self, loss: Tensor, output: Tensor, y: Tensor, weight: float | Tensor | None = None) -> None:
        """Count this process's part of a batch."""
        if self.share.weight:
            super().update(loss, output, y, weight)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from sums over all processes, which the first one keeps for all."""
        nothing = dict.fromkeys(state, 0)
        super().load_state_dict(state if self.share.rank == 0 else {**nothing, "batches": state["batches"]})

    def whole(self) -> RunningMean:
        """Return the mean over all processes, which must all call this."""
        whole = RunningMean(self.loss_sum.device)
        parts = gathered(self.state_dict())
        whole.load_state_dict({name: sum(part[name] for part in parts) for name in parts[0]})
        whole.batches = max(part["batches"] for part in parts)
        return whole

    def diverged_at(self) -> int | None:
        """Return the first batch whose loss was NaN or infinite in any process; all must call this."""
        found = [bad for bad in gathered(super().diverged_at()) if bad is not None]
        return min(found, default=None)
