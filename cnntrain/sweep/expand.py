"""From overrides with several values to the jobs of a sweep, or to the space of a search."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cnntrain.config.compose import compose, plain
from cnntrain.config.composer import infer_task
from cnntrain.config.keys import ABOUT_THE_SWEEP, GROUPS, KEYS
from cnntrain.config.mistakes.suggestions import check_value
from cnntrain.config.overrides import parse, with_absolute_path, without_globs
from cnntrain.config.schema import WHOLE
from cnntrain.config.sections import DataSettings, SearchSettings, SweepSettings
from cnntrain.config.validation.validate import check
from cnntrain.errors import UserError
from cnntrain.sweep.plan import Plan, named_by

if TYPE_CHECKING:
    from hydra.core.override_parser.types import IntervalSweep, Override

# Groups about a sweep that a resume keeps, unless another choice is typed. It does not keep on_error=stop:
# the job that failed would fail again, and stop what is left.
KEPT = tuple(name for name, group in GROUPS.items() if "resume_sweep" in group.commands)


def planned(overrides: Sequence[str], config_dir: str | None) -> tuple[Plan, SweepSettings, str | None]:
    """Expand overrides with several values into jobs.

    Returns:
        The plan; how its jobs are run; the folder that was asked for.

    Raises:
        UserError: a value is not possible; before any job has run.
    """
    if config_dir is not None:
        config_dir = str(Path(config_dir).absolute())  # it may be resumed from elsewhere
    config = compose(what_jobs_share(overrides, config_dir), config_dir, with_hydra=True)
    fixed_values, own_folder = plain(config), str(config.hydra.sweep.dir)
    infer_task(fixed_values)
    settings = SweepSettings.from_config(fixed_values)
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


def what_jobs_share(overrides: Sequence[str], config_dir: str | None) -> list[str]:
    """Return the overrides with a single value, and the first choice of each group that has several.

    Keys such as ``model.width`` may belong to those choices alone.
    """
    shared = []
    for override in parse(without_globs(overrides, config_dir)):
        if not override.is_sweep_override():
            shared.append(words_of(override))
        elif override.key_or_group in GROUPS and override.is_discrete_sweep():
            first = next(iter(override.sweep_string_iterator()), None)
            shared += [] if first is None else [f"{override.get_key_element()}={first}"]
    return shared


def combinations(overrides: Sequence[Override]) -> list[list[str]]:
    """Return the overrides of every job: all combinations of values. Those of the last key vary fastest."""
    choices = []
    for override in overrides:
        key = override.get_key_element()
        several = override.is_sweep_override()
        values = override.sweep_string_iterator() if several else [override.get_value_element_as_str()]
        choices.append([f"{key}={value}" for value in values])
    return [list(job) for job in itertools.product(*choices)]


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
    settings = SweepSettings.from_config(config)
    space = {o.key_or_group: with_absolute_path(words_of(o)) for o in overrides if o.is_sweep_override()}
    if not space:
        raise UserError("a search needs a key to search: optim.lr=interval(1e-4,1e-1), or several values")
    if settings.seeds is not None:
        raise UserError("seeds=N repeats the points of a grid: leave it out of a search")
    if not DataSettings.from_config(config).has_validation:
        raise UserError("a search needs a validation set to learn from, and data.val_fraction is 0")
    fixed = [with_absolute_path(words_of(o)) for o in overrides if not o.is_sweep_override()]
    check(config)
    search = SearchSettings.from_config(settings.sweeper, space, fixed)
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
