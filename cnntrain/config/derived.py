"""A checked configuration with values that are decided later: by its folder, its sweep or its machine.

Each function returns a new configuration, and changes none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnntrain.config.keys import MEASURED
from cnntrain.config.schema import Config


def with_folder(config: Mapping[str, Any], folder: Path) -> Config:
    """Return the configuration of a run that has its folder, whether that was typed or chosen."""
    return {**config, "out": str(folder)}


def for_job(config: Mapping[str, Any], folder: Path, verbose: int, threads: int | None) -> Config:
    """Return the configuration with which a job of a sweep trains.

    Args:
        config: the job's own, as it was composed.
        folder: the folder that it trains in.
        verbose: how much it prints.
        threads: the number of threads that it may use if none is typed; None lets it measure.
    """
    # No report, which keeps a sweep quick; the best job gets one in the end.
    decided = {"report": False, "verbose": verbose}
    if threads is not None and config["threads"] == "auto":
        decided["threads"] = threads
    return {**with_folder(config, folder), **decided}


def measured_values(config: Mapping[str, Any]) -> Config:
    """Return what a run has found out of the machine that it began on, and keeps, from its configuration."""
    return {name: config[name] for name in MEASURED}


def resumed(config: Mapping[str, Any], saved: Mapping[str, Any]) -> Config:
    """Return the configuration of a run, as it was composed, that goes on as it began.

    Args:
        config: the run's configuration.
        saved: the configuration in its checkpoint.
    """
    return {**config, **measured_values(saved), "accumulate": saved["accumulate"]}


def for_report(
    config: Mapping[str, Any], saved: Mapping[str, Any], verbose: int, trust: Sequence[str] | None
) -> Config:
    """Return the configuration of a job of a sweep that is reported on, perhaps on another machine.

    Args:
        config: the job's own, as it was composed.
        saved: the configuration in its checkpoint.
        verbose: how much is printed.
        trust: packages that it may name; None for what the user typed.
    """
    return {**config, **measured_values(saved), "device": "auto", "verbose": verbose, "trust": trust}
