"""The work around a job in a process that an engine has started."""

from __future__ import annotations

import atexit
import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from cnntrain.runtime.signals import fast_exit
from cnntrain.sweep.job import Job

WATCH_SECONDS = 0.1
T = TypeVar("T")


def in_worker(work: Callable[[Job], T], job: Job, parent: int) -> tuple[Job, T]:
    """Run a job and return it with its result, since jobs end in any order.

    Args:
        work: the function to call.
        job: its argument.
        parent: process of the sweep. If that is killed, the job is stopped with a checkpoint, and so is this
            process: else it would go on with jobs that nobody waits for, in the way of the sweep's resume.
    """
    if os.getpid() == parent:  # the engine made no process for so little
        return job, work(job)
    from tqdm import tqdm

    tqdm.set_lock(threading.RLock())  # its own is a semaphore of the system, which a killed process leaks
    end_with(parent)
    try:
        return job, work(job)
    finally:
        if not is_alive(parent):
            os._exit(1)


@functools.cache  # a process has one parent
def end_with(parent: int) -> None:
    """Stop this process, as by SIGTERM, when its parent has gone."""

    def watch() -> None:
        while is_alive(parent):
            time.sleep(WATCH_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    atexit.register(fast_exit)


def is_alive(parent: int) -> bool:
    """Return whether the process of the sweep is there, whose child this one is, or is a fork server's."""
    process = multiprocessing.parent_process()
    return os.getppid() == parent if process is None else process.is_alive()


@contextmanager
def stderr_to(file: Path) -> Iterator[Any]:
    """Redirect standard error to a file, also that of processes that are started in the block."""
    file.parent.mkdir(exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    with file.open("ab") as target:
        os.dup2(target.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
