"""CSV that spreadsheets open without computing what is in it.

A name such as ``=cmd|'/C calc'!A7`` is a formula to a spreadsheet. As OWASP advises,
text that begins like one gets an apostrophe before it.
Source: https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # the last four are full-width


def csv_of(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows of values as CSV, with text that a spreadsheet would compute made harmless."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[cell(value) for value in row] for row in rows])
    return text.getvalue()


def cell(value: Any) -> Any:
    """Return a value as it may stand in a cell: numbers as they are, formulas behind an apostrophe."""
    if value is None or isinstance(value, int | float):
        return value
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) and not is_number(text) else text


def is_number(text: str) -> bool:
    """Return whether a text is a number, such as ``-1e-3``."""
    try:
        float(text)
    except ValueError:
        return False
    return True
