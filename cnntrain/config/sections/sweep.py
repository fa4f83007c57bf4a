"""How a sweep is run, and what it needs to know of its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from cnntrain.config.sections.data import Node
from cnntrain.errors import UserError


@dataclass(frozen=True)
class SweepSettings:
    """How a sweep is run.

    Args:
        launcher: class and arguments of what runs the jobs.
        on_error: ``stop`` leaves the other jobs undone when one fails; ``continue`` does not.
        sweeper: the group ``sweeper``: a grid, or a search with its options.
        seeds: how many seeds repeat each point of a grid; None: no seed does.
        monitor: the score that ranks the jobs.
        verbose: how much is printed.
    """

    launcher: Node
    on_error: str
    sweeper: Mapping[str, Any]
    seeds: int | None
    monitor: str
    verbose: int

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SweepSettings:
        """Return what a configuration says about a sweep."""
        return cls(**{field.name: config[field.name] for field in fields(cls)})

    @property
    def searches(self) -> bool:
        """Whether the results of earlier jobs choose the next ones."""
        return bool(self.sweeper.get("kind") == "search")


@dataclass(frozen=True)
class SearchSettings:
    """A search: the keys of the group ``sweeper``, and what is searched.

    Args:
        kind: ``search``.
        sampler: what draws the points.
        n_trials: the number of points.
        prune: whether a job ends early that is worse than the others.
        seed: the seed of the sampler.
        space: the override of each key that is searched, as typed.
        fixed: all other overrides.
    """

    kind: str
    sampler: str
    n_trials: int
    prune: bool
    seed: int
    space: dict[str, str]
    fixed: list[str]

    @classmethod
    def from_config(
        cls, sweeper: Mapping[str, Any], space: Mapping[str, str], fixed: Sequence[str]
    ) -> SearchSettings:
        """Return the search that a group ``sweeper`` describes.

        Raises:
            UserError: the group lacks a key.
        """
        names = [field.name for field in fields(cls) if field.name not in ("space", "fixed")]
        missing = [name for name in names if name not in sweeper]
        if missing:
            raise UserError(f"sweeper.{missing[0]} is missing: a search needs {', '.join(names)}")
        return cls(**{name: sweeper[name] for name in names}, space=dict(space), fixed=list(fixed))


@dataclass(frozen=True)
class JobSettings:
    """What a sweep needs to know of a job.

    Args:
        task: class and arguments of what it learns.
        monitor: the score that chooses its best epoch.
        epochs: passes over the training set.
        report: whether it gets a report if it is the best.
    """

    task: Node
    monitor: str
    epochs: int
    report: bool

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> JobSettings:
        """Return what a job's configuration says."""
        return cls(**{field.name: config[field.name] for field in fields(cls)})
