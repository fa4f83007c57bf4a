"""Starts the process from which ``launcher=joblib`` forks those of its jobs. No torch.

Else each of them would import torch, which takes as long as several short jobs.
"""

from __future__ import annotations

import sys

FORKS = sys.platform == "linux"  # where forking a process that has imported much is safe


def start() -> None:
    """Let it begin to import, beside what this process does next, unless it runs already."""
    if not FORKS:
        return
    import multiprocessing
    from multiprocessing import forkserver

    multiprocessing.set_forkserver_preload(["cnntrain.preload"])
    forkserver.ensure_running()
