"""``resume``: a run or a sweep goes on where it was stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnntrain.cli.command import Command, run_and_overrides
from cnntrain.cli.torchrun import join_processes
from cnntrain.cli.train import check_alone
from cnntrain.config.keys import OVERRIDABLE, with_lists
from cnntrain.errors import CheckpointError, UserError
from cnntrain.runs.records import RunSummary
from cnntrain.runtime.ranks import Reporter
from cnntrain.text import argument, printable, without_controls


def resume(arguments: Sequence[str]) -> int:
    """``cnntrain resume RUN [overrides]``."""

    from cnntrain.runs import lookup

    run_name, overrides = run_and_overrides(arguments, RESUME)
    sweep_folder = lookup.find_sweep(run_name)
    if sweep_folder is not None:
        return resume_sweep(sweep_folder, overrides)
    resume_alone(run_name, overrides)
    return 0


def resume_alone(run_name: str, overrides: Sequence[str]) -> tuple[Path, RunSummary]:
    """Resume a single run, unless it is finished, and return its folder and its summary."""
    from cnntrain.config.saved.from_checkpoint import check_overridable
    from cnntrain.inference.saved_run import open_last
    from cnntrain.runs import lookup, run_files, run_folder

    parsed = check_overridable(overrides, OVERRIDABLE["resume"], "resume")
    begun = lookup.begun(run_name)
    if begun is not None:
        return begun, begin_again(begun, parsed)
    saved = open_last(run_name, "resume", parsed, trains=True)
    config, state, folder = saved.config, saved.state, saved.folder
    remark_on_loggers(config, state["config"])
    if run_folder.is_finished(folder, state, config["epochs"], config["early_stopping"]):
        print(without_controls(finished(folder, state["progress"], config)))
        return folder, run_files.read_json(folder / "summary.json")
    if "optimizer" not in state:
        raise CheckpointError(only_weights(saved.path))

    with join_processes(config["device"]):
        from cnntrain import run

        return folder, run.resume(config, folder, state)


def finished(folder: Path, progress: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """Return the message that a run is finished, with the command for a longer one."""
    from cnntrain.runtime.console import count

    epoch, patience = progress["epoch"], config["early_stopping"]
    done, longer = f"{printable(folder)} is finished after {count(epoch, 'epoch')}", "epochs=N"
    if patience is not None and progress["stale"] >= patience:
        done += f", stopped early by early_stopping={patience}"
        longer = f"early_stopping=null{'' if config['epochs'] > epoch else ' epochs=N'}"
    return f"{done}; to train longer: {longer}"


def only_weights(path: Path) -> str:
    """Return the message that explains how to use a checkpoint without the optimizer's state."""
    from cnntrain.runs import checkpoint

    folder, start = path.parent.parent, f"cnntrain train init_from={argument(path)}"
    text = f"{printable(path)} holds the weights of an epoch, not the state of the optimizer to go on from"
    if path.with_name(checkpoint.LAST).exists():
        return f"{text}\ncnntrain resume {argument(folder)} goes on from last.pt; {start} starts over"
    return f"{text}: {start} starts over with them"


def begin_again(folder: Path, parsed: Sequence[Any]) -> RunSummary:
    """Begin a run that was stopped before its first checkpoint, from its ``config.yaml``.

    That file is data like a checkpoint: it may not name, fetch or write what a checkpoint may not.
    """
    from cnntrain.config import own_runs
    from cnntrain.config.saved.from_checkpoint import command_config
    from cnntrain.runs import run_folder, run_writes
    from cnntrain.runs.run_files import read_bytes, read_yaml

    path = folder / run_folder.CONFIG
    try:
        found = read_yaml(path)
        signature = own_runs.in_comment(read_bytes(path).decode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{printable(path)} can't be read: {printable(error)}") from error
    if not isinstance(found, dict) or not has_names(found):
        raise CheckpointError(f"{printable(path)} is damaged, or not a configuration of cnntrain")
    model = found.get("model")
    if isinstance(model, dict) and model.get("weights") is not None:
        raise CheckpointError(
            f"{printable(folder)} was stopped before its first checkpoint, and resume does not download "
            "pretrained weights: type its train command again, with another out=FOLDER"
        )
    run_writes.check_links(folder)
    config = command_config({"config": found, own_runs.SIGNATURE: signature}, path, "resume", parsed, folder)
    remark_on_loggers(config, found)
    if Reporter.is_chosen:
        print(f"{printable(folder)} was stopped before its first checkpoint, and begins again")

    with join_processes(config["device"]):
        from cnntrain import run

        return run.resume(config, folder)


def has_names(node: Any) -> bool:
    """Return whether all keys of a configuration are text."""
    if isinstance(node, dict):
        return all(isinstance(key, str) and has_names(value) for key, value in node.items())
    return not isinstance(node, list) or all(map(has_names, node))


def remark_on_loggers(config: Mapping[str, Any], saved: Mapping[str, Any]) -> None:
    """Remark that the loggers of a resumed run send nothing to servers that the run did send to."""
    if config["logger"] != (saved.get("logger") or {}):
        Reporter.remark(
            "loggers of a resumed run record on this machine: logger.mlflow.uri=URI or "
            "logger.wandb.mode=online send to their servers"
        )


def resume_sweep(folder: Path, overrides: Sequence[str]) -> int:
    """``cnntrain resume SWEEP [overrides]``: what is missing or failed, then the ranking."""
    check_alone()
    from cnntrain.config.compose import add_current_folder, compose, plain
    from cnntrain.config.saved.from_checkpoint import check_overridable
    from cnntrain.config.sections import SweepSettings
    from cnntrain.runs.run_writes import check_links
    from cnntrain.sweep.plan import Plan
    from cnntrain.sweep.sweep import Sweep

    allowed = OVERRIDABLE["resume_sweep"]
    searched = next((word for word in overrides if word.startswith(("sweeper.", "sweeper="))), None)
    if searched is not None:
        raise UserError(
            f"{printable(searched)}: resume can't change a search; for more trials, type its train command "
            f"again with out={argument(folder)} and a larger sweeper.n_trials"
        )
    check_overridable(overrides, allowed, "resume of a sweep")
    check_links(folder)
    plan = Plan.read(folder)
    # Where its jobs ran, they run again, unless another launcher is asked for.
    elsewhere = any(override.startswith("launcher=") for override in overrides)
    kept = [word for word in plan.how if not (elsewhere and word.startswith("launcher"))]
    parsed = check_overridable([*kept, *overrides], allowed, "resume of a sweep")
    typed = with_lists({o.key_or_group: o.value() for o in parsed})
    trust = [str(package) for package in typed.get("trust", [])]
    words = [o.input_line or "" for o in parsed if o.key_or_group != "trust"]
    if trust:
        add_current_folder()
    sweep = Sweep(plan, folder, SweepSettings.from_config(plain(compose(words))), trust)
    if not trust and sweep.configs.trust_if_own():
        add_current_folder()
    return sweep.run()


RESUME = Command(
    "resume",
    resume,
    {"RUN [KEY=VALUE ...]": "continue a run, or train it longer"},
    """\
cnntrain resume RUN [KEY=VALUE ...] [-q]

Continues a run from its last checkpoint, to the same weights as if it had never
stopped. RUN is a run folder, a checkpoint file, or `last`. In a sweep, the jobs
that are missing or failed are run; launcher, on_error, trust and verbose may be
changed.
  cnntrain resume last
  cnntrain resume outputs/train/RUN epochs=20

Keys that may be changed:
""",
    keys=OVERRIDABLE["resume"],
    needs_run=True,
    works_under_torchrun=True,
    is_complete_without_screen=True,
)
