"""What a call from Python leaves as it was: the state that belongs to the whole process."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from hydra.core.global_hydra import GlobalHydra

from cnntrain.errors import Interrupted
from cnntrain.runtime.rng import random_state, set_random_state

VARIABLES = ("HYDRA_FULL_ERROR", "CUBLAS_WORKSPACE_CONFIG")  # that a run sets in the environment
TURN = threading.RLock()  # random numbers and threads belong to the process, and serve one call at a time


@contextmanager
def preserving_process(command: str, words: Sequence[str]) -> Iterator[None]:
    """Do work of the command's in a process of the user's, and leave the process as it was.

    Random generators, threads, deterministic algorithms, ``sys.path``, ``sys.argv``, environment, the root
    logger and Hydra are put back. What stays: modules that were imported, filters of warnings, and the marks
    with which torch's optimizers need no compiler. Calls from several threads wait for each other.

    Args:
        command: the command that does the same on the command line.
        words: the arguments that one would type after it; the records of a run take them from ``sys.argv``.

    Raises:
        KeyboardInterrupt: a signal stopped the work, and its checkpoint is written.
    """
    with TURN, restored():
        sys.argv = ["cnntrain", command, *words]
        try:
            yield
        except Interrupted as error:  # as any Python code ends at Ctrl-C, past every ``except Exception``
            raise KeyboardInterrupt(str(error)) from error


@contextmanager
def restored() -> Iterator[None]:
    """Put back what belongs to the whole process."""
    random, hydra, arguments = random_state(), GlobalHydra.instance().hydra, sys.argv
    here = str(Path.cwd())
    finds_here = here in sys.path
    environment = {name: os.environ.get(name) for name in VARIABLES}
    threads, benchmark = torch.get_num_threads(), torch.backends.cudnn.benchmark
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    level, handlers = logging.root.level, logging.root.handlers.copy()  # Hydra configures it
    warns_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        for name, value in environment.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})
        if not finds_here and here in sys.path:
            sys.path.remove(here)
        logging.root.setLevel(level)
        logging.root.handlers[:] = handlers
        sys.argv, GlobalHydra.instance().hydra = arguments, hydra
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = benchmark
        if is_deterministic != torch.are_deterministic_algorithms_enabled():
            torch.use_deterministic_algorithms(is_deterministic, warn_only=warns_only)
        set_random_state(random)
