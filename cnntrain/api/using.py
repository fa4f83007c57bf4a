"""The use of a trained model as functions."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cnntrain.api.words import words_of

if TYPE_CHECKING:
    from cnntrain.inference.model import Trained
    from cnntrain.tasks.metrics import Result

RunName = str | os.PathLike[str]


def evaluate(run: RunName = "last", overrides: Sequence[str] = (), **keys: Any) -> Result:
    """Return what the model of a run's best epoch scores: the loss, the scores of its task, and details.

    Args:
        run: what :func:`train` returned, a run folder, a checkpoint file, or ``last``.
        overrides: the overrides, as one would type them.
        keys: values by their keys, such as ``split="val"``.

    Raises:
        CheckpointError: there is no such run, or its checkpoint is damaged.
        UserError: an override is wrong.
    """
    from cnntrain.api.process import preserving_process
    from cnntrain.cli.inference import evaluated

    name, words = os.fspath(run), words_of(overrides, keys)
    with preserving_process("eval", [name, *words]):
        result: Result = evaluated(name, words, shlex.join(["cnntrain", "eval", name, *words]))
        return result


def load(run: RunName = "last", overrides: Sequence[str] = (), **keys: Any) -> Trained:
    """Return the trained model of a run's best epoch: ``load("last").predict(images)``.

    Args:
        run: what :func:`train` returned, a run folder, a checkpoint file, or ``last``.
        overrides: the overrides of the keys device, precision, channels_last, threads, compile and trust.
        keys: values by their keys, such as ``device="cpu"``; ``trust=["my_pkg"]`` names packages of yours
            that a checkpoint from elsewhere may name.

    Raises:
        CheckpointError: there is no such run, or its checkpoint is damaged or not to be trusted.
        UserError: an override is wrong.
    """
    from cnntrain.api.process import preserving_process
    from cnntrain.inference import model

    name, words = os.fspath(run), words_of(overrides, keys)
    with preserving_process("predict", [name, *words]):
        return model.load(name, words)
