"""cnntrain: train image classifiers, segmenters and detectors in PyTorch, from the shell or from Python.

``cnntrain.train(model="mlp", epochs=3)`` trains as the command does and returns the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnntrain import errors as errors
from cnntrain.errors import CnntrainError as CnntrainError
from cnntrain.runtime.imports import lazily

if TYPE_CHECKING:
    from cnntrain.api import Run as Run
    from cnntrain.api import evaluate as evaluate
    from cnntrain.api import load as load
    from cnntrain.api import resume as resume
    from cnntrain.api import train as train

__version__ = "0.1.0"

__getattr__, __dir__ = lazily(
    __name__,
    dict.fromkeys(("Run", "evaluate", "load", "resume", "train"), "api"),
    *("CnntrainError", "errors", "__version__"),
)
