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
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist

from cnntrain.errors import CnntrainError, Interrupted, RunFailed
from cnntrain.runtime.ranks import Spokesman, is_main, local_rank, world_size
from cnntrain.runtime.torch_private import default_store

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
        store = default_store()
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
