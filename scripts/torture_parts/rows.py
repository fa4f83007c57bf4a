"""The rows of the table that the cases add up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torture_parts.child import MEMORY

HEADER = ("part", "tests", "passed", "failed", "tracebacks", "code run", "peak memory", "seconds")


@dataclass
class Row:
    """What came of a part.

    Attributes:
        part: its name.
        tests: cases that were tried.
        failures: of each case that failed, its number and what was wrong.
        tracebacks: that were printed.
        ran: programs or code that ran and should not have.
        peak: bytes of the largest process.
        seconds: that it took.
    """

    part: str
    tests: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)
    tracebacks: int = 0
    ran: int = 0
    peak: int = 0
    seconds: float = 0.0

    def cells(self) -> tuple[str, ...]:
        """Return the row's cells as text."""
        failed = len(self.failures)
        numbers = (self.tests, self.tests - failed, failed, self.tracebacks, self.ran)
        return (
            self.part,
            *(f"{n:,}" for n in numbers),
            f"{self.peak / 2**20:,.0f} MiB",
            f"{self.seconds:,.0f}",
        )


def table(rows: Sequence[Row]) -> str:
    """Return rows as a table in Markdown."""
    total = Row(
        "all",
        sum(row.tests for row in rows),
        [failure for row in rows for failure in row.failures],
        sum(row.tracebacks for row in rows),
        sum(row.ran for row in rows),
        max((row.peak for row in rows), default=0),
        sum(row.seconds for row in rows),
    )
    lines = [HEADER, *(row.cells() for row in (*rows, total))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    body = [
        " | ".join(
            cell.ljust(w) if not i else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    rule = " | ".join("-" * w if not i else "-" * (w - 1) + ":" for i, w in enumerate(widths))
    return "\n".join(f"| {line} |" for line in (body[0], rule, *body[1:]))


def is_right(row: Row) -> bool:
    """Return whether nothing was wrong in a part."""
    return not row.failures and row.peak <= MEMORY
