"""The commands, and nothing else. Imports neither torch nor Hydra before a command needs them."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from cnntrain import __version__
from cnntrain.arguments import (
    COMPARE_FLAGS,
    CONFIG_DIR_FLAGS,
    HYDRA_FLAGS,
    SHOWING,
    config_dir_of,
    quiet_as_override,
    run_and_overrides,
    split_flags,
)
from cnntrain.errors import CnntrainError, Interrupted, UserError, did_you_mean, nearest
from cnntrain.schema import KEYS


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    try:
        code = run(sys.argv[1:])
        sys.stdout.flush()
    except CnntrainError as error:
        # An interruption is what the user asked for, not an error.
        print(f"\n{error}" if isinstance(error, Interrupted) else f"cnntrain: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("\ncnntrain: interrupted", file=sys.stderr)
        code = 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of the output has gone: | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + signal.SIGPIPE
    sys.exit(code)


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Raises:
        CnntrainError: what is wrong, in words for the user.
    """
    from cnntrain import usage

    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage.overview())
        return 0
    name, *arguments = argv
    if name == "--version":
        print(f"cnntrain {__version__}")
        return 0
    if name not in COMMANDS:
        raise UserError(no_command(name))
    if any(argument in ("-h", "--help") for argument in arguments):
        print(usage.of(name))
        return 0
    return COMMANDS[name](arguments)


def no_command(name: str) -> str:
    """Say that the first word is no command, and what may have been meant."""
    if name.startswith("-"):
        near = did_you_mean(name, ("--help", "--version")) or ": a command comes first, see cnntrain --help"
        return f"cnntrain has no flag {name}{near}"
    if "=" in name:
        return f"there is no command {name}: did you mean cnntrain train {name}?"
    return f"there is no command {name}{did_you_mean(name, PUBLIC) or ': see cnntrain --help'}"


def train(arguments: Sequence[str]) -> int:
    """``cnntrain train [overrides] [-m]``."""
    from cnntrain.overrides import check_overrides, normalized

    arguments = quiet_as_override(arguments)
    flags, words = split_flags(arguments, HYDRA_FLAGS, "train")
    overrides = normalized(words)
    config_dir = config_dir_of(flags)
    repeats = any(o.startswith("seeds=") and o != "seeds=null" for o in overrides)
    is_sweep = "-m" in flags or "--multirun" in flags or "hydra.mode=MULTIRUN" in overrides or repeats
    hydra_arguments = [word for flag, value in flags.items() for word in (flag, value) if word]
    check_overrides(overrides, config_dir, is_sweep)
    if is_sweep and not any(flag in flags for flag in SHOWING):
        return sweep(overrides, config_dir)

    launcher = next((o for o in overrides if o.startswith("launcher=")), "launcher=local")
    if launcher != "launcher=local":
        raise UserError(f"{launcher} is for sweeps: add -m, or leave it out")
    outcome: list[BaseException] = []

    def job(config: Any) -> None:
        try:
            train_job(config, None, config_dir)
        except Exception as error:  # else Hydra would print words of its own
            outcome.append(error)

    through_hydra(job, hydra_arguments, overrides, config_dir)
    if outcome:
        raise outcome[0]
    return 0


def sweep(overrides: Sequence[str], config_dir: str | None) -> int:
    """``cnntrain train -m``: every job, then the ranking."""
    from cnntrain.plan import folder_for, planned
    from cnntrain.settings import composing
    from cnntrain.sweep import Sweep

    plan, settings, out = composing(lambda: planned(overrides, config_dir), overrides, config_dir)
    launch = Sweep(plan, Path(), settings, trust=None)  # which fails here if an engine is missing
    launch.folder = folder_for(plan, out)
    return launch.run()


def train_job(config: Any, folder: Path | None, config_dir: str | None) -> dict[str, Any]:
    """Check one composed configuration and train on it, in a folder of its own choice if none is given."""
    from hydra.core.hydra_config import HydraConfig

    from cnntrain import run_folder
    from cnntrain.settings import checked

    hydra = HydraConfig.get()
    hydra_folder = hydra.run.dir if hydra.run.dir != "." else None  # which Hydra has made
    try:
        settings = checked(config, hydra, config_dir)
        if folder is None:
            label = settings["name"] or "-".join(label_of(settings, hydra, g) for g in ("model", "optim"))
            folder = run_folder.new(settings["out"] or hydra_folder, label)
        settings["out"] = str(folder)
        from cnntrain.run import train as train_run

        return train_run(settings, folder)
    except BaseException:
        for unused in (folder, hydra_folder):
            if unused is not None:
                run_folder.discard_if_unused(Path(unused))
        raise


def label_of(settings: dict[str, Any], hydra: Any, group: str) -> str:
    """Return the choice of a group or, if that says nothing, the name of its class."""
    choice = str(hydra.runtime.choices[group])
    return str(settings[group]["_target_"]).rpartition(".")[2] if choice == "custom" else choice


def resume(arguments: Sequence[str]) -> int:
    """``cnntrain resume RUN [overrides]``."""
    from cnntrain import checkpoint, run_folder
    from cnntrain.checks import check
    from cnntrain.config import add_current_folder, conf_folder, read_yaml
    from cnntrain.saved import amended, check_amendments, saved_config

    run_name, overrides = run_and_overrides(arguments, "resume")
    sweep_folder = run_folder.find_sweep(run_name)
    if sweep_folder is not None:
        return resume_sweep(sweep_folder, overrides)
    amendments = check_amendments(overrides, RESUMABLE, "resume")
    path = run_folder.find_checkpoint(run_name, checkpoint.LAST)
    folder = path.parent.parent
    if path.parent.name != run_folder.CHECKPOINTS:
        raise UserError(f"{path} is not in a run folder: resume needs the folder that train made")
    state, path = run_folder.load_or_previous(path)
    config = amended(saved_config(state, path, read_yaml(conf_folder() / "resume.yaml")), amendments)
    check(config)
    if config["trust"]:
        add_current_folder()
    config["out"] = str(folder)
    if run_folder.is_finished(folder, state, config["epochs"], config["early_stopping"]):
        print(f"{folder} is finished after {state['progress']['epoch']} epochs; to train longer: epochs=N")
        return 0
    from cnntrain.run import resume as resume_run

    resume_run(config, folder, state)
    return 0


def resume_sweep(folder: Path, overrides: Sequence[str]) -> int:
    """``cnntrain resume SWEEP [overrides]``: what is missing or failed, then the ranking."""
    from cnntrain.config import add_current_folder, compose, plain
    from cnntrain.plan import Plan
    from cnntrain.saved import check_amendments
    from cnntrain.sweep import Sweep

    allowed = (*SWEEP_RESUMABLE, *(key for key in KEYS if key.startswith("launcher.")))
    amendments = check_amendments(overrides, allowed, "resume of a sweep")
    typed: dict[str, Any] = {o.key_or_group: o.value() for o in amendments}
    trust = [str(package) for package in typed.get("trust", [])]
    words = [o.input_line or "" for o in amendments if o.key_or_group != "trust"]
    plan = Plan.read(folder)
    if trust:
        add_current_folder()
    return Sweep(plan, folder, plain(compose(words)), trust).run()


def evaluate(arguments: Sequence[str]) -> int:
    """``cnntrain eval RUN [overrides]``."""
    from cnntrain import checkpoint, run_folder
    from cnntrain.checks import check
    from cnntrain.config import add_current_folder, conf_folder, read_yaml
    from cnntrain.saved import amended, check_amendments, saved_config

    run_name, overrides = run_and_overrides(arguments, "eval")
    amendments = check_amendments(overrides, EVALUABLE, "eval")
    path = run_folder.find_checkpoint(run_name, checkpoint.BEST)
    state = checkpoint.load(path)
    config = amended(saved_config(state, path, read_yaml(conf_folder() / "eval.yaml")), amendments)
    # Whatever the pictures are, the network gets them in the shape that it was trained on.
    trained_on = state["config"]["data"]
    config["data"].update({name: trained_on[name] for name in ("channels", "image_size", "mean", "std")})
    check(config, trains=False)
    if config["trust"]:
        add_current_folder()
    from cnntrain.run import evaluate as evaluate_run

    evaluate_run(config, path, state, shlex.join(["cnntrain", "eval", *arguments]))
    return 0


def compare(arguments: Sequence[str]) -> int:
    """``cnntrain compare RUN... [monitor=val_loss] [--csv|--json|--html FILE]``."""
    from cnntrain.compare import compare as compare_runs
    from cnntrain.schema import check_value

    flags, words = split_flags(arguments, COMPARE_FLAGS, "compare")
    names = [word for word in words if not word.startswith("monitor=")]
    monitor = next((word.partition("=")[2] for word in words if word not in names), "val_accuracy")
    check_value("monitor", monitor)
    if not names:
        raise UserError("compare needs runs: cnntrain compare RUN RUN, or cnntrain compare SWEEP")
    compare_runs(names, monitor, *(flags.get(f"--{kind}") for kind in ("csv", "json", "html")))
    return 0


def summary(arguments: Sequence[str]) -> int:
    """``cnntrain summary [overrides]``."""
    from cnntrain.checks import check
    from cnntrain.config import compose, plain
    from cnntrain.overrides import check_overrides, normalized
    from cnntrain.settings import composing

    flags, words = split_flags(quiet_as_override(arguments), CONFIG_DIR_FLAGS, "summary")
    overrides = normalized(words)
    config_dir = config_dir_of(flags)
    check_overrides(overrides, config_dir, is_sweep=False)
    config = plain(composing(lambda: compose(overrides, config_dir), overrides, config_dir))
    check(config, trains=False, runs_here=False)
    from cnntrain.summary import show

    show(config)
    return 0


def bench(arguments: Sequence[str]) -> int:
    """``cnntrain bench [overrides]``."""
    from cnntrain.checks import check
    from cnntrain.config import compose, conf_folder, plain, read_yaml
    from cnntrain.overrides import check_overrides, normalized
    from cnntrain.saved import check_amendments
    from cnntrain.settings import composing

    flags, words = split_flags(quiet_as_override(arguments), CONFIG_DIR_FLAGS, "bench")
    own = read_yaml(conf_folder() / "bench.yaml")
    mine = [word for word in words if word.partition("=")[0] in own]
    own.update((o.key_or_group, o.value()) for o in check_amendments(mine, tuple(own), "bench"))
    overrides = normalized(word for word in words if word not in mine)
    for key in (override.partition("=")[0] for override in overrides):
        if "." not in key and key not in KEYS and nearest(key, own, likeness=0.7):
            raise UserError(f"unknown key {key}{did_you_mean(key, own)}")
    config_dir = config_dir_of(flags)
    check_overrides(overrides, config_dir, is_sweep=False)
    config = plain(composing(lambda: compose(overrides, config_dir), overrides, config_dir))
    check(config)
    from cnntrain.bench import bench as run_bench

    run_bench(config, own, overrides)
    return 0


def completion(arguments: Sequence[str]) -> int:
    """``cnntrain completion SHELL``."""
    from cnntrain import completion as module

    if len(arguments) != 1 or arguments[0] not in module.SCRIPTS:
        raise UserError(f"completion takes the name of a shell: {', '.join(module.SCRIPTS)}")
    print(module.SCRIPTS[arguments[0]])
    return 0


def complete(arguments: Sequence[str]) -> int:
    """``cnntrain _complete WORD...``: what may stand where the last word begins; the scripts call it."""
    from cnntrain.completion import candidates

    for candidate in candidates(list(arguments), PUBLIC):
        print(candidate)
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "train": train,
    "resume": resume,
    "eval": evaluate,
    "compare": compare,
    "summary": summary,
    "bench": bench,
    "completion": completion,
    "_complete": complete,
}
PUBLIC = [name for name in COMMANDS if not name.startswith("_")]
SWEEP_RESUMABLE = ("launcher", "on_error", "trust", "verbose")
RESUMABLE = (
    "epochs",
    "device",
    "threads",
    "compile",
    "workers",
    "early_stopping",
    "save_every_steps",
    "save_every_minutes",
    "eval_batch_size",
    "data.root",
    "data.in_memory",
    "trust",
    "verbose",
)
EVALUABLE = (
    "split",
    "data",
    "data.root",
    "data.source",
    "data.val_fraction",
    "data.split_seed",
    "data.in_memory",
    "device",
    "precision",
    "channels_last",
    "threads",
    "compile",
    "workers",
    "eval_batch_size",
    "trust",
    "verbose",
)


def through_hydra(
    job: Callable[[Any], Any],
    hydra_arguments: Sequence[str],
    overrides: Sequence[str],
    config_dir: str | None,
) -> None:
    """Let Hydra compose the configuration and call the job, as under ``hydra.main``."""
    import logging

    import hydra

    from cnntrain.config import conf_folder, prepare_hydra
    from cnntrain.settings import composing

    prepare_hydra()
    logging.raiseExceptions = False  # --info is logged, and | head is no reason for a hundred tracebacks
    own = ["hydra.job.name=cnntrain"]
    typed, sys.argv = sys.argv, ["cnntrain", *hydra_arguments, *own, *overrides]
    entry = hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")

    def with_typed_arguments(config: Any) -> Any:
        sys.argv = typed
        return job(config)

    composing(entry(with_typed_arguments), overrides, config_dir)
