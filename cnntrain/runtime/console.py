"""All that a person sees of a run, and the same lines in its log. Silent bars and no colours in a pipe.

Markup is rich's. What comes from elsewhere, such as names and paths, is given beside the markup, as values:
there it is neither markup nor anything that a terminal obeys.
"""

from __future__ import annotations

import contextlib
import datetime
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.segment import Segment
from rich.text import Span, Text

from cnntrain.runtime.progress_bars import Bar
from cnntrain.runtime.regular_files import append_regular
from cnntrain.text import JOIN, READABLE, folded, printable, without_controls

T = TypeVar("T")
AS_TEXT = {"encoding": "utf-8", "errors": READABLE}  # of train.log
WIDTH_OF_A_FILE = 160  # columns: a table must not be folded to 80 because its reader is a file
MOMENT_SECONDS = 0.5  # after which work shows its progress


class Screen(RichConsole):
    """A console of rich that sends no control characters but its own, and draws no ``:name:``."""

    def __init__(self, **options: Any) -> None:
        # In a notebook, rich would show each line as a page of its own, and the lines of the log as well.
        super().__init__(highlight=False, emoji=False, force_jupyter=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what rich makes of something, with control characters as escapes and blanks for JOIN."""
        for segment in super().render(renderable, options):
            shown = without_controls(segment.text).replace(JOIN, " ")
            yield segment if segment.control else segment._replace(text=shown)

    def on_broken_pipe(self) -> None:
        """Continue when the reader has gone (``| head``); rich would end the process."""
        self.quiet = True


class Console:
    """The screen and the log of one run.

    Args:
        verbose: 0 for warnings and errors alone, 1 as usual, 2 for more; below 0 not even warnings.
        log: file to which each line is added, with the time.
    """

    def __init__(self, verbose: int = 1, log: Path | None = None) -> None:
        self.verbose = verbose
        self.log = log
        self.screen = Screen(width=None if is_terminal(sys.stdout) else WIDTH_OF_A_FILE)

    def line(self, markup: str = "", *values: object, level: int = 1, hang: int = 2) -> None:
        """Print a line of rich's markup, and add it to the log without.

        Args:
            markup: the markup with ``{}`` where a value is to stand, if there are values.
            values: shown as they are, without control characters.
            level: the lowest ``verbose`` that prints it.
            hang: indent, in columns, of its second line where a terminal is too narrow for one.
        """
        text = filled(markup, values)
        if self.verbose >= level:
            print_folded(self.screen, text, hang)
        self._record(text)

    def command(self, markup: str, command: str, level: int = 1) -> None:
        """Print a command to copy, after what it is for; it is never folded."""
        self.line(f"{markup}: [bold]{{}}[/]", Verbatim(command), level=level)

    def warn(self, text: str) -> None:
        """Print a line that must be seen, to standard error."""
        if self.verbose < 0:
            return
        line = Text.assemble(("warning", "bold yellow"), f" {without_controls(text)}")
        print_folded(Screen(stderr=True), line)
        self._record(Text(f"warning: {without_controls(text)}"))

    def facts(self, facts: Mapping[str, str], level: int = 1) -> None:
        """Print names and values, one a line, aligned."""
        width = max(len(name) for name in facts)
        for name, value in facts.items():
            self.line(f"  [dim]{name:<{width}}[/]  {{}}", Verbatim(value), level=level, hang=width + 4)

    def wide_line(self, line: Callable[[int], str], markup: str = "{}") -> None:
        """Print a line that is laid out for the width of the terminal, and record it as laid out for the log.

        Args:
            line: gives the line for a number of columns.
            markup: the markup with ``{}`` where the line is to stand.
        """
        if self.verbose >= 1:
            self.screen.print(filled(markup, (line(self.screen.width),)), soft_wrap=True)
        self._record(filled(markup, (line(WIDTH_OF_A_FILE),)))

    def bar(self, total: int, done: int, text: str, unit: str = "step", **of_run: Any) -> Bar:
        """Return a progress bar that goes away when it is closed; it shows only on a terminal.

        Args:
            total: steps.
            done: steps that were done before.
            text: what the bar counts the progress of.
            unit: the unit of a step.
            of_run: ``after`` and ``loss`` of :class:`Bar`; ``disable``, if it must not be shown.
        """
        return Bar(total=total, initial=done, desc=text, unit=unit, **(self._look | of_run))

    def followed(self, batches: Iterable[T], text: str, unit: str = "batch") -> Iterable[T]:
        """Return the same batches with a progress bar that follows them, if it takes a moment."""
        return Bar(batches, desc=text, unit=unit, delay=MOMENT_SECONDS, **self._look)

    @property
    def _look(self) -> dict[str, Any]:
        """The arguments of tqdm that all bars have in common."""
        silent = True if self.verbose <= 0 or sys.stderr is None else None  # None: unless it is a terminal
        return {"leave": False, "disable": silent, "mininterval": 0.2, "dynamic_ncols": True}

    def table(self, table: RenderableType, level: int = 1) -> None:
        """Print a table of rich, or anything else of its own that is laid out already."""
        if self.verbose >= level:
            self.screen.print(table)
        self._record(table)

    def _record(self, renderable: RenderableType) -> None:
        if self.log is None:
            return
        with contextlib.suppress(OSError), append_regular(self.log, **AS_TEXT) as file:
            plain = Screen(file=file, no_color=True, width=WIDTH_OF_A_FILE)
            is_line = isinstance(renderable, Text)
            if is_line:
                file.write(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}  ")
            plain.print(renderable, soft_wrap=is_line)


class Verbatim(str):
    """A value of several words or lines that is shown in full; only its control characters are replaced."""


def filled(markup: str, values: Sequence[object] = ()) -> Text:
    """Return rich's markup with values in place of each ``{}``, in the style of that place."""
    try:
        text = Text.from_markup(markup, emoji=False)
    except MarkupError:  # a name with brackets that was not given as a value
        text = Text(markup)
    done = Text()
    for value in values:
        place = text.plain.index("{}")
        before, here, text = text.divide([place, place + 2])
        shown = without_controls(value) if isinstance(value, Verbatim) else printable(value)
        spans = [Span(0, len(shown), span.style) for span in here.spans]
        done += Text.assemble(before, Text(shown, spans=spans))
    return done + text


def print_folded(screen: RichConsole, text: Text, hang: int = 2) -> None:
    """Print lines; on a terminal, those that are too long are folded between words."""
    lines = text.split("\n", allow_blank=True) if text.plain else [text]
    for line in lines:
        is_folded = is_terminal(screen.file)
        pieces = folded(line.plain, screen.width, hang) if is_folded else [(0, len(line.plain))]
        for number, (begin, end) in enumerate(pieces):
            screen.print(Text(" " * hang if number else "") + line[begin:end], soft_wrap=True)


def is_terminal(stream: Any) -> bool:
    """Return whether a stream is there and is a terminal."""
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:  # it was closed
        return False


def format_bytes(size: int) -> str:
    """Return a size such as ``0.4 MB``."""
    if size < 1e5:
        return f"{size / 1e3:.1f} kB"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def count(number: int, noun: str) -> str:
    """Return ``1 job``, ``2 jobs``, ``2 boxes``."""
    plural = "es" if noun.endswith(("s", "x")) else "s"
    return f"{number:,} {noun}{'' if number == 1 else plural}"


def joined(parts: Iterable[str]) -> str:
    """Join what is not empty with semicolons."""
    return "; ".join(part for part in parts if part)
