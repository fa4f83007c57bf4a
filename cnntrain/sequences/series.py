"""Time series in CSV files: ``data=series_folder data.root=DIR``, or one table, ``data.root=FILE.csv``."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from cnntrain.errors import UserError
from cnntrain.sequences.layout import contents, decoded
from cnntrain.sequences.on_disk import OnDisk
from cnntrain.sequences.source import Sample
from cnntrain.sequences.table import column, part_of, rows_of
from cnntrain.text import printable

COLUMNS = "a table has id, label and features, and if need be time and part"
LARGEST_NUMBER = float(np.finfo(np.float32).max)


class SeriesFolder(OnDisk):
    """A file for each series, one step a row, below a folder for each class; or one table of all.

    A file may begin with a row of names. The columns are the features: numbers, the same number of them in
    each file. A table has the columns ``id`` and ``label``; ``time``, if it has that, orders the rows of an
    id, and ``part`` says ``train``, ``val`` or ``test``. All others are features. The arguments
    are those of :class:`cnntrain.sequences.on_disk.OnDisk`.
    """

    inputs = "series"

    def value(self, sample: Sample) -> np.ndarray:
        """Return a series, float32 (T, F)."""
        return parsed(sample.content, sample.name)

    @staticmethod
    def samples_of_table(path: Path) -> list[Sample]:
        """Return the series of a table in the order of their first rows, each as its own file would hold it.

        Raises:
            UserError: a column is missing, or one id has several classes or parts.
        """
        names, rows = rows_of(contents(path), path)
        ids, labels = (column(names, name, path, COLUMNS) for name in ("id", "label"))
        time = names.index("time") if "time" in names else None
        part = names.index("part") if "part" in names else None
        features = [index for index in range(len(names)) if index not in (ids, labels, time, part)]
        if not features:
            raise UserError(f"{printable(path)} has no column of features besides {', '.join(names)}")
        of_id: dict[str, list[tuple[int, list[str]]]] = {}
        for number, row in rows:
            of_id.setdefault(row[ids], []).append((number, row))
        samples = []
        for name, own in of_id.items():
            number, first = own[0]
            kinds = {(row[labels], part_of(row, part, n, path)) for n, row in own}
            if len(kinds) > 1:
                raise UserError(f"{printable(path)}: id {printable(name)} has several labels or parts")
            if time is not None:
                own = sorted(own, key=lambda entry: time_of(entry, time, path))
            steps = "\n".join(",".join(row[index] for index in features) for _, row in own)
            where = f"{path.name}, id {name}"
            samples.append(Sample(where, first[labels], part_of(first, part, number, path), steps.encode()))
        return samples


def parsed(content: bytes, name: str) -> np.ndarray:
    """Return the numbers of a CSV file, float32 (T, F); a first row without any number is one of names.

    Args:
        content: the content of the file.
        name: the name for messages.

    Raises:
        UserError: a row has other columns than the first, or a cell is not a finite number.
    """
    rows = [row for row in csv.reader(io.StringIO(decoded(content, name))) if any(map(str.strip, row))]
    first = 0 if rows and any(map(is_number, rows[0])) else 1
    steps = []
    for number, row in enumerate(rows[first:], first + 1):
        if len(row) != len(rows[first]):
            raise UserError(
                f"{printable(name)}: row {number:,} has {len(row)} columns, and the first {len(rows[first])}"
            )
        bad = next((cell for cell in row if not is_number(cell)), None)
        if bad is not None:
            raise UserError(
                f"{printable(name)}: row {number:,} has '{printable(bad)}', which is not a number"
            )
        steps.append([float(cell) for cell in row])
    if not steps:
        raise UserError(f"{printable(name)} holds no numbers: each row is a step, each column a feature")
    return np.array(steps, dtype=np.float32)


def is_number(cell: str) -> bool:
    """Return whether a cell is a finite number that fits 32 bits."""
    try:
        return abs(float(cell)) <= LARGEST_NUMBER  # NaN is not
    except ValueError:
        return False


def time_of(entry: tuple[int, list[str]], time: int, path: Path) -> float:
    """Return the time of a row.

    Raises:
        UserError: it is not a number.
    """
    number, row = entry
    if not is_number(row[time]):
        raise UserError(
            f"{printable(path)}: row {number:,} has time '{printable(row[time])}', which is not a number"
        )
    return float(row[time])
