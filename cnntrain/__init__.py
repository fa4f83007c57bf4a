"""cnntrain: train image classifiers in PyTorch, from the shell or from Python.

``cnntrain.train(model="mlp", epochs=3)`` trains as the command does and returns the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnntrain.api import Run as Run
    from cnntrain.api import evaluate as evaluate
    from cnntrain.api import load as load
    from cnntrain.api import resume as resume
    from cnntrain.api import train as train
    from cnntrain.errors import CnntrainError as CnntrainError

__version__ = "0.1.0"
PUBLIC = {
    **dict.fromkeys(("Run", "evaluate", "load", "resume", "train"), "cnntrain.api"),
    "CnntrainError": "cnntrain.errors",
}
__all__ = ["CnntrainError", "Run", "evaluate", "load", "resume", "train"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: ``import cnntrain`` alone takes no time, and no torch."""
    from importlib import import_module

    if name in PUBLIC:
        value = getattr(import_module(PUBLIC[name]), name)
    elif name == "errors":
        value = import_module("cnntrain.errors")
    else:
        raise AttributeError(f"module 'cnntrain' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, whether they have been used or not."""
    return sorted([*globals(), *__all__, "errors"])
