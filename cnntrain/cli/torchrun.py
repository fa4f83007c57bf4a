"""Work that several processes of ``torchrun`` do together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cnntrain.runtime.ranks import world_size

T = TypeVar("T")


def together(device: str, work: Callable[[Callable[[Callable[[], Any]], Any]], T]) -> T:
    """Do work together with the other processes of this run, if ``torchrun`` has started several.

    Args:
        device: as configured.
        work: is given a function that does something in the first process alone, and tells the others.
    """
    if world_size() == 1:
        return work(lambda task: task())
    from cnntrain.runtime import distributed
    from cnntrain.training.components.device import find_device

    with distributed.group(uses_cuda=find_device(device).type == "cuda"):
        return work(distributed.by_main)
