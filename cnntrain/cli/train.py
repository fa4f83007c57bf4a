"""``train``, with ``-m`` a sweep, and ``resume``: the commands that train."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnntrain.cli.command import ANYTHING, Command, config_dir_of, quiet_as_override, split_flags
from cnntrain.cli.help import keys_of_train
from cnntrain.cli.torchrun import join_processes
from cnntrain.errors import UserError
from cnntrain.runtime.ranks import Reporter, is_main, world_size
from cnntrain.sweep import forkserver
from cnntrain.text import network_name

# Hydra's own flags, which `train` hands on: each with what may follow it. A "" there means nothing may, too.
INFO = ("", "all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
HYDRA_FLAGS = {
    "--multirun": (),
    "-m": (),
    "--run": (),
    "-r": (),
    "--cfg": ("job", "hydra", "all"),
    "-c": ("job", "hydra", "all"),
    "--resolve": (),
    "--package": ANYTHING,
    "-p": ANYTHING,
    "--info": INFO,
    "-i": INFO,
    "--config-dir": ANYTHING,
    "-cd": ANYTHING,
    "--config-name": ANYTHING,
    "-cn": ANYTHING,
    "--hydra-help": (),
}
SHOWING = ("--cfg", "-c", "--info", "-i", "--hydra-help")  # these print, and train nothing


def train(arguments: Sequence[str]) -> int:
    """``cnntrain train [overrides] [-m]``."""
    from cnntrain.config.composer import composed
    from cnntrain.config.overrides import check_overrides, normalized

    typed, arguments = arguments, quiet_as_override(arguments)
    flags, words = split_flags(arguments, TRAIN)
    overrides = normalized(words)
    config_dir = config_dir_of(flags)
    repeats = any(o.startswith("seeds=") and o != "seeds=null" for o in overrides)
    is_sweep = "-m" in flags or "--multirun" in flags or "hydra.mode=MULTIRUN" in overrides or repeats
    hydra_arguments = [word for flag, value in flags.items() for word in (flag, value) if word]
    shows = any(flag in flags for flag in SHOWING)
    if is_sweep and not shows and "launcher=joblib" in overrides:
        forkserver.start()  # which takes longer than all that is checked here
    check_overrides(overrides, config_dir, is_sweep)
    if is_sweep and shows:
        overrides = first_job(overrides, config_dir)
        hydra_arguments = [word for word in hydra_arguments if word not in ("-m", "--multirun")]
    elif is_sweep:
        return sweep(overrides, config_dir, typed)

    if not is_sweep:
        check_single(overrides)
    config_name = flags.get("--config-name") or flags.get("-cn") or "train"
    if shows:
        if any(flags.get(flag) in ("job", "all") for flag in ("--cfg", "-c")):
            composed(overrides, config_dir, config_name)  # only what can be trained is shown
        show(hydra_arguments, overrides, config_dir)
        return 0
    with new_run(overrides, config_dir, config_name) as (config, folder):
        from cnntrain import run

        run.train(config, folder)
    return 0


@contextmanager
def new_run(
    overrides: Sequence[str], config_dir: str | None, config_name: str = "train"
) -> Iterator[tuple[dict[str, Any], Path]]:
    """Give the checked configuration and the folder of a new run; the work inside is that of Hydra's job.

    A folder in which no run has begun by the end is removed.

    Args:
        overrides: normalized and checked.
        config_dir: the user's own folder of groups.
        config_name: the file of defaults.

    Raises:
        UserError: the configuration makes no sense, or the folder is taken.
    """
    from cnntrain.config.compose import hydra_job
    from cnntrain.config.composer import composed
    from cnntrain.config.derived import with_folder
    from cnntrain.config.validation.machine import remark_on_threads
    from cnntrain.runs import lookup, run_folder

    composition = composed(overrides, config_dir, config_name)
    settings, choices = composition.settings, composition.hydra.runtime.choices
    folders: list[Path] = []
    try:
        with hydra_job(composition.config, config_name) as folder_of_hydra:
            folders += [folder_of_hydra] if folder_of_hydra else []
            if settings["init_from"]:
                settings["init_from"] = str(lookup.starting_point(settings["init_from"]))
            composition.completed()
            remark_on_threads(settings["threads"])
            with join_processes(settings["device"]) as on_rank_zero:
                label = settings["name"] or "-".join(
                    label_of(settings[group], str(choices[group])) for group in ("model", "optim")
                )
                out = settings["out"] or (str(folder_of_hydra) if folder_of_hydra else None)
                folders.insert(0, on_rank_zero(lambda: run_folder.new_run_folder(out, label)))
                yield with_folder(settings, folders[0]), folders[0]
    except BaseException:
        for unused in folders if is_main() else ():
            run_folder.discard_if_unused(unused)
        raise


def sweep(overrides: Sequence[str], config_dir: str | None, typed: Sequence[str]) -> int:
    """``cnntrain train -m``: every job, then the ranking.

    Args:
        overrides: normalized.
        config_dir: the user's own folder of groups.
        typed: the arguments as they were typed, to be shown.
    """
    check_alone()
    from cnntrain.config.composer import explaining_errors
    from cnntrain.runs.lookup import starting_point
    from cnntrain.sweep.expand import planned
    from cnntrain.sweep.plan import folder_for
    from cnntrain.sweep.sweep import Sweep

    with explaining_errors(overrides, config_dir):
        plan, settings, out = planned(overrides, config_dir)
    plan = replace(plan, command=shlex.join(["cnntrain", "train", *typed]))
    launch = Sweep(plan, Path(), settings, trust=None)  # which fails here if an engine is missing
    launch.check()
    for run in {job["init_from"] for job in launch.configs.composed.values()} - {None}:
        starting_point(run)
    launch.folder = folder_for(plan, out)
    return launch.run()


def check_single(overrides: Sequence[str]) -> None:
    """Refuse, for a single run, another way to do a sweep than the default one."""
    for override in overrides:
        if override.startswith(("launcher=", "sweeper=")) and override not in (
            "launcher=local",
            "sweeper=grid",
        ):
            raise UserError(f"{override} is for sweeps: add -m, or leave it out")


def check_alone() -> None:
    """Refuse to do a sweep once in each process of torchrun's."""
    if world_size() > 1:
        raise UserError(
            "torchrun starts several processes for one run, and a sweep is many runs: "
            "start it without torchrun, and launcher=joblib or submitit runs its jobs side by side"
        )


def first_job(overrides: Sequence[str], config_dir: str | None) -> list[str]:
    """Return the overrides of a sweep's first job, which is what Hydra can show of it."""
    from cnntrain.config.composer import explaining_errors
    from cnntrain.config.keys import ABOUT_THE_SWEEP
    from cnntrain.sweep.expand import planned

    with explaining_errors(overrides, config_dir):
        plan, _, _ = planned(overrides, config_dir)
    about = [o for o in overrides if o.partition("=")[0].partition(".")[0] in ABOUT_THE_SWEEP]
    if plan.search is not None:
        Reporter.remark("this is what all jobs of the search have in common")
        return [*plan.search.fixed, *about]
    name, job = next(iter(plan.jobs.items()))
    Reporter.remark(f"this is the first of {len(plan.jobs)} jobs: {name}")
    return [*job, *about]


def label_of(node: Mapping[str, Any], choice: str) -> str:
    """Return the name of a network or the choice of a group or, if that says nothing, its class's name."""
    kind = str(node["_target_"]).rpartition(".")[2] if choice == "custom" else choice
    return re.sub(r"[^\w.+-]+", "-", network_name(node, kind))


def show(hydra_arguments: Sequence[str], overrides: Sequence[str], config_dir: str | None) -> None:
    """Let Hydra print a configuration, or what it knows of it."""
    import logging

    import hydra

    from cnntrain.config.compose import prepare_hydra
    from cnntrain.config.composer import explaining_errors
    from cnntrain.config.conf_files import conf_folder

    prepare_hydra()
    logging.raiseExceptions = False  # --info is logged, and | head is no reason for a hundred tracebacks
    typed, sys.argv = sys.argv, ["cnntrain", *hydra_arguments, "hydra.job.name=cnntrain", *overrides]
    entry = hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")
    try:
        with explaining_errors(overrides, config_dir):
            entry(lambda config: None)()
    finally:
        sys.argv = typed


TRAIN = Command(
    "train",
    train,
    {
        "[KEY=VALUE ...]": "train a model into a new run folder",
        "-m KEY=A,B,C ...": "train each combination, and rank them",
    },
    """\
cnntrain train [KEY=VALUE ...] [-m] [-q] [--config-dir DIR] [--cfg job] [--info]

Trains a model, chooses the best epoch on the validation set, and tests it once.

""",
    HYDRA_FLAGS,
    keys_help=keys_of_train,
    composes=True,
    works_under_torchrun=True,
    is_complete_without_screen=True,
)
