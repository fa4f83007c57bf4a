"""Work that several processes of ``torchrun`` do together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cnntrain.runtime.ranks import world_size


@contextmanager
def join_processes(device: str) -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Connect the processes of this run, if ``torchrun`` has started several.

    Args:
        device: the device, as configured.

    Yields:
        A function that does something in the first process alone, and tells the others the outcome.
    """
    if world_size() == 1:
        yield run_alone
        return
    from cnntrain.runtime import distributed
    from cnntrain.training.components.device import find_device

    with distributed.group(uses_cuda=find_device(device).type == "cuda"):
        yield distributed.on_rank_zero


def run_alone(work: Callable[[], Any]) -> Any:
    """Call ``work`` in the only process."""
    return work()
