"""What a network learns to do. A task is a package: its losses, its metrics, its predictions.

Configurations and checkpoints name the tasks as they stand here. Torch is imported when one is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

TASKS = {"Classification": "cnntrain.tasks.classification.task"}


def __getattr__(name: str) -> Any:
    """Import the class of a task when it is asked for."""
    if name not in TASKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(TASKS[name]), name)
