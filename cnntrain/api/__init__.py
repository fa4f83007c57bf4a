"""The public functions of the package: what ``import cnntrain`` offers, imported when it is first used."""

from cnntrain.api.run import Run
from cnntrain.api.training import resume, train
from cnntrain.api.using import evaluate, load

__all__ = ["Run", "evaluate", "load", "resume", "train"]
