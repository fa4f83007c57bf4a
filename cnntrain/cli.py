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
from cnntrain.errors import CnntrainError, Interrupted, UserError, did_you_mean

# Hydra's own flags, which `train` hands on: each with how many words follow it.
HYDRA_FLAGS = {
    "--multirun": 0,
    "-m": 0,
    "--run": 0,
    "-r": 0,
    "--cfg": 1,
    "-c": 1,
    "--resolve": 0,
    "--package": 1,
    "-p": 1,
    "--info": 1,
    "-i": 1,
    "--config-dir": 1,
    "-cd": 1,
    "--config-name": 1,
    "-cn": 1,
    "--config-path": 1,
    "-cp": 1,
    "--hydra-help": 0,
    "--experimental-rerun": 1,
}


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
        advice = f"did you mean cnntrain train {name}?" if "=" in name else "see cnntrain --help"
        raise UserError(f"there is no command {name}{did_you_mean(name, COMMANDS) or f': {advice}'}")
    if any(argument in ("-h", "--help") for argument in arguments):
        print(usage.of(name))
        return 0
    return COMMANDS[name](arguments)


def train(arguments: Sequence[str]) -> int:
    """``cnntrain train [overrides] [-m]``."""
    from cnntrain.config import normalized

    arguments = quiet_as_override(arguments)
    flags, words = split_flags(arguments, HYDRA_FLAGS, "train")
    overrides = normalized(words)
    config_dir = next((flags[flag] for flag in ("--config-dir", "-cd") if flag in flags), None)
    is_sweep = "-m" in flags or "--multirun" in flags or "hydra.mode=MULTIRUN" in overrides
    hydra_arguments = [word for flag, value in flags.items() for word in (flag, value) if word]
    if is_sweep:
        return sweep(hydra_arguments, overrides, config_dir)

    outcome: list[Exception] = []

    def job(config: Any) -> None:
        try:
            train_job(config, None)
        except Exception as error:  # else Hydra would print words of its own
            outcome.append(error)

    through_hydra(job, hydra_arguments, overrides, config_dir, is_sweep=False)
    if outcome:
        raise outcome[0]
    return 0


def sweep(hydra_arguments: Sequence[str], overrides: Sequence[str], config_dir: str | None) -> int:
    """``cnntrain train -m``: every job, then the ranking."""
    from cnntrain.sweep import Sweep

    jobs = explained(lambda: Sweep(overrides, config_dir), overrides, config_dir, is_sweep=True)
    folder = jobs.claim_folder()
    interruption: list[Interrupted] = []

    def job(config: Any) -> None:
        if interruption:
            return
        try:
            jobs.run_job(lambda job_folder: train_job(config, job_folder))
        except Interrupted as error:
            interruption.append(error)

    words = [f"hydra.sweep.dir='{folder}'", *[o for o in overrides if o.partition("=")[0] != "out"]]
    try:
        through_hydra(job, hydra_arguments, words, config_dir, is_sweep=True)
    finally:
        jobs.discard_if_empty()
    jobs.report()
    if interruption:
        raise interruption[0]
    return 1 if jobs.failed else 0


def train_job(config: Any, folder: Path | None) -> dict[str, Any]:
    """Check one composed configuration and train on it, in a folder of its own choice if none is given."""
    from hydra.core.hydra_config import HydraConfig

    from cnntrain import run_folder, schema
    from cnntrain.config import plain

    settings = plain(config)
    schema.check(settings)
    if folder is None:
        hydra = HydraConfig.get()
        choices = hydra.runtime.choices
        label = settings["name"] or f"{choices['model']}-{choices['optim']}"
        out = settings["out"] or (hydra.run.dir if hydra.run.dir != "." else None)
        folder = run_folder.new(out, label)
    settings["out"] = str(folder)
    from cnntrain.run import train as train_run

    try:
        return train_run(settings, folder)
    except UserError:
        run_folder.discard_if_unused(folder)
        raise


def resume(arguments: Sequence[str]) -> int:
    """``cnntrain resume RUN [overrides]``."""
    from cnntrain import checkpoint, run_folder, schema
    from cnntrain.config import add_current_folder, amended, conf_folder, read_yaml

    run_name, overrides = run_and_overrides(arguments, "resume")
    path = run_folder.find_checkpoint(run_name, checkpoint.LAST)
    folder = path.parent.parent
    if path.parent.name != run_folder.CHECKPOINTS:
        raise UserError(f"{path} is not in a run folder: resume needs the folder that train made")
    state, path = run_folder.load_or_previous(path)
    own = read_yaml(conf_folder() / "resume.yaml")
    config = amended({**state["config"], **own}, overrides, RESUMABLE, "resume")
    schema.check(config)
    if config["trust"]:
        add_current_folder()
    config["out"] = str(folder)
    if run_folder.is_finished(folder, state, config["epochs"], config["early_stopping"]):
        print(f"{folder} is finished after {state['progress']['epoch']} epochs; to train longer: epochs=N")
        return 0
    from cnntrain.run import resume as resume_run

    resume_run(config, folder, state)
    return 0


def evaluate(arguments: Sequence[str]) -> int:
    """``cnntrain eval RUN [overrides]``."""
    from cnntrain import checkpoint, run_folder, schema
    from cnntrain.config import add_current_folder, amended, conf_folder, read_yaml

    run_name, overrides = run_and_overrides(arguments, "eval")
    path = run_folder.find_checkpoint(run_name, checkpoint.BEST)
    checkpoint.verify(path)
    own = read_yaml(conf_folder() / "eval.yaml")
    state = checkpoint.load(path)
    config = amended({**state["config"], **own}, overrides, EVALUABLE, "eval")
    schema.check(config)
    if config["trust"]:
        add_current_folder()
    from cnntrain.run import evaluate as evaluate_run

    evaluate_run(config, path, state, shlex.join(["cnntrain", "eval", *arguments]))
    return 0


def summary(arguments: Sequence[str]) -> int:
    """``cnntrain summary [overrides]``."""
    from cnntrain import schema
    from cnntrain.config import compose, normalized, plain

    flags, words = split_flags(quiet_as_override(arguments), {"--config-dir": 1, "-cd": 1}, "summary")
    overrides = normalized(words)
    config_dir = next(iter(flags.values()), None)
    composed = explained(lambda: compose(overrides, config_dir), overrides, config_dir, is_sweep=False)
    config = plain(composed)
    schema.check(config)
    from cnntrain.summary import show

    show(config)
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

    print("\n".join(candidates(list(arguments), list(PUBLIC))))
    return 0


COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "train": train,
    "resume": resume,
    "eval": evaluate,
    "summary": summary,
    "completion": completion,
    "_complete": complete,
}
PUBLIC = [name for name in COMMANDS if not name.startswith("_")]
RESUMABLE = (
    "epochs",
    "device",
    "workers",
    "early_stopping",
    "save_every_steps",
    "save_every_minutes",
    "eval_batch_size",
    "data.root",
    "trust",
    "verbose",
)
EVALUABLE = ("split", "data.", "device", "precision", "workers", "eval_batch_size", "trust", "verbose")


def quiet_as_override(arguments: Sequence[str]) -> list[str]:
    """Replace ``-q`` by the override that it stands for."""
    return ["verbose=0" if argument in ("-q", "--quiet") else argument for argument in arguments]


def split_flags(
    arguments: Sequence[str], known: dict[str, int], command: str
) -> tuple[dict[str, str | None], list[str]]:
    """Separate flags, with their values, from overrides."""
    flags: dict[str, str | None] = {}
    words = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            words.append(word)
        elif name not in known:
            plain_name = name.lstrip("-")
            advice = f"options are written KEY=VALUE: {plain_name}={value or '...'}"
            raise UserError(f"{command} has no flag {name}{did_you_mean(name, known) or f': {advice}'}")
        elif not known[name]:
            flags[name] = None
        elif equals or rest:
            flags[name] = value if equals else rest.pop(0)
        else:
            raise UserError(f"{name} needs a value behind it")
    return flags, words


def run_and_overrides(arguments: Sequence[str], command: str) -> tuple[str, list[str]]:
    """Return RUN and the overrides of ``resume`` or ``eval``."""
    _, words = split_flags(quiet_as_override(arguments), {}, command)
    if not words:
        raise UserError(f"{command} needs a run: cnntrain {command} last, or a run folder or checkpoint file")
    run_name, *overrides = words
    return run_name, overrides


def through_hydra(
    job: Callable[[Any], Any],
    hydra_arguments: Sequence[str],
    overrides: Sequence[str],
    config_dir: str | None,
    is_sweep: bool,
) -> None:
    """Let Hydra compose the configuration and call the job, as under ``hydra.main``."""
    import hydra

    from cnntrain.config import conf_folder, prepare_hydra

    prepare_hydra()
    own = ["hydra.job.name=cnntrain"]
    typed, sys.argv = sys.argv, ["cnntrain", *hydra_arguments, *own, *overrides]
    entry = hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="train")

    def with_typed_arguments(config: Any) -> Any:
        sys.argv = typed
        return job(config)

    explained(entry(with_typed_arguments), overrides, config_dir, is_sweep)


def explained(
    work: Callable[[], Any], overrides: Sequence[str], config_dir: str | None, is_sweep: bool
) -> Any:
    """Do work that composes a configuration; tell a mistake in the overrides in plain words."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    from cnntrain.config import explain

    try:
        return work()
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
        raise explain(error, overrides, config_dir, is_sweep) from error
