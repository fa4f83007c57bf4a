"""The plan of a sweep: from overrides with several values to jobs, each with a permanent name.

The plan is kept in the folder of the sweep. A job is named after the values that set it apart from the
others, so that it has the same name whenever, wherever and in whichever order it runs.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cnntrain.config.compose import compose, plain
from cnntrain.config.composer import name_task
from cnntrain.config.keys import ABOUT_THE_SWEEP, GROUPS, KEYS
from cnntrain.config.mistakes.suggestions import check_value
from cnntrain.config.overrides import READ_PATHS, parse, with_absolute_path, without_globs
from cnntrain.config.schema import WHOLE
from cnntrain.config.sections import DataSettings, SearchSettings, SweepSettings
from cnntrain.config.validate import check
from cnntrain.errors import CheckpointError, UserError
from cnntrain.runs import run_folder
from cnntrain.runs.checkpoint import write_atomically
from cnntrain.runs.run_files import read_yaml
from cnntrain.text import argument, encoded, shown_path

if TYPE_CHECKING:
    from hydra.core.override_parser.types import IntervalSweep, Override

PLAN = run_folder.SWEEP
FORMAT = 1
LONGEST_NAME = 100
WIDE = 100  # an interval whose ends are so many times apart is searched on a log scale
# Groups about a sweep that a resume keeps, unless another choice is typed. It does not keep on_error=stop:
# the job that failed would fail again, and stop what is left.
KEPT = tuple(name for name, group in GROUPS.items() if "resume_sweep" in group.commands)


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


def planned(overrides: Sequence[str], config_dir: str | None) -> tuple[Plan, SweepSettings, str | None]:
    """Expand overrides with several values into jobs.

    Returns:
        The plan; how its jobs are run; the folder that was asked for.

    Raises:
        UserError: a value is not possible; before any job has run.
    """
    if config_dir is not None:
        config_dir = str(Path(config_dir).absolute())  # it may be resumed from elsewhere
    fixed = [words_of(o) for o in parse(overrides) if not o.is_sweep_override()]
    config = compose(fixed, config_dir, with_hydra=True)
    fixed_values, own_folder = plain(config), str(config.hydra.sweep.dir)
    name_task(fixed_values)
    settings = SweepSettings.of(fixed_values)
    of_files = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    # What is typed last counts, as it does in a single run.
    latest = {o.key_or_group: o for o in parse(without_globs([*of_files, *overrides], config_dir))}
    parsed = [o for key, o in latest.items() if not key.startswith("hydra")]
    for override in parsed:
        check_values(override)
    about_sweep = [o for o in parsed if group_of(o) in ABOUT_THE_SWEEP]
    about_jobs = [o for o in parsed if group_of(o) not in ABOUT_THE_SWEEP]
    for override in about_sweep:
        if override.is_sweep_override():
            raise UserError(f"{override.key_or_group} applies to the whole sweep: give it a single value")
    how = [words_of(o) for o in about_sweep if group_of(o) in KEPT]
    out = str(latest["out"].value()) if "out" in latest else own_folder if own_folder != "." else None
    if settings.searches:
        return searched(about_jobs, how, fixed_values, config_dir), settings, out

    for override in about_jobs:
        if override.is_interval_sweep():
            raise UserError(
                f"{override.input_line} is a continuous range: add sweeper=random or sweeper=optuna"
            )
    varied = [o.key_or_group for o in about_jobs if o.is_sweep_override()]
    jobs = combinations(about_jobs)
    if settings.seeds is not None:
        if "seed" in varied:
            raise UserError("seeds=N repeats every point with seed=0 to N-1: leave seed out, or seeds")
        varied.append("seed")
        jobs = repeated(jobs, settings.seeds)
    named = {name: [with_absolute_path(word) for word in job] for name, job in named_by(jobs, varied).items()}
    return Plan(named, varied, settings.monitor, config_dir, how), settings, out


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of every job: all combinations of values. Those of the last key vary fastest."""
    choices = []
    for override in overrides:
        key = override.get_key_element()
        several = override.is_sweep_override()
        values = override.sweep_string_iterator() if several else [override.get_value_element_as_str()]
        choices.append([f"{key}={value}" for value in values])
    return [list(job) for job in itertools.product(*choices)]


def draws_logarithms(override: Override) -> bool:
    """Return whether a search draws from an interval on a log scale: if that was typed, or it is wide."""
    if not override.is_interval_sweep():
        return False
    sweep = cast("IntervalSweep", override.value())
    low, high = float(sweep.start or 0), float(sweep.end or 0)
    return "log" in sweep.tags or ("linear" not in sweep.tags and low > 0 and high / low >= WIDE)


def words_of(override: Override) -> str:
    """Return an override as it was typed."""
    return str(override.input_line)


def group_of(override: Override) -> str:
    """Return the first part of an override's key."""
    return override.key_or_group.partition(".")[0]


def repeated(jobs: Sequence[Sequence[str]], seeds: int) -> list[list[str]]:
    """Return each job once for every seed from 0 on, whatever seed it had."""
    without = [[word for word in job if word.partition("=")[0] != "seed"] for job in jobs]
    return [[*job, f"seed={seed}"] for job in without for seed in range(seeds)]


def searched(
    overrides: Sequence[Override], how: list[str], config: dict[str, Any], config_dir: str | None
) -> Plan:
    """Return the plan of a search: no job yet, but what it may try."""
    settings = SweepSettings.of(config)
    space = {o.key_or_group: with_absolute_path(words_of(o)) for o in overrides if o.is_sweep_override()}
    if not space:
        raise UserError("a search needs a key to search: optim.lr=interval(1e-4,1e-1), or several values")
    if settings.seeds is not None:
        raise UserError("seeds=N repeats the points of a grid: leave it out of a search")
    if not DataSettings.of(config).has_validation:
        raise UserError("a search needs a validation set to learn from, and data.val_fraction is 0")
    fixed = [with_absolute_path(words_of(o)) for o in overrides if not o.is_sweep_override()]
    check(config)
    search = SearchSettings.of(settings.sweeper, space, fixed)
    return Plan({}, list(space), settings.monitor, config_dir, how, search)


def check_values(override: Override) -> None:
    """Check every value that a sweep gives to a key.

    Raises:
        UserError: one is not possible, or there is none.
    """
    key = override.key_or_group
    if override.is_delete() or key == "monitor":  # whose values depend on the task, and are checked with it
        return
    if not override.is_sweep_override():
        check_value(key, override.value())
        return
    if override.is_interval_sweep():
        check_interval(override)
        return
    texts = list(override.sweep_string_iterator())
    if not texts:
        raise UserError(f"{override.input_line} has no values, so there is nothing to run")
    for text in texts if key in KEYS else ():
        check_value(key, parse([f"{key}={text}"])[0].value())


def check_interval(override: Override) -> None:
    """Check the ends of an interval, which Hydra makes floats of, and that the one is below the other."""
    key, interval = override.key_or_group, cast("IntervalSweep", override.value())
    low, high = float(interval.start or 0), float(interval.end or 0)
    whole = key in KEYS and KEYS[key].kind in WHOLE
    for end in (low, high):
        check_value(key, int(end) if whole and end.is_integer() else end)
    if low >= high:
        raise UserError(f"{override.input_line} is empty: write interval(LOW,HIGH)")
    if "log" in interval.tags and low <= 0:
        raise UserError(f"{override.input_line} is on a log scale: both ends must be above 0")


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
