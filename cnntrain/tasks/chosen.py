"""The scores of the task that a configuration names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import isclass
from typing import Any

from cnntrain.config.instantiate import check_trusted, locate
from cnntrain.config.keys import SCORES
from cnntrain.errors import UserError
from cnntrain.tasks.scores import Scores
from cnntrain.text import printable

CLASSIFICATION, SEGMENTATION = "cnntrain.tasks.Classification", "cnntrain.tasks.Segmentation"
DETECTION = "cnntrain.tasks.Detection"
BEFORE_TASKS = {"_target_": CLASSIFICATION}  # what runs learned before there were other tasks


def check_classification(what: str, task: Mapping[str, Any]) -> None:
    """Check that a run learns classification, for what shows nothing else yet. Imports no torch.

    Args:
        what: a command, for the message.
        task: the group ``task`` of the run's configuration.

    Raises:
        UserError: it learns something else.
    """
    target = str(task["_target_"])
    if target != CLASSIFICATION:
        raise UserError(f"{what} is for classification only, and this run learns {last_name(target)}")


def last_name(target: str) -> str:
    """Return the name of a class without its module, safe to print."""
    return printable(target.rpartition(".")[2], 100)


def scores_of(task: Mapping[str, Any], trust: Sequence[str] | None) -> Scores:
    """Return the scores of a task. No torch is imported for a task of this package.

    Args:
        task: the group ``task`` of a configuration.
        trust: packages that it may name; None for what the user typed.

    Raises:
        UserError: there is no such class, or it is no task.
        CheckpointError: it is of a package that is not trusted.
    """
    if task["_target_"] in SCORES:
        own: Scores = SCORES[task["_target_"]]
        return own
    from cnntrain.tasks.base import Task  # which imports torch

    check_trusted("task", task, Task, trust)
    found = locate("task", task["_target_"])
    if not (isclass(found) and issubclass(found, Task)):
        raise UserError(
            f"task._target_={printable(task['_target_'])} is not a subclass of cnntrain.tasks.base.Task"
        )
    return found.scores
