"""The command line: finds the command, and reports how it ended. No torch, no Hydra."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from cnntrain import __version__
from cnntrain.cli.commands import COMMANDS, help_of, overview
from cnntrain.errors import (
    CnntrainError,
    Interrupted,
    RunFailed,
    UserError,
    describe_error,
    did_you_mean,
    error_text,
    place_of,
    reraise_interruption,
)
from cnntrain.runtime import memory, streams
from cnntrain.runtime.ranks import Reporter, world_size
from cnntrain.runtime.signals import fast_exit
from cnntrain.text import printable


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    arguments = sys.argv[1:]
    with reporting_errors(arguments) as end:
        end.code = run(arguments)
    sys.exit(end.code)


@dataclass
class CommandEnd:
    """The end of a command.

    Args:
        code: its exit code.
    """

    code: int = 0


@contextmanager
def reporting_errors(arguments: Sequence[str]) -> Iterator[CommandEnd]:
    """Print how a command line ended if that was not well, and keep its exit code."""
    streams.prepare()
    memory.keep()
    end = CommandEnd()
    try:
        yield end
    except CnntrainError as error:
        # An interruption is what the user asked for, not an error.
        Reporter.report(
            f"\n{error_text(error)}" if isinstance(error, Interrupted) else f"cnntrain: {error_text(error)}"
        )
        end.code = error.exit_code
    except KeyboardInterrupt:
        Reporter.report("\ncnntrain: interrupted")
        end.code = 128 + signal.SIGINT
    lost = streams.lost()
    if lost is not None:
        Reporter.report(f"cnntrain: standard output can't be written: {lost.strerror}")
        end.code = end.code or int(prints_only(arguments))
    fast_exit()


def prints_only(arguments: Sequence[str]) -> bool:
    """Return whether a command only prints."""
    command = COMMANDS.get(arguments[0]) if arguments else None
    return command is None or not command.is_complete_without_screen or any(w in HELP for w in arguments)


def run(argv: Sequence[str]) -> int:
    """Run one command and return its exit code.

    Raises:
        CnntrainError: what is wrong, in words for the user.
    """
    if not argv or argv[0] in HELP or argv[0] == "help":
        print(help_of(*argv[1:3]) if argv[1:] else overview())
        return 0
    name, *arguments = (part for word in argv for part in parts_of_help(word))
    if name == "_complete":
        return complete(arguments)
    command = COMMANDS.get(name)
    if command is None and name != "--version":
        raise UserError(no_command(name, arguments))
    if command is not None and any(argument in HELP for argument in arguments):
        print(help_of(name, subject_of_help(arguments)))
        return 0
    if command is None or "--version" in arguments:
        print(f"cnntrain {__version__}")
        return 0
    if world_size() > 1 and not command.works_under_torchrun:
        raise UserError(f"{name} works in one process: leave torchrun out")
    from cnntrain.config.mistakes import malformed

    malformed.COMMANDS.update(COMMANDS)
    try:
        return command.function(arguments)
    except Interrupted:
        raise
    except CnntrainError as error:
        reraise_interruption(error)
        raise
    except OSError as error:  # wherever it arises
        explained = describe_os_error(error) or from_user_code(error)
        if explained is None:
            raise
        raise explained from error
    except Exception as error:  # whatever code of the user's may raise
        reraise_interruption(error)
        explained = from_user_code(error)
        if explained is None:
            raise
        raise explained from error


def from_user_code(error: Exception) -> CnntrainError | None:
    """Return an error that came through code of the user's, for the user; None if it did not."""
    return None if place_of(error) is None else UserError(f"code of your own failed: {describe_error(error)}")


def describe_os_error(error: OSError) -> CnntrainError | None:
    """Return what the system refused, for the user: no permission, a full disk, a folder in place of a file.

    None if it may be a mistake of the program's.
    """
    place = error.filename2 or error.filename
    if error.errno in FULL:
        return RunFailed(f"{printable(place or 'a file')} can't be written: {(error.strerror or '').lower()}")
    if place is None or not (isinstance(error, PermissionError) or error.errno in MISPLACED):
        return None
    return UserError(f"{printable(place)}: {(error.strerror or '').lower()}")


def parts_of_help(word: str) -> list[str]:
    """Return ``--help=optim`` as the two words that it stands for, any other word as it is."""
    return word.split("=", 1) if word.startswith("--help=") else [word]


def subject_of_help(arguments: Sequence[str]) -> str:
    """Return the word after ``--help``: ``all``, a group or a key; "" if there is none."""
    behind = [*arguments, ""][next(i for i, word in enumerate(arguments) if word in HELP) + 1]
    return "" if behind.startswith("-") else behind


def no_command(name: str, behind: Sequence[str]) -> str:
    """Return the message for a first word that is not a command, with what was probably meant."""
    from cnntrain.config.mistakes.suggestions import flag_suggestion
    from cnntrain.config.mistakes.synonyms import COMMANDS as ELSEWHERE

    typed = printable(name)
    if name.startswith("-"):
        flag, _, value = name.partition("=")
        if near := did_you_mean(name, ("--help", "--version")):
            return f"cnntrain has no flag {typed}{near}"
        instead = flag_suggestion(flag, value or "".join(behind[:1])).removeprefix("write ")
        example = (
            f"cnntrain train {instead}" if "=" in instead.partition(" ")[0] else "cnntrain train KEY=VALUE"
        )
        return f"cnntrain has no flag {typed}: a command comes first, such as {example}"
    if "=" in name:
        return f"unknown command '{typed}': did you mean cnntrain train {typed}?"
    if name.lower() in ELSEWHERE:
        return f"unknown command '{typed}': did you mean cnntrain {ELSEWHERE[name.lower()]}?"
    return f"unknown command '{typed}'{did_you_mean(name, COMMANDS) or ': see cnntrain --help'}"


def complete(arguments: Sequence[str]) -> int:
    """``cnntrain _complete WORD...``: what may stand where the last word begins; the scripts call it."""
    from cnntrain.cli.completion import candidates

    for candidate in candidates(arguments, COMMANDS):
        print(candidate)
    return 0


# Why the system refuses to write, and to open: the disk, and somebody else's folders.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
MISPLACED = (errno.EISDIR, errno.ENOTDIR, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG)
HELP = ("-h", "--help")
