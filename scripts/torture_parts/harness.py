"""The cases, the place where a part tries them, and the parts."""

from __future__ import annotations

import os
import random
import shlex
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torture_parts.child import TIME, Child, Ended
from torture_parts.files import remove
from torture_parts.guard import PROGRAM
from torture_parts.rows import Row

MARKERS = "markers"  # the folder into which planted code and planted programs write, if they ever run
FAKES = (
    "gs",
    "sh",
    "bash",
    "convert",
    "gv",
    "xdg-open",
    "curl",
    "wget",
    "rsvg-convert",
    "ffmpeg",
    "python3",
    "file",
)


class Place:
    """The folder in which a part works: its cases, what they share, and the programs that nobody may start.

    Args:
        folder: which is made.
        only_one: whether a single case is tried, whose folder is then kept.
    """

    def __init__(self, folder: Path, only_one: bool = False) -> None:
        self.folder, self.only_one = folder, only_one
        for name in ("shared", "cases", "bin", MARKERS):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.shared = folder / "shared"
        self.cache = self.shared / "cache"
        self.cache.mkdir(exist_ok=True)
        for name in FAKES:
            fake = folder / "bin" / name
            fake.write_text(
                f'#!/bin/sh\necho "$0 $@" >> {shlex.quote(str(folder / MARKERS / name))}\nexit 1\n'
            )
            fake.chmod(0o755)

    def env(self, folder: Path) -> dict[str, str]:
        """Return the variables of a command that works in a folder."""
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ.get('PATH', os.defpath)}",
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "XDG_STATE_HOME": str(folder / ".state"),
            "CNNTRAIN_CACHE": str(self.cache),
            "OMP_NUM_THREADS": "1",
            "CNNTRAIN_DATA_ROOT": str(folder / "data"),
        }

    def marked(self) -> list[str]:
        """Return what planted code has left, and clear it away."""
        found = []
        for file in sorted((self.folder / MARKERS).iterdir()):
            found.append(f"code run: {file.name} {file.read_text(errors='replace')[:100].strip()}")
            file.unlink()
        return found


class Case:
    """One test: commands in a folder, and what was wrong with them.

    Args:
        place: of its part.
        name: of its part, and its number.
        seed: from which all its choices follow.
    """

    def __init__(self, place: Place, name: str, seed: str) -> None:
        self.place, self.name = place, name
        self.random = random.Random(seed)
        self.folder = place.folder / "cases" / name
        remove(self.folder)
        self.folder.mkdir(parents=True)
        self.commands: list[str] = []
        self.faults: list[str] = []
        self.children: list[Child] = []
        self.peak = self.tracebacks = 0

    def start(self, *arguments: str, env: Mapping[str, str] | None = None, **how: Any) -> Child:
        """Start a command and let it run; what is left running at the end of the case is killed."""
        for earlier in self.children:
            earlier.poll()
        variables = {**self.place.env(self.folder), **(env or {})}
        how.setdefault("writable", [self.place.cache])
        self.commands.append(shown(arguments, env, how))
        child = Child(arguments, self.folder, variables, **how)
        self.children.append(child)
        return child

    def finished(self, child: Child, timeout: float = TIME, killed: bool = False) -> Ended:
        """Wait for a command, and note what is wrong with how it ended."""
        ended = child.wait(timeout)
        self.peak = max(self.peak, ended.peak)
        self.tracebacks += ended.crashes
        self.faults += [f"{fault}\n    {shown(ended.arguments)}" for fault in ended.faults(killed)]
        return ended

    def command(self, *arguments: str, timeout: float = TIME, **how: Any) -> Ended:
        """Run a command to its end."""
        return self.finished(self.start(*arguments, **how), timeout)

    def must(self, holds: object, words: str) -> bool:
        """Note a fault unless something holds, and say whether it does."""
        if not holds:
            self.faults.append(words)
        return bool(holds)

    def succeeds(self, ended: Ended) -> bool:
        """Note a fault unless a command succeeded."""
        return self.ends_with(ended, 0)

    def ends_with(self, ended: Ended, *codes: int) -> bool:
        """Note a fault unless a command ended with one of some exit codes."""
        words = f"exit code {ended.code}, not {' or '.join(map(str, codes))}\n    {shown(ended.arguments)}"
        told = ended.err.decode(errors="replace").strip()[-300:]
        return self.must(ended.code in codes, f"{words}\n    {told!a}")

    def close(self) -> None:
        """End what still runs, and remove the folder unless it tells of a fault."""
        for child in self.children:
            child.kill()
            child.wait()
        self.faults += self.place.marked()
        if self.faults or self.place.only_one:
            lines = [*self.commands, "", *self.faults, ""]
            for number, child in enumerate(self.children, 1):
                if child.ended is not None:
                    text = (child.ended.out + b"\n" + child.ended.err).decode(errors="backslashreplace")
                    lines += [f"--- {number}: {shown(child.arguments)}: {child.ended.code}", text[-20_000:]]
            (self.folder / "what-happened.txt").write_text("\n".join(lines), errors="backslashreplace")
        else:
            remove(self.folder)


@dataclass
class Part:
    """A part of the torture.

    Attributes:
        name: as in ``--only``.
        about: in a line.
        full: cases of ``--counts full``.
        small: cases of ``--counts small``.
        attempt: tries one case, by its number.
        prepare: makes what the cases share.
        kinds: how many kinds of cases there are, in turns; a count of at least that tries each.
    """

    name: str
    about: str
    full: int
    small: int
    attempt: Callable[[Case, int], None]
    prepare: Callable[[Place], None] = lambda place: None

    def tried(
        self, numbers: Sequence[int], seed: int, place: Place, say: Callable[[str], None] = lambda text: None
    ) -> Row:
        """Try some cases and return the row of the table.

        Args:
            numbers: of the cases.
            seed: from which, with part and number, all choices follow.
            place: where.
            say: is told of each failure as it comes.
        """
        row, begun = Row(self.name), time.monotonic()
        self.prepare(place)
        for number in numbers:
            case = Case(place, f"{self.name}-{number:05}", f"{seed}/{self.name}/{number}")
            try:
                self.attempt(case, number)
            except Exception as error:  # of the harness itself: no reason to end
                where = traceback.extract_tb(error.__traceback__)[-1]
                case.faults.append(f"the harness: {error!r} ({Path(where.filename).name}, {where.lineno})")
            case.close()
            row.tests += 1
            row.tracebacks += case.tracebacks
            row.ran += sum(fault.startswith((PROGRAM, "code run:")) for fault in case.faults)
            row.peak = max(row.peak, case.peak)
            if case.faults:
                told = "\n  ".join(case.faults)
                text = (
                    f"{self.name} {number}: {told}\n"
                    f"  again: scripts/torture.py --seed {seed} --only {self.name} --case {number}\n"
                    f"  kept: {case.folder}"
                )
                row.failures.append((number, text))
                say(text)
        row.seconds = time.monotonic() - begun
        return row


def shown(
    arguments: Sequence[str], env: Mapping[str, str] | None = None, how: Mapping[str, Any] | None = None
) -> str:
    """Return a command as it would be typed, with what is unusual about how it runs."""
    words = " ".join(quoted(word) for word in ("cnntrain", *arguments))
    own = "".join(f"{name}={quoted(value)} " for name, value in (env or {}).items())
    unusual = {name: value for name, value in (how or {}).items() if name != "writable" and value}
    text = own + words + (f"   # {unusual}" if unusual else "")
    return text if len(text) < 2000 else f"{text[:1500]}..."


def quoted(word: str) -> str:
    """Return a word as a shell takes it, whatever characters it holds."""
    return shlex.quote(word) if word.isprintable() else f"$'{word.encode('unicode_escape').decode()}'"
