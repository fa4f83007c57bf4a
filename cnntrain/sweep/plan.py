"""The plan of a sweep: its jobs, each with a permanent name.

The plan is kept in the folder of the sweep. A job is named after the values that set it apart from the
others, so that it has the same name whenever, wherever and in whichever order it runs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from cnntrain.config.overrides import READ_PATHS, parse
from cnntrain.config.sections import SearchSettings
from cnntrain.errors import CheckpointError, UserError
from cnntrain.runs import run_folder
from cnntrain.runs.atomic import write_atomically
from cnntrain.runs.run_files import read_yaml
from cnntrain.text import argument, encoded, shown_path

if TYPE_CHECKING:
    from hydra.core.override_parser.types import IntervalSweep, Override

PLAN = run_folder.SWEEP
FORMAT = 1
LONGEST_NAME = 100
WIDE = 100  # an interval whose ends are so many times apart is searched on a log scale


@dataclass(frozen=True)
class Plan:
    """The plan of a sweep.

    Args:
        jobs: the overrides of each job, by its name.
        varied: the keys in which the jobs differ.
        monitor: the metric that ranks them.
        config_dir: the user's own folder of groups.
        how: what was typed about the sweep itself, such as ``launcher=joblib``, for those who resume it.
        search: the search, to which the jobs are added as it asks for them; None of a grid.
        command: the command that was typed, for those who look at the results.
        signature: the signature of the jobs' configurations, if they name classes of the user's own.
    """

    jobs: dict[str, list[str]]
    varied: list[str]
    monitor: str
    config_dir: str | None
    how: list[str] = field(default_factory=list)
    search: SearchSettings | None = None
    command: str = ""
    signature: str | None = None

    def log_keys(self) -> list[str]:
        """Return the keys that a search draws on a log scale."""
        space = self.search.space if self.search is not None else {}
        parsed = {key: parse([text])[0] for key, text in space.items()}
        return [key for key, override in parsed.items() if draws_logarithms(override)]

    def varied_of(self, name: str) -> tuple[str, ...]:
        """Return the overrides in which a job differs from the others, as ``KEY=VALUE``."""
        return tuple(map(with_short_path, differing(self.jobs[name], self.varied)))

    def write(self, folder: Path) -> None:
        """Write the plan into the sweep's folder."""
        import yaml

        text = yaml.safe_dump({"format": FORMAT, **asdict(self)}, sort_keys=False, allow_unicode=True)
        write_atomically(folder / PLAN, encoded(text))

    @classmethod
    def read(cls, folder: Path) -> Plan:
        """Read the plan of a sweep.

        Raises:
            CheckpointError: it is damaged, or none that ``train -m`` would have written.
        """
        path = folder / PLAN
        try:
            found = read_yaml(path)
            assert found.pop("format") == FORMAT
            search = found.pop("search", None)
            plan = cls(**found, search=None if search is None else SearchSettings(**search))
            words = [*plan.how, *(word for job in plan.jobs.values() for word in job)]
            assert all(isinstance(word, str) for word in [*words, *plan.jobs, *plan.varied, plan.monitor])
            assert all(Path(name).name == name for name in plan.jobs)
        except Exception as error:  # anything may be in a damaged file
            raise CheckpointError(f"{path} is damaged, or `train -m` did not write it") from error
        if any("${" in word or word.lstrip("+~").startswith("hydra") for word in words):
            raise CheckpointError(f"{path} holds overrides that would run when they are read")
        return plan


def draws_logarithms(override: Override) -> bool:
    """Return whether a search draws from an interval on a log scale: if that was typed, or it is wide."""
    if not override.is_interval_sweep():
        return False
    sweep = cast("IntervalSweep", override.value())
    low, high = float(sweep.start or 0), float(sweep.end or 0)
    return "log" in sweep.tags or ("linear" not in sweep.tags and low > 0 and high / low >= WIDE)


def named_by(jobs: Sequence[Sequence[str]], varied: Sequence[str]) -> dict[str, list[str]]:
    """Name each job after the values in which it differs, such as ``optim-sgd_optim.lr-0.01``."""
    named: dict[str, list[str]] = {}
    for job in jobs:
        own = differing(job, varied)
        name = re.sub(r"[^\w.,+-]+", "-", "_".join(own)).strip("-.") or "job"
        if named.get(name) == list(job):
            continue  # typed twice: it would be the same run
        if len(name) > LONGEST_NAME or name in named:
            digest = hashlib.sha256(encoded(" ".join(job))).hexdigest()[:8]
            name = f"{name[: LONGEST_NAME - 9]}_{digest}"
        named[name] = list(job)
    return named


def differing(job: Sequence[str], varied: Sequence[str]) -> list[str]:
    """Return those of a job's overrides whose keys vary, without the ``++`` of a class of the user's own."""
    words = [word.lstrip("+") for word in job]
    return [word for word in words if word.partition("=")[0] in varied]


def with_short_path(word: str) -> str:
    """Return an override, without ``+``, as it is shown: a path unquoted, relative to the current folder."""
    key = word.partition("=")[0]
    if key not in READ_PATHS:
        return word
    value = parse([word])[0].value()
    return f"{key}={shown_path(value)}" if isinstance(value, str) else word


def folder_for(plan: Plan, out: str | None) -> Path:
    """Return the sweep's folder: a fresh one, or ``out``, which may hold the same sweep or a part of it."""
    if out is None:
        return run_folder.claim(run_folder.OUTPUTS / "sweeps", "")
    folder = run_folder.typed_path(out)
    if (folder / PLAN).exists():
        before = Plan.read(folder)
        same_search = plan.search is not None and before.search is not None and same_space(plan, before)
        if not same_search and not all(plan.jobs.get(name) == job for name, job in before.jobs.items()):
            raise UserError(
                f"out={out} holds a sweep of other jobs: choose another folder, or go on with that one: "
                f"cnntrain resume {argument(out)}"
            )
        if same_search:
            plan.jobs.update(before.jobs)
    elif run_folder.holds_run(folder):
        raise UserError(f"out={out} holds a run: choose another folder")
    run_folder.make_folder(folder)
    return folder


def same_space(plan: Plan, before: Plan) -> bool:
    """Return whether two searches have the same space, so that one can learn from the other."""
    assert plan.search is not None and before.search is not None
    return (plan.search.space, plan.search.fixed) == (before.search.space, before.search.fixed)
