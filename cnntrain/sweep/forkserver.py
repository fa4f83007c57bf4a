"""Starts the process that ``launcher=joblib`` forks its jobs from. No torch.

Else each of them would import torch, which takes as long as several short jobs.
"""

from __future__ import annotations

import os
import sys

SAFE_PATH, OURS = "PYTHONSAFEPATH", "cnntrain"
FORKS = sys.platform == "linux"  # where forking a process that has imported much is safe


def start() -> None:
    """Start the fork server in the background, unless it runs already."""
    shield_path()
    if not FORKS:
        return
    import multiprocessing
    from multiprocessing import forkserver

    multiprocessing.set_forkserver_preload(["cnntrain.sweep.preload"])
    forkserver.ensure_running()


def shield_path() -> None:
    """Keep the current folder from the front of the path of processes that an engine starts.

    They are started by ``python -c`` or ``-m``, which would import a random.py of the user's in place of
    Python's. The user's own modules are found all the same: a job adds the folder at the end.
    """
    os.environ.setdefault(SAFE_PATH, OURS)


def unshield_path() -> None:
    """Let programs that a job starts import modules from their own folder, unless the user forbids it."""
    if os.environ.get(SAFE_PATH) == OURS:
        del os.environ[SAFE_PATH]
