"""Reading the plain files of a run or a sweep: JSON, YAML, CSV and one line of text, within bounds.

They lie in folders that may come from anywhere. A reader here takes time and memory in proportion to the
file, and raises nothing but OSError and ValueError, the latter with a reason in a line. No torch.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from pathlib import Path
from typing import Any

from cnntrain.runtime.regular_files import NotRegular, open_regular
from cnntrain.text import printable

LARGEST = 2**26  # bytes: summary.json of 1,000 classes has 2**23
LARGEST_YAML = 2**23  # bytes, which take a minute to parse
LONGEST_LINE = 2**13
DEEPEST = 32  # levels of nesting
LARGEST_NUMBER = 2**64


def read_bytes(path: Path, largest: int = LARGEST) -> bytes:
    """Read a file.

    Raises:
        ValueError: it is no regular file, which may have no end, or larger than a run's files are.
        OSError: it can't be read.
    """
    try:
        file = open_regular(path)
    except NotRegular as error:
        raise ValueError(f"it is {error}") from error
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > largest:
            raise ValueError(f"it has {size:,} bytes, and {largest:,} are possible")
        return file.read(largest)


def read_csv(path: Path) -> list[dict[str, str]]:
    """Read a CSV file with a line of headings; what a row lacks is empty.

    Raises:
        ValueError: it is no such file.
        OSError: it can't be read.
    """
    text = read_bytes(path).decode("utf-8")
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), restval=""))
    except csv.Error as error:
        raise ValueError(printable(error)) from error
    if any(None in row for row in rows):
        raise ValueError("it has rows of more columns than headings")
    return rows


def read_json(path: Path) -> Any:
    """Read a JSON file whose numbers are finite.

    Raises:
        ValueError: it is no such file.
        OSError: it can't be read.
    """
    data = read_bytes(path)
    try:
        value = json.loads(data, parse_float=finite, parse_int=whole, parse_constant=finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    check_depth(value)
    return value


def read_yaml(path: Path) -> Any:
    """Read a YAML file of plain types, without anchors: no file of cnntrain's has any.

    Raises:
        ValueError: it is no such file.
        OSError: it can't be read.
    """
    import yaml

    class PlainLoader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise ValueError("it has anchors and aliases, as no file of cnntrain's has")
            return super().compose_node(parent, index)

    try:
        value = yaml.load(read_bytes(path, LARGEST_YAML), PlainLoader)
    except yaml.YAMLError as error:
        raise ValueError(printable(" ".join(str(error).split()), 300)) from error
    except (RecursionError, AttributeError, TypeError) as error:  # what hostile tags and keys lead to
        raise ValueError("it is nested too deeply, or not YAML of cnntrain's") from error
    check_depth(value)
    return value


def read_line(path: Path) -> str:
    """Read a file of a single line.

    Raises:
        ValueError: it is no such file.
        OSError: it can't be read.
    """
    text = read_bytes(path, LONGEST_LINE).decode("utf-8", "surrogateescape").strip()
    if "\0" in text or "\n" in text or not text:
        raise ValueError("it is not one line of text")
    return text


def finite(text: str) -> float:
    """Return a number that is neither NaN nor infinite, such as ``1e400``."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{printable(text, 40)} is not a finite number")
    return value


def whole(text: str) -> int:
    """Return a whole number of up to 64 bits."""
    value = int(text) if len(text) < 30 else LARGEST_NUMBER + 1
    if abs(value) > LARGEST_NUMBER:
        raise ValueError(f"{printable(text, 40)} is too large a number")
    return value


def check_depth(value: Any) -> None:
    """Raise a ValueError if containers are nested more deeply than any of a run's files."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        level = [
            item
            for node in level
            if isinstance(node, dict | list)
            for item in (node.values() if isinstance(node, dict) else node)
        ]
