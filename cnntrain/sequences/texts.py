"""Texts with classes: ``data=text_folder data.root=DIR``, or a table, ``data.root=FILE.csv``."""

from __future__ import annotations

from pathlib import Path

from cnntrain.errors import UserError
from cnntrain.sequences.layout import contents, decoded
from cnntrain.sequences.on_disk import OnDisk
from cnntrain.sequences.source import Sample
from cnntrain.sequences.table import column, part_of, rows_of
from cnntrain.text import printable

COLUMNS = "a table has text and label, and if need be part"


class TextFolder(OnDisk):
    """A file ``*.txt`` in UTF-8 for each text, below a folder for each class; or a table of texts.

    A table has the columns ``text`` and ``label``; ``part``, if it has that, says ``train``, ``val`` or
    ``test``. The arguments are those of :class:`cnntrain.sequences.on_disk.OnDisk`.
    """

    inputs = "text"

    def value(self, sample: Sample) -> str:
        """Return a text."""
        return text_of(sample.content, sample.name)

    @staticmethod
    def samples_of_table(path: Path) -> list[Sample]:
        """Return the texts of a table in its order.

        Raises:
            UserError: a column is missing.
        """
        names, rows = rows_of(contents(path), path)
        texts, labels = (column(names, name, path, COLUMNS) for name in ("text", "label"))
        part = names.index("part") if "part" in names else None
        return [
            Sample(
                f"{path.name}, row {number:,}",
                row[labels],
                part_of(row, part, number, path),
                row[texts].encode(),
            )
            for number, row in rows
        ]


def text_of(content: bytes, name: str) -> str:
    """Return the text of a file.

    Raises:
        UserError: it is not UTF-8, or nothing but blanks.
    """
    text = decoded(content, name)
    if not text.strip():
        raise UserError(f"{printable(name)} holds no text")
    return text
