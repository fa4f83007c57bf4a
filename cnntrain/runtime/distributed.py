"""The communication between the processes of one run: weights, gradients, sums, signals and errors.

The process of rank 0 writes the files and reports to the user. All of them train, each on its shard of every
batch. A run of one process calls the same functions, which then do nothing.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist

from cnntrain.errors import CnntrainError, Interrupted, RunFailed
from cnntrain.runtime.ranks import Reporter, is_main, local_rank, world_size
from cnntrain.runtime.torch_private import default_store

T = TypeVar("T")
# Long enough for the first process to decode the data. The loss of a process is noticed at once.
TIMEOUT = datetime.timedelta(hours=6)
ANSWER_SECONDS = 1.0  # the first process waits so long for the others when a run ends with an error
REPORTED = f"cnntrain/reported/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"
LOST = (
    "one of the processes of this run was lost, so the others end; its checkpoints are whole\n"
    "to go on, with any number of processes: torchrun ... -m cnntrain resume last"
)
UNFINISHED = "finished reduction in the prior iteration"  # what torch says of parameters without gradients
SIGNS_OF_LOSS = ("Connection closed", "Connection reset", "Broken pipe", "imed out", "NCCL", "Socket", "gloo")


def is_sign_of_loss(error: BaseException) -> bool:
    """Return whether an error shows that another process was lost."""
    return world_size() > 1 and any(sign in str(error) for sign in SIGNS_OF_LOSS)


def decide_who_reports() -> None:
    """Let one process, of those that are still alive, report to the user why the run ends."""
    try:
        store = default_store()
        Reporter.is_chosen = store.add(REPORTED, 1) == 1
        end = time.monotonic() + ANSWER_SECONDS
        while is_main() and store.add(REPORTED, 0) < world_size() and time.monotonic() < end:
            time.sleep(0.01)  # the store is in this process: it stays until the others have asked
    except Exception:  # the store has gone with its process
        Reporter.is_chosen = True


@contextmanager
def group(uses_cuda: bool) -> Iterator[None]:
    """Connect the processes of this run, and disconnect them at the end of the block.

    Args:
        uses_cuda: communicate through the GPUs (NCCL) instead of the CPUs (gloo).

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
        Reporter.is_chosen = is_main()
        raise
    except CnntrainError:
        decide_who_reports()
        raise
    except (RuntimeError, OSError) as error:
        decide_who_reports()
        if not is_sign_of_loss(error):
            raise
        raise RunFailed(LOST) from error
    finally:
        dist.destroy_process_group()


def broadcast(value: T) -> T:
    """Return the value of the process of rank 0; plain types only."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def on_rank_zero(work: Callable[[], T]) -> T:
    """Do work in the process of rank 0 and return its result, or raise its error for the user, in all."""
    if world_size() == 1:
        return work()
    outcome: tuple[T | None, CnntrainError | None] = (None, None)
    if is_main():
        try:
            outcome = (work(), None)
        except CnntrainError as error:
            outcome = (None, error)
    value, error_of_main = broadcast(outcome)
    if error_of_main is not None:
        raise error_of_main
    return cast(T, value)


def rank_zero_first(work: Callable[[], T]) -> T:
    """Do work in all processes. Rank 0 goes first, so that the others find its results in the cache."""
    if world_size() == 1:
        return work()
    mine: list[T] = []
    on_rank_zero(lambda: mine.append(work()))
    return mine[0] if mine else work()


def all_gather(value: T) -> list[T]:
    """Return the values of all processes, in the order of their ranks; plain types and tensors."""
    if world_size() == 1:
        return [value]
    box: list[Any] = [None] * world_size()
    dist.all_gather_object(box, value)
    return box


def all_reduce_max(*flags: int) -> tuple[int, ...]:
    """Return the maximum of each number over all processes, such as the signal that one has received."""
    if world_size() == 1:
        return flags
    box = torch.tensor(flags, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(box, dist.ReduceOp.MAX)
    return tuple(box.tolist())
