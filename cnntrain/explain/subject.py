"""What is to be explained: a configuration or the checkpoint of a run. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cnntrain.config.compose import conf_folder, read_yaml
from cnntrain.config.composer import composed
from cnntrain.config.from_checkpoint import check_amendments
from cnntrain.config.keys import AMENDABLE, KEYS
from cnntrain.config.overrides import check_overrides, normalized
from cnntrain.errors import UserError, did_you_mean
from cnntrain.inference.saved_run import open_best
from cnntrain.runs.records import CheckpointState
from cnntrain.tasks.chosen import check_classification

OF_RUNS = ("shift", "filters")  # topics that take a run's model in place of one trained now


DIVERGING = "sgd"  # under which training without zero_grad diverges; Adam's steps stay as long as they are


@dataclass
class Subject:
    """What is to be explained: a configuration and, if it is a run's, its checkpoint.

    Args:
        config: checked, as plain types.
        path: the checkpoint's file; None for a model that is to be trained.
        state: the checkpoint.
    """

    config: dict[str, Any]
    path: Path | None = None
    state: CheckpointState | None = None


def subjects_of(topic: str, words: Sequence[str], config_dir: str | None) -> list[Subject]:
    """Return what a topic is about: runs that are named, or what the overrides describe.

    Raises:
        UserError: an override is wrong, or a run is not there.
    """
    runs = [word.partition("=")[2] for word in words if word.startswith("run=")]
    typed = [word for word in words if not word.startswith("run=")]
    if runs and topic not in OF_RUNS:
        raise UserError(f"run={runs[0]}: only explain {' and explain '.join(OF_RUNS)} take a run")
    if len(runs) > 1 and topic != "shift":
        raise UserError(f"explain {topic} takes one run, not {len(runs)}")
    if runs:
        return [of_run(run, typed) for run in runs]
    for key in (word.partition("=")[0] for word in typed):
        if "." not in key and key not in KEYS and (near := did_you_mean(key, ["run"])):
            raise UserError(f"unknown key {key}{near}")
    own = read_yaml(conf_folder() / "explain.yaml")
    is_long = any(word.startswith(("epochs=", "experiment=")) for word in typed)
    overrides = [*([] if is_long or not topic else [f"epochs={own['epochs']}"]), *normalized(typed)]
    if topic == "zero_grad" and not any(
        word.startswith(("optim=", "optim._", "experiment=")) for word in typed
    ):
        overrides.insert(0, f"optim={DIVERGING}")
    if topic == "shift" and not any(word.startswith("model") for word in typed):
        return [of_overrides([*overrides, f"model={name}"], config_dir) for name in ("mlp", "cnn")]
    return [of_overrides(overrides, config_dir)]


def of_overrides(overrides: Sequence[str], config_dir: str | None) -> Subject:
    """Return the configuration that ``train`` would compose of some overrides."""
    check_overrides(overrides, config_dir, is_sweep=False)
    config = composed(overrides, config_dir).completed()
    if config["seeds"] is not None:
        raise UserError(f"seeds={config['seeds']} makes a sweep of a run, and explain takes one: seed=N")
    return of_classification(Subject(config))


def of_run(run: str, overrides: Sequence[str]) -> Subject:
    """Return a run's configuration, amended, and its best checkpoint."""
    amendments = check_amendments(overrides, AMENDABLE["explain_run"], "explain run=RUN")
    saved = open_best(run, "eval", amendments, own={"out": None})
    return of_classification(Subject(saved.config, saved.path, saved.state))


def of_classification(subject: Subject) -> Subject:
    """Return a subject whose run learns classification; what is explained is said of classes."""
    check_classification("explain", subject.config)
    return subject
