"""The configurations of a sweep's jobs: composed once each, signed, and trusted if this user typed them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cnntrain.config import own_runs
from cnntrain.config.composer import Composer
from cnntrain.config.keys import ABOUT_THE_SWEEP
from cnntrain.errors import UserError
from cnntrain.sweep.plan import Plan


class JobConfigs:
    """The configurations of the jobs of a sweep.

    Args:
        plan: the plan of the sweep; a search adds jobs to it.
        trust: packages that the jobs may name; None for what the user typed.
    """

    def __init__(self, plan: Plan, trust: Sequence[str] | None) -> None:
        self.jobs, self.search, self.signature = plan.jobs, plan.search, plan.signature
        self.trust = None if trust is None else tuple(trust)
        self.composer = Composer(plan.config_dir)
        self.composed: dict[str, dict[str, Any]] = {}  # by the names of the jobs
        self.known: list[str] | None = None  # packages of a sweep that is resumed by who typed it

    def of(self, name: str) -> dict[str, Any]:
        """Return the configuration of a job.

        Raises:
            UserError: it is not possible.
        """
        if name not in self.composed:
            self.composed[name] = self.composer.settings(self.jobs[name])
        return self.composed[name]

    def of_search(self) -> list[dict[str, Any]]:
        """Return the configuration that all jobs of a search have in common, if it is possible by itself."""
        assert self.search is not None
        try:
            return [self.composer.settings(self.search.fixed)]
        except UserError:
            return []

    def first(self) -> dict[str, Any] | None:
        """Return the configuration of the first job, or what all jobs of a search have in common, if any."""
        if self.search is not None:
            return next(iter(self.of_search()), None)
        return next((self.of(name) for name in self.jobs), None)

    def signed(self) -> dict[str, Any]:
        """Return what is signed of a sweep: the configurations of its jobs, or where a search begins."""
        search = self.search
        jobs = self.of_search() if search is not None else map(self.of, self.jobs)
        configured = [{name: v for name, v in job.items() if name not in ABOUT_THE_SWEEP} for job in jobs]
        return {"search": None if search is None else asdict(search), "jobs": configured}

    def trust_if_own(self) -> bool:
        """Trust the sweep as if it were typed if this user has typed it here, and return whether it is so."""
        if self.signature is None:
            return False
        try:
            config = self.signed()
        except UserError:  # a job that is not possible is reported when it is its turn
            return False
        if not own_runs.is_own({"config": config, own_runs.SIGNATURE: self.signature}):
            return False
        self.trust, self.known = None, own_runs.packages_of(config)
        return True

    def trust_in(self, settings: Mapping[str, Any]) -> tuple[str, ...] | None:
        """Return the packages that a job may name; None for any.

        The records of a search are not signed: its jobs name nothing that the search does not begin with.
        """
        if self.known is None or set(own_runs.packages_of(settings)) <= set(self.known):
            return self.trust
        return tuple(self.known)
