"""Which files of a folder are sequences: DIR/CLASS/* or DIR/{train,val,test}/CLASS/*."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cnntrain.errors import UserError, describe_error
from cnntrain.image_folder.layout import PARTS, class_names
from cnntrain.image_folder.walk import WalkResult, walk
from cnntrain.sequences.source import Sample
from cnntrain.text import expanded, printable, shown_path, some

SUFFIXES = {"series": (".csv",), "text": (".txt",)}  # of the files that are read, by the value of data.inputs
LARGEST = 2**26  # bytes of a file: 64 MB


def is_table(root: str) -> bool:
    """Return whether ``data.root`` is one CSV file, rather than a folder."""
    path = expanded(root)
    return path.is_file() and path.suffix.lower() == ".csv"


def samples_in(root: str, suffixes: tuple[str, ...]) -> list[Sample]:
    """Return the files below a folder whose names end so, with their contents, in the order of their names.

    Args:
        root: the folder.
        suffixes: such as ``(".csv",)``, in small letters.

    Raises:
        UserError: there is no such folder, it holds no class folders, or a file can't be read.
    """
    folder, shown = expanded(root), printable(shown_path(root))
    kinds = " or ".join(f"*{suffix}" for suffix in suffixes)
    layout = f"it takes DIR/CLASS/{kinds} or DIR/{{train,val,test}}/CLASS/{kinds}"
    if not folder.is_dir():
        raise UserError(f"data.root={shown}: there is no such folder; {layout}")
    samples: list[Sample] = []
    for part, name in classes_in(folder):
        files = [file for file in walk(folder, name, WalkResult()) if file.lower().endswith(suffixes)]
        label = Path(name).name
        samples += [Sample(file, label, part, contents(folder / file)) for file in files]
    if not samples:
        raise UserError(f"data.root={shown} holds no files of this kind: {layout}{other_kind(root)}")
    classes = {sample.label for sample in samples}
    if len(classes) < 2:
        raise UserError(f"data.root={shown} has a single class, {some(classes)}: it takes two; {layout}")
    return samples


def classes_in(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the part and the folder of each class, the latter relative to the folder."""
    top = class_names(folder)
    has_parts = any(PARTS.get(name.lower()) == "train" and class_names(folder / name) for name in top)
    for name in top:
        if not has_parts:
            yield "", name
        elif name.lower() in PARTS:
            yield from ((PARTS[name.lower()], f"{name}/{own}") for own in class_names(folder / name))


def inputs_in(root: str) -> str:
    """Return ``series`` or ``text`` if all files in the class folders of a folder are such; "" otherwise."""
    folder, kinds, is_empty = expanded(root), list(SUFFIXES), True
    for _, name in classes_in(folder):
        files = [file.lower() for file in walk(folder, name, WalkResult())]
        kinds = [kind for kind in kinds if all(file.endswith(SUFFIXES[kind]) for file in files)]
        is_empty = is_empty and not files
        if not kinds:  # which the first class tells of a folder of images
            return ""
    return "" if is_empty else kinds[0]


def other_kind(root: str) -> str:
    """Return which data read a folder whose files are of another kind than was asked for; "" if none do."""
    from cnntrain.image_folder.listing import is_image  # and with it Pillow, which most runs do without

    if inputs := inputs_in(root):
        return f"; its files are {inputs}: data={inputs}_folder"
    folder = expanded(root)
    files = (file for _, name in classes_in(folder) for file in walk(folder, name, WalkResult()))
    return "; its files are images: data=folder" if any(map(is_image, files)) else ""


def contents(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        UserError: it is empty, too large, or can't be read.
    """
    try:
        with path.open("rb") as file:
            found = file.read(LARGEST + 1)
    except OSError as error:
        raise UserError(f"{printable(path)} can't be read: {describe_error(error)}") from error
    if not found:
        raise UserError(f"{printable(path)} is empty")
    if len(found) > LARGEST:
        raise UserError(f"{printable(path)} is too large: a file may have {LARGEST // 2**20} MB")
    return found


def decoded(content: bytes, name: str) -> str:
    """Return a file's text.

    Raises:
        UserError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{printable(name)} is not UTF-8: byte {error.start:,} is 0x{content[error.start]:02x}; "
            "convert it first"
        ) from error
