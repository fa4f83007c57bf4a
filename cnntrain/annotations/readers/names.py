"""What the classes of a folder of annotations are called, and which colours they have: from its own files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnntrain.annotations.table import MOST_CLASSES, Color
from cnntrain.errors import UserError
from cnntrain.image_folder.listing import LONGEST_NAME
from cnntrain.runtime.regular_files import open_regular
from cnntrain.text import printable, shown_path

LABELMAP = "labelmap.txt"  # of CVAT: lines of NAME:R,G,B:PARTS:ACTIONS
YAML = ("data.yaml", "data.yml", "dataset.yaml")  # of Ultralytics: names as a list, or by their numbers
LISTS = ("classes.txt", "class_names.txt")  # a name a line; the second is labelme's
UNNAMED = "__ignore__"  # the first name in a list of labelme's, of what has no class
LARGEST = 2**20  # bytes of such a file


@dataclass
class ClassNames:
    """The classes that a folder's files name.

    Args:
        names: the names in the order of their labels.
        ids: the label of each id, where the files number the classes otherwise.
        colors: the label of each colour.
        file: the file that names them, relative to the folder; empty if there is none.
    """

    names: list[str] = field(default_factory=list)
    ids: dict[int, int] | None = None
    colors: dict[Color, int] = field(default_factory=dict)
    file: str = ""


def class_names(root: Path, files: Sequence[str] = (LABELMAP, *YAML, *LISTS)) -> ClassNames:
    """Return the classes that the files of a folder name: ``labelmap.txt``, ``data.yaml`` or ``classes.txt``.

    Args:
        root: the folder.
        files: the files that are looked for, in this order.

    Raises:
        UserError: such a file can't be read, or makes no sense.
    """
    for file, read in (
        (LABELMAP, of_labelmap),
        *((name, of_yaml) for name in YAML),
        *((name, of_list) for name in LISTS),
    ):
        path = root / file
        if file not in files or not path.is_file():
            continue
        found = read(path)
        found.names = [printable(name, LONGEST_NAME) for name in found.names]
        found.file = file
        check(found.names, path)
        return found
    return ClassNames()


def check(names: list[str], path: Path) -> None:
    """Raise a UserError unless there are names, each once, and not too many."""
    shown = shown_path(path)
    if not names:
        raise UserError(f"{shown} names no class")
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise UserError(f"{shown} names the class {twice} twice")
    if len(names) > MOST_CLASSES:
        raise UserError(f"{shown} names {len(names):,} classes, and masks have at most {MOST_CLASSES}")


def text_of(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UserError: it can't be read, or is not text.
    """
    try:
        with open_regular(path) as file:
            return file.read(LARGEST).decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{shown_path(path)} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{shown_path(path)} is not text in UTF-8") from error


def of_labelmap(path: Path) -> ClassNames:
    """Return names and colours of CVAT's ``labelmap.txt``."""
    found = ClassNames()
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, color, *_ = [*line.split(":"), ""]
        try:
            red, green, blue = map(int, color.split(","))
        except ValueError:
            red = green = blue = -1
        if not name.strip() or not all(0 <= part <= 255 for part in (red, green, blue)):
            raise UserError(
                f"{shown_path(path)}, line {number}: {printable(line, 60)} is not NAME:R,G,B::, with a "
                "colour of three numbers from 0 to 255"
            )
        if (red, green, blue) in found.colors:
            other = found.names[found.colors[red, green, blue]]
            raise UserError(
                f"{shown_path(path)}, line {number}: {printable(name, 60)} has the colour of "
                f"{printable(other, 60)}"
            )
        found.colors[red, green, blue] = len(found.names)
        found.names.append(name.strip())
    return found


def of_list(path: Path) -> ClassNames:
    """Return the names of a list with one a line."""
    lines = [line.strip() for line in text_of(path).splitlines()]
    return ClassNames([line for line in lines if line and line != UNNAMED])


def content_of_yaml(path: Path) -> dict[Any, Any]:
    """Return what a ``data.yaml`` says; nothing if that is not a mapping.

    Raises:
        UserError: it can't be read, or is not YAML.
    """
    import yaml

    try:
        content: Any = yaml.safe_load(text_of(path))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        first = printable(str(error).splitlines()[0])
        raise UserError(f"{shown_path(path)} is not YAML: {first}") from error
    return content if isinstance(content, dict) else {}


def of_yaml(path: Path) -> ClassNames:
    """Return the names in a ``data.yaml``; none if it has no ``names``."""
    names = content_of_yaml(path).get("names")
    if isinstance(names, list):
        return ClassNames([str(name) for name in names])
    if isinstance(names, dict) and all(isinstance(key, int) and key >= 0 for key in names):
        ids = sorted(names)
        labels = {key: label for label, key in enumerate(ids)}
        return ClassNames([str(names[key]) for key in ids], labels if ids != list(range(len(ids))) else None)
    raise UserError(f"{shown_path(path)} has no names of classes: names: [A, B] or names: {{0: A, 1: B}}")
