"""torch's DataLoader, over batches of indices that are decided elsewhere."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import numpy as np
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from cnntrain.errors import CnntrainError, RunFailed
from cnntrain.runtime.torch_private import end_workers

Batch = tuple[Tensor, Tensor]
AHEAD = 4  # batches that each worker prepares before they are asked for
GOING_SECONDS = 1.0  # in which a main process that was killed is gone


class BatchLoader:
    """The batches that a data set makes of lists of indices.

    Args:
        dataset: map-style, with ``__getitems__``, which returns a whole batch or an error.
        batches: the indices of each batch.
        workers: processes that make batches; 0 makes them in this one. They stay from epoch to epoch.
        pin: let the GPU copy batches while the program goes on.
    """

    def __init__(
        self, dataset: Dataset[Any], batches: Iterable[np.ndarray], workers: int, pin: bool = False
    ) -> None:
        # The screen says it in words of its own.
        warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
        self.loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=batches,  # type: ignore[arg-type]  # any sequence of indices will do
            collate_fn=identity,
            num_workers=workers,
            worker_init_fn=init_worker,
            persistent_workers=workers > 0,
            prefetch_factor=AHEAD if workers else None,
            pin_memory=pin,
            generator=Generator(),  # else every epoch would draw from the generator that dropout uses
        )

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self.loader)

    def close(self) -> None:
        """End the workers and wait for them."""
        end_workers(self.loader)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches: uint8 (N, C, H, W) and their targets.

        Raises:
            UserError: an image can't be read.
            RunFailed: a worker was killed, or the cache is damaged.
        """
        try:
            for batch in self.loader:
                yield raise_if_error(batch)
        except Exception as error:
            # The error holds the loader until Python collects it, which ends the queue of a worker first:
            # the worker would hear nothing, and torch would wait 5 s for it.
            self.close()
            if not isinstance(error, RuntimeError) or "DataLoader worker" not in str(error):
                raise
            reason = str(error).splitlines()[0]
            raise RunFailed(f"{reason}\nfewer workers need less memory: workers=0") from error


def raise_if_error(batch: Batch | CnntrainError) -> Batch:
    """Return a batch; raise it if it is an error that a data set has returned in place of one."""
    if isinstance(batch, CnntrainError):
        raise batch
    return batch


def identity(batch: Any) -> Any:
    """Return the batch: ``__getitems__`` has made it already."""
    return batch


def init_worker(worker: int) -> None:
    """Leave Ctrl-C to the main process, which ends its workers after the step; die in silence with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = print_unless_orphaned


def print_unless_orphaned(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print an error, unless the main process was killed: then the connections of its workers break."""
    main = multiprocessing.parent_process()
    if main is not None:
        main.join(GOING_SECONDS)  # its connections break a moment before it is gone
    if main is None or main.is_alive():
        sys.__excepthook__(kind, error, trace)
