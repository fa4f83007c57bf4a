"""A CSV file with names in its first row, as tables of series and of texts are."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from cnntrain.errors import UserError
from cnntrain.image_folder.layout import PARTS
from cnntrain.sequences.layout import decoded
from cnntrain.text import printable, some

LONGEST_CELL = 2**26  # characters


def rows_of(content: bytes, path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the names of the columns, in small letters, and each row with its number in the file.

    Raises:
        UserError: it is no such table, or a row has more or fewer cells than there are names.
    """
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(io.StringIO(decoded(content, str(path))))
    try:
        rows = [(number, row) for number, row in enumerate(reader, 1) if any(map(str.strip, row))]
    except csv.Error as error:
        raise UserError(f"{printable(path)} is not a CSV file: {error}") from error
    if len(rows) < 2:
        raise UserError(f"{printable(path)} needs a row of names and rows below it")
    names = [name.strip().lower() for name in rows[0][1]]
    for number, row in rows[1:]:
        if len(row) != len(names):
            raise UserError(
                f"{printable(path)}: row {number:,} has {len(row)} columns, and the first row {len(names)}"
            )
    return names, rows[1:]


def column(names: Sequence[str], name: str, path: Path, layout: str) -> int:
    """Return the place of a column.

    Args:
        names: the names of the columns.
        name: the one that is looked for.
        path: the file.
        layout: the columns that such a table has, in words.

    Raises:
        UserError: there is none of that name.
    """
    if name not in names:
        raise UserError(f"{printable(path)} has no column '{name}': it has {some(names)}; {layout}")
    return names.index(name)


def part_of(row: Sequence[str], part: int | None, number: int, path: Path) -> str:
    """Return ``train``, ``val`` or ``test`` of a row; empty without such a column.

    Raises:
        UserError: it says something else.
    """
    if part is None:
        return ""
    found = PARTS.get(row[part].strip().lower())
    if found is None:
        raise UserError(
            f"{printable(path)}: row {number:,} has part '{printable(row[part])}': it takes "
            "train, val or test"
        )
    return found
