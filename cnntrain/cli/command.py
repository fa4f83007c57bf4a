"""A command in one row, and the words after it: flags, overrides, and the errors in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cnntrain.errors import UserError, did_you_mean
from cnntrain.text import is_there, printable

Flags = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Args:
        name: the word that is typed.
        function: is given the words after the command, and returns the exit code.
        summaries: what may follow the name, such as ``RUN [KEY=VALUE ...]``, with a line on what that does.
        help: what ``--help`` prints before the keys: usage, explanation, examples.
        flags: its flags, each with the values that may follow. A "" there means that nothing may, too.
        topics: words that it takes, and that are neither runs, files nor overrides.
        keys: the keys that it takes; None for those of conf/NAME.yaml.
        keys_help: is given the word after ``--help``, and returns what help says about the keys; None for a
            list of ``keys``, with the values of conf/NAME.yaml.
        composes: whether it takes the keys of ``train``, from all of conf/.
        needs_run: whether the name of a run comes first.
        takes_runs: whether any number of runs may follow.
        takes_files: whether files or folders of images follow, after the run if there is one.
        works_under_torchrun: whether the processes of ``torchrun`` do it together.
        is_complete_without_screen: whether its results are in files, so that a lost output loses none.
    """

    name: str
    function: Callable[[Sequence[str]], int]
    summaries: Mapping[str, str]
    help: str
    flags: Flags = field(default_factory=dict)
    topics: Collection[str] = ()
    keys: tuple[str, ...] | None = None
    keys_help: Callable[[str], str] | None = None
    composes: bool = False
    needs_run: bool = False
    takes_runs: bool = False
    takes_files: bool = False
    works_under_torchrun: bool = False
    is_complete_without_screen: bool = False


ANYTHING: tuple[str, ...] = ("VALUE",)
CONFIG_DIR_FLAGS = {"--config-dir": ANYTHING, "-cd": ANYTHING}
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


def quiet_as_override(arguments: Sequence[str]) -> list[str]:
    """Replace ``-q``, wherever it is, by its override, at the end: overrides follow RUN."""
    others = [argument for argument in arguments if argument not in ("-q", "--quiet")]
    return others if len(others) == len(arguments) else [*others, "verbose=0"]


def split_flags(arguments: Sequence[str], command: Command) -> tuple[dict[str, str | None], list[str]]:
    """Separate the flags of a command, with their values, from the words that are none.

    Raises:
        UserError: the command has no such flag, or no use for an empty word.
    """
    known = command.flags
    flags: dict[str, str | None] = {}
    words = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word and not command.composes:  # a Path("") would be the current folder
            raise UserError(f"{command.name}: an empty word names nothing: is a variable of the shell unset?")
        if not word.startswith("-"):
            words.append(word)
        elif name not in known:
            following = "" if equals or not rest or rest[0].startswith("-") else rest[0]
            raise UserError(no_flag(name, value or following, command))
        elif equals:
            flags[name] = flag_value(name, value, known[name])
        elif known[name] and not ("" in known[name] and rest[:1] != [] and rest[0] not in known[name]):
            flags[name] = flag_value(name, rest.pop(0) if rest else "", known[name]) or "all"
        else:
            flags[name] = "all" if known[name] else None
    return flags, words


def no_flag(name: str, value: str, command: Command) -> str:
    """Return the message for a flag that a command does not have, with what to write instead."""
    from cnntrain.config.mistakes.suggestions import flag_suggestion

    near = did_you_mean(name, command.flags) if name.startswith("--") else ""
    return f"{command.name} has no flag {printable(name)}{near or f': {flag_suggestion(name, value)}'}"


def flag_value(name: str, value: str, possible: tuple[str, ...]) -> str:
    """Return the value of a flag, if it may have that."""
    takes = ", ".join(filter(None, possible)) or "no value"
    if possible == ANYTHING and (not value or (value.startswith("-") and value != "-")):
        raise UserError(f"{name} needs a value after it")
    if possible != ANYTHING and value not in possible:
        what = f"{name} {value} is not possible" if value else f"{name} needs a value after it"
        raise UserError(f"{what}; choose from {takes}" if takes != "no value" else f"{name} takes no value")
    return value


def config_dir_of(flags: Mapping[str, str | None]) -> str | None:
    """Return the folder after ``--config-dir``, which must exist."""
    folder = flags.get("--config-dir") or flags.get("-cd")
    if folder is not None and not Path(folder).is_dir():
        raise UserError(f"--config-dir {folder}: there is no such folder")
    return folder


def language_and_words(arguments: Sequence[str], command: Command) -> tuple[str, list[str]]:
    """Return the language in which a command explains, and the words without ``lang=``; the last one counts.

    Raises:
        UserError: there is no such language.
    """
    from cnntrain.config.conf_files import conf_folder, read_yaml
    from cnntrain.config.mistakes.suggestions import check_value

    typed = [word.removeprefix("lang=") for word in arguments if word.startswith("lang=")]
    for word in typed:
        check_value("lang", word)
    language = typed[-1] if typed else read_yaml(conf_folder() / f"{command.name}.yaml")["lang"]
    return language, [word for word in arguments if not word.startswith("lang=")]


def run_and_overrides(arguments: Sequence[str], command: Command) -> tuple[str, list[str]]:
    """Return RUN and the overrides of a command that takes both."""
    _, words = split_flags(quiet_as_override(arguments), command)
    name = command.name
    if not words:
        raise UserError(f"{name} needs a run: cnntrain {name} last, or a run folder or checkpoint file")
    run_name, *overrides = words
    if "=" in run_name and not is_there(run_name):
        instead = f"cnntrain {name} last {shlex.join(words)}"
        raise UserError(f"{name} needs a run before its overrides: {instead}")
    return run_name, overrides


def run_files_and_overrides(
    arguments: Sequence[str], command: Command
) -> tuple[str, list[str], list[str], dict[str, str | None]]:
    """Return RUN, files and folders, overrides and flags; what exists is a file."""
    flags, words = split_flags(quiet_as_override(arguments), command)
    name = command.name
    overrides = [word for word in words if re.match(r"[\w.]+=", word) and not is_there(word)]
    run, *files = [word for word in words if word not in overrides] or [""]
    if not files:
        if Path(run).suffix.lower() in IMAGES:
            raise UserError(f"{name} needs a run before the images: cnntrain {name} last {shlex.quote(run)}")
        needed = "files" if run else "a run and files"
        raise UserError(f"{name} needs {needed}: cnntrain {name} {run or 'last'} FILE_OR_FOLDER ...")
    return run, files, overrides, flags
