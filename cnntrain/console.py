"""All that a person sees of a run, and the same lines in its log. Silent bars and no colours in a pipe."""

from __future__ import annotations

import contextlib
import datetime
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

if TYPE_CHECKING:
    from cnntrain.diagnosis import Finding
    from cnntrain.metrics import Result

T = TypeVar("T")
HEADINGS = (
    f"{'epoch':>9}{'step':>9}{'lr':>11}{'train loss':>13}{'acc':>9}"
    f"{'val loss':>12}{'acc':>9}{'s':>8}{'img/s':>10}"
)


class Screen(RichConsole):
    """A console that goes on when its reader has gone (``| head``): the run's folder is what a run is for."""

    def on_broken_pipe(self) -> None:
        """Send what is printed further nowhere; rich would end the process."""
        silence_stdout()


class Console:
    """The screen and the log of one run.

    Args:
        verbose: 0 for warnings and errors alone, 1 as usual, 2 for more; below 0 not even warnings.
        log: file to which each line is added, with the time.
    """

    def __init__(self, verbose: int = 1, log: Path | None = None) -> None:
        self.verbose = verbose
        self.log = log
        # A table must not be folded to 80 columns because its reader is a file.
        self.screen = Screen(highlight=False, width=None if sys.stdout.isatty() else 160)

    def line(self, markup: str = "", level: int = 1) -> None:
        """Print a line of rich's markup and add it to the log without."""
        self._show(markup, level)
        self._record(markup)

    def warn(self, text: str) -> None:
        """Print a line that must be seen, to standard error."""
        if self.verbose < 0:
            return
        RichConsole(stderr=True, highlight=False).print(
            f"[bold yellow]warning[/] {escape(text)}", soft_wrap=True
        )
        self._record(f"warning: {escape(text)}")

    def facts(self, facts: Mapping[str, str], level: int = 1) -> None:
        """Print names and values, one a line, aligned."""
        width = max(len(name) for name in facts)
        for name, value in facts.items():
            self.line(f"  [dim]{name:<{width}}[/]  {escape(value)}", level)

    def headings(self) -> None:
        """Print the headings of the epochs' rows."""
        self.line()
        self.line(f"[bold]{HEADINGS}[/]")

    def row(self, row: Mapping[str, Any], epochs: int, is_best: bool) -> None:
        """Print what an epoch came to."""
        val = f"{'–':>12}{'–':>9}"
        if row["val_loss"] is not None:
            val = f"{row['val_loss']:>12.4f}{row['val_accuracy']:>9.2%}"
        self.line(
            f"{row['epoch']:>{8 - len(str(epochs))}}/{epochs}{row['step']:>9,}{row['lr']:>11.3g}"
            f"{row['train_loss']:>13.4f}{row['train_accuracy']:>9.2%}{val}"
            f"{row['seconds']:>8.1f}{row['images_per_second']:>10,.0f}{'  [green]best[/]' if is_best else ''}"
        )

    def bar(self, total: int, done: int, text: str, unit: str = "step") -> tqdm[Any]:
        """Return a progress bar that goes away when it is closed; it shows only on a terminal."""
        return tqdm(total=total, initial=done, desc=text, unit=unit, **self._look)

    def followed(self, batches: Iterable[T], text: str) -> Iterable[T]:
        """Return the same batches with a progress bar that follows them, if it takes a moment."""
        return tqdm(batches, desc=text, unit="batch", delay=0.5, **self._look)

    @property
    def _look(self) -> dict[str, Any]:
        """What all bars have in common, as arguments of tqdm."""
        silent = True if self.verbose <= 0 else None  # None: unless it is a terminal
        return {"leave": False, "disable": silent, "mininterval": 0.2, "dynamic_ncols": True}

    def finding(self, finding: Finding) -> None:
        """Print a problem that the training doctor has found, and the suggested fix."""
        text = escape(f"{finding.finding}: {finding.evidence}")
        mend = escape(finding.mend)
        self.line(f"[yellow]doctor:[/] {text}\n        {f'try [bold]{mend}[/]' if '=' in mend else mend}")

    def result(self, name: str, result: Result) -> None:
        """Print the figures of an evaluation, with the interval in which the true accuracy lies."""
        low, high = wilson_interval(result.accuracy, result.examples)
        correct = round(result.accuracy * result.examples)
        top5 = "" if result.top5 is None else f"  top-5 {result.top5:.2%}"
        self.line(
            f"[bold]{name} accuracy {result.accuracy:.2%}[/]  ({correct:,} of {result.examples:,}; "
            f"95% interval {low:.2%} to {high:.2%})  loss {result.loss:.4f}{top5}"
        )

    def classes(self, rows: Sequence[Mapping[str, Any]], level: int = 1) -> None:
        """Print precision, recall and F1 of each class."""
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("class")
        for heading in ("precision", "recall", "F1", "examples"):
            table.add_column(heading, justify="right")
        for row in rows:
            scores = (f"{row[name]:.2%}" for name in ("precision", "recall", "f1"))
            table.add_row(escape(row["class"]), *scores, f"{row['support']:,}")
        self.table(table, level)

    def table(self, table: Table, level: int = 1) -> None:
        """Print a table of rich."""
        self._show(table, level)
        self._record(table)

    def _show(self, renderable: Any, level: int) -> None:
        if self.verbose < level:
            return
        self.screen.print(renderable, soft_wrap=isinstance(renderable, str))

    def _record(self, renderable: Any) -> None:
        if self.log is None:
            return
        with contextlib.suppress(OSError), self.log.open("a") as file:
            plain = RichConsole(file=file, no_color=True, highlight=False, width=160)
            if isinstance(renderable, str):
                file.write(f"{datetime.datetime.now():%Y-%m-%d %H:%M:%S}  ")
            plain.print(renderable, soft_wrap=isinstance(renderable, str))


def silence_stdout() -> None:
    """Send everything further that is printed nowhere, at the exit of the interpreter too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def wilson_interval(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927), which holds near 0 and 1 too."""
    if count == 0:
        return 0.0, 1.0
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def bytes_in_words(size: int) -> str:
    """Return a size such as ``0.4 MB``."""
    if size < 1e5:
        return f"{size / 1e3:.1f} kB"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def count(number: int, noun: str) -> str:
    """Return ``1 job``, ``2 jobs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def joined(parts: Iterable[str]) -> str:
    """Join what is not empty with semicolons."""
    return "; ".join(part for part in parts if part)
