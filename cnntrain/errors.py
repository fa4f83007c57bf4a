"""What a person is told when something goes wrong: one or two lines, and the exit code of the command."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path


class CnntrainError(Exception):
    """An error whose text is written for the user. The command prints it and ends with ``exit_code``."""

    exit_code = 1


class UserError(CnntrainError):
    """Wrong input: the text says what is wrong, the value, and what to do."""

    exit_code = 2


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, of another format or not one of ours."""


class RunFailed(CnntrainError):
    """A run that could not go on: it diverged, or its folder could not be written."""


class Pruned(CnntrainError):
    """A job of a search that was stopped, since its validation curve had no hope of being the best."""


class Interrupted(CnntrainError):
    """A run stopped by a signal, at a step boundary, with its checkpoint written."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number  # the shell's convention: 130 for Ctrl-C, 143 for SIGTERM

    def __reduce__(self) -> tuple[type[Interrupted], tuple[str, int]]:
        """Let a worker of a sweep send it to the process that started it."""
        return Interrupted, (str(self), self.exit_code - 128)


def reraise_interruption(error: BaseException) -> None:
    """Raise the KeyboardInterrupt during which an error arose, if it did.

    Ctrl-C reaches code of others anywhere; where its clean-up fails, that error hides the interruption.
    """
    seen: set[int] = set()  # an error that is raised from one it led to makes a circle
    before: BaseException | None = error
    while before is not None and id(before) not in seen:
        if isinstance(before, KeyboardInterrupt):
            raise before
        seen.add(id(before))
        before = before.__cause__ or before.__context__


def nearest(name: str, names: Iterable[str], count: int = 1, likeness: float = 0.5) -> list[str]:
    """Return the valid names that look most like ``name``, best first; capitals count as small letters."""
    valid = {valid_name.lower(): valid_name for valid_name in names}
    return [valid[found] for found in difflib.get_close_matches(name.lower(), valid, count, likeness)]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ``": did you mean X?"`` for the nearest valid name, or an empty string."""
    found = nearest(name, names)
    return f": did you mean {found[0]}?" if found else ""


def in_words(error: BaseException) -> str:
    """Return an exception of someone else's code as one line, with the place if it is the user's."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
    if not isinstance(error, TypeError | ValueError | RuntimeError | ImportError):
        text = f"{type(error).__name__}: {text}"
    package = Path(__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        is_own = file.is_relative_to(Path.cwd()) and not file.is_relative_to(package)
        if is_own and "site-packages" not in file.parts:
            return f"{text} ({file.relative_to(Path.cwd())}, line {frame.lineno})"
    return text
