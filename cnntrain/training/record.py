"""The record that a run keeps of itself, so that its numbers can be trusted and reproduced."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from cnntrain import __version__
from cnntrain.compute.engine import machine
from cnntrain.config import own_runs
from cnntrain.config.schema import Config
from cnntrain.config.sections import DataSettings
from cnntrain.data.open import Data
from cnntrain.image_folder import members
from cnntrain.runs.atomic import write_atomically
from cnntrain.runs.records import RunSummary
from cnntrain.tasks.doctor import Finding
from cnntrain.tasks.metrics import Result
from cnntrain.text import encoded
from cnntrain.training.doctor.diagnosis import as_dicts
from cnntrain.training.trainer import Trainer


def about(
    config: Config,
    settings: DataSettings,
    data: Data,
    started: Mapping[str, Any] | None,
    trust: Sequence[str] | None,
) -> dict[str, Any]:
    """Return what a checkpoint says about itself, beside weights and states.

    Args:
        config: the run's configuration.
        settings: the settings of the data.
        data: its images.
        started: the other checkpoint that it started from, if there is one.
        trust: packages that the configuration may name; None if it is the user's own.
    """
    return {
        **({own_runs.SIGNATURE: own_runs.signature(config)} if trust is None else {}),
        "config": config,
        "init_from": started,
        "class_names": list(data.train.class_names),
        "input_shape": list(settings.shape),
        "normalization": {"mean": settings.mean, "std": settings.std},
        "data_fingerprint": data.train.fingerprint,
        "split": None if data.record is None else members.digest_of(data.record),
        "versions": versions(),
    }


def summarize(
    seed: int,
    trainer: Trainer,
    result: Result,
    findings: Sequence[Finding],
    data: Data,
    device: torch.device,
    seconds: float,
    started: dict[str, Any] | None,
) -> RunSummary:
    """Return what ``summary.json`` says about a finished run."""
    summary = {
        "epochs": trainer.progress.epoch,
        "steps": trainer.progress.step,
        "best": trainer.progress.best,
        "final": trainer.progress.history[-1],
        "test": result.as_dict(),
        "skipped_images": data.skipped,
        **result.details(data.train.class_names),
        "findings": as_dicts(findings),
        "init_from": started,
        "parameters": sum(p.numel() for p in trainer.learner.model.parameters()),
        "trained_parameters": sum(p.numel() for p in trainer.learner.model.parameters() if p.requires_grad),
        "loader_share": round(trainer.train_batches.stopwatch.share, 4),
        "train_seconds": sum(row["seconds"] for row in trainer.progress.history),
        "seconds": seconds,
        "seed": seed,
        "device": str(device),
        "machine": machine(),
        "precision": trainer.learner.precision.name,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "command": shlex.join(["cnntrain", *sys.argv[1:]]),
        "git_commit": git_commit(),
    }
    return cast(RunSummary, summary)  # with details that only the task knows


def versions() -> dict[str, str]:
    """Return the versions on which a result depends."""
    return {
        "cnntrain": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "platform": platform.platform(),
    }


def git_commit() -> str | None:
    """Return the commit of the current folder, with ``-dirty`` if files differ from it; None outside git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def write_yaml(path: Path, config: Config, trust: Sequence[str] | None) -> None:
    """Write a configuration as YAML, atomically; with its signature, if it is the user's own."""
    from omegaconf import OmegaConf

    signature = own_runs.signature(config) if trust is None else None
    write_atomically(path, encoded(OmegaConf.to_yaml(config) + own_runs.as_comment(signature)))
