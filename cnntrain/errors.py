"""The errors that end a command: each has one or two lines to print, and an exit code."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Iterable
from pathlib import Path

from cnntrain.text import printable

LONGEST_LINE, MOST_LINES = 2000, 12  # of a message


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


def error_text(error: BaseException) -> str:
    """Return the text of an error as a terminal can show it, whatever was quoted in it.

    No control characters, and no flood: values from files and checkpoints may hold anything.
    """
    lines = str(error).splitlines() or [""]
    return "\n".join(printable(line, LONGEST_LINE) for line in lines[:MOST_LINES])


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


def nearest(name: str, names: Iterable[str], count: int = 1) -> list[str]:
    """Return the valid names that ``name`` is likely to be a typo of, best first; most names are like none.

    Capitals, dashes, dots and underscores do not count.
    """
    far = [(distance(folded(name), folded(valid), name, valid), len(valid), valid) for valid in names]
    return [valid for _, _, valid in sorted(found for found in far if found[0] < math.inf)[:count]]


def folded(name: str) -> str:
    """Return the letters and digits of a name, in small letters."""
    return re.sub(r"[\W_]+", "", name.lower())


def distance(a: str, b: str, typed: str, valid: str) -> float:
    """Return how far a folded name lies from a valid one: a number of slips, or infinity for another word.

    A slip is a letter too many, too few, or another one, or two letters swapped. Long names may have up to
    four. A word that begins the other one, or whole words out of it, count as two.
    """
    if a == b:
        return 0
    longest, shortest = max(len(a), len(b)), min(len(a), len(b))
    allowed = 0 if longest < 3 else 1 if longest < 6 else 2 if longest < 9 else 3 if longest < 16 else 4
    slips = math.inf if longest - shortest > allowed else edits(a, b)
    if slips <= allowed:
        return slips
    if shortest >= 3 and shortest >= longest / 3 and (a.startswith(b) or b.startswith(a)):
        return 2
    words, whole = (re.split(r"[\W_]+", name.lower()) for name in (typed, valid))
    is_part = any(whole[i : i + len(words)] == words for i in range(len(whole)))
    return 2.5 if is_part and len(a) >= 4 else math.inf


def edits(a: str, b: str) -> int:
    """Return the Damerau-Levenshtein distance of two words; swapping adjacent letters counts as one edit."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        above, row = row, [i]
        for j, other in enumerate(b, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = above
    return row[-1]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return ``": did you mean X?"`` for the nearest valid name, or an empty string."""
    found = nearest(name, names)
    return f": did you mean {found[0]}?" if found else ""


def describe_error(error: BaseException) -> str:
    """Return an exception of someone else's code as one line, with the place if it is the user's."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "no reason given")
    if not isinstance(error, TypeError | ValueError | RuntimeError | ImportError):
        text = f"{type(error).__name__}: {text}"
    place = place_of(error)
    return text if place is None else f"{text} ({place})"


def place_of(error: BaseException) -> str | None:
    """Return the last file and line of the user's own code that an error came through; None without one."""
    import sysconfig  # for this alone

    here, paths = Path.cwd(), sysconfig.get_paths()
    libraries = [Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        is_library = any(file.is_relative_to(folder) for folder in (Path(__file__).parent, *libraries))
        if file.is_relative_to(here) and not is_library and "site-packages" not in file.parts:
            return f"{file.relative_to(here)}, line {frame.lineno}"
    return None
