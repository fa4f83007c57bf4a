"""Every mask's file of a folder read once: its size and how often each value occurs. Kept in the cache.

A file is read again unless its length, times and inode are those recorded, as that of an image is.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cnntrain.annotations.mask_file import NO_CLASS, Pixels, read_pixels
from cnntrain.image_folder.opening import Decoding, UnreadableImage
from cnntrain.image_folder.scan import content_hash, identity, reason
from cnntrain.runs import cache_dir
from cnntrain.runtime.hardware import cores
from cnntrain.runtime.regular_files import open_regular

FORMAT = 1  # of the records; those of another one are never found
MOST_VALUES = 512  # distinct ones of a mask that are kept, the commonest
FACTS = np.dtype(
    [
        *(("length", "i8"), ("modified", "i8"), ("changed", "i8"), ("inode", "u8")),  # see scan.RECORD
        ("content", "S32"),  # hash of the file's bytes, as hexadecimal digits
        ("width", "i4"),
        ("height", "i4"),
        ("mode", "U8"),
        ("are_colors", "?"),
        ("is_lossy", "?"),
        ("is_turned", "?"),  # by its own EXIF data
        ("distinct", "i8"),  # values that occur
        ("error", "U120"),  # why it can't be read; empty if it can
    ]
)
VALUE = np.dtype([("value", "i4"), ("color", "i4"), ("count", "i8")])  # of a palette's index, and pixels


@dataclass
class MaskRecord:
    """What is known of a mask's file.

    Args:
        facts: (), of dtype ``FACTS``.
        values: the commonest, (M,), of dtype ``VALUE``; ``color`` is -1 unless a palette says which it is.
    """

    facts: np.ndarray
    values: np.ndarray

    @property
    def error(self) -> str:
        """Why it can't be read; empty if it can."""
        return str(self.facts["error"])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return int(self.facts["width"]), int(self.facts["height"])

    @property
    def pixels(self) -> int:
        """The number of its pixels."""
        return self.size[0] * self.size[1]


def scan(
    root: Path, files: Sequence[str], advance: Callable[[int], object], decoding: Decoding
) -> list[MaskRecord]:
    """Return a record of each mask, in the order of the files.

    Args:
        root: the folder.
        files: the files, relative to the root.
        advance: called with the number of files done.
        decoding: the bounds of decoding.
    """
    own = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]
    store = cache_dir.folder() / "folders" / f"{own}.masks.npz"
    known = read(store)
    found: dict[str, MaskRecord] = {}
    for name in files:
        old = known.get(name)
        if old is not None and is_as_it_was(root / name, old) and old.pixels <= decoding.most:
            found[name] = old
    todo = [name for name in files if name not in found]
    advance(len(files) - len(todo))
    pool = ThreadPoolExecutor(cores())  # threads suffice: Pillow decodes without Python's lock
    try:
        for name, record in zip(
            todo, pool.map(lambda name: measured(root / name, decoding), todo), strict=True
        ):
            found[name] = record
            advance(1)
    finally:  # after Ctrl-C, too, what has been read need not be read again
        pool.shutdown(cancel_futures=True)
        if found:
            write(store, found)
    return [found[name] for name in files]


def is_as_it_was(path: Path, record: MaskRecord) -> bool:
    """Return whether a file could be read and has not changed since."""
    try:
        now = identity(path.stat())
    except OSError:
        return False
    return not record.error and all(record.facts[fact] == value for fact, value in now.items())


def measured(path: Path, decoding: Decoding) -> MaskRecord:
    """Return the record of one file."""
    facts, values = np.zeros((), FACTS), np.zeros(0, VALUE)
    try:
        for fact, value in identity(path.stat()).items():
            facts[fact] = value
        pixels = read_pixels(path, decoding)
        facts["height"], facts["width"] = pixels.values.shape
        facts["mode"], facts["are_colors"] = pixels.mode, pixels.are_colors
        facts["is_lossy"], facts["is_turned"] = pixels.is_lossy, pixels.is_turned
        facts["distinct"], values = counted(pixels)
        facts["content"] = content_hash(path)
    except (UnreadableImage, OSError) as error:
        facts["error"] = reason(error)
    return MaskRecord(facts, values)


def counted(pixels: Pixels) -> tuple[int, np.ndarray]:
    """Return how many distinct values there are, and the commonest, of dtype ``VALUE``, by their values."""
    if pixels.values.dtype == np.uint8:
        every = np.bincount(pixels.values.ravel(), minlength=256)
        values = np.flatnonzero(every)
        counts = every[values]
    else:
        values, counts = np.unique(pixels.values, return_counts=True)
    kept = np.sort(np.argsort(-counts, kind="stable")[:MOST_VALUES])
    result = np.zeros(len(kept), VALUE)
    result["value"], result["count"] = values[kept], counts[kept]
    result["color"] = [pixels.palette.get(int(value), NO_CLASS) for value in values[kept]]
    return len(values), result


def write(store: Path, found: dict[str, MaskRecord]) -> None:
    """Write the records of a folder into the cache."""
    contents = {
        "format": np.array(FORMAT),
        "names": np.array(list(found)),
        "facts": np.array([record.facts for record in found.values()], FACTS),
        "lengths": np.array([len(record.values) for record in found.values()]),
        "values": np.concatenate([record.values for record in found.values()]),
    }
    cache_dir.write(store, lambda file: np.savez_compressed(file, **contents))  # type: ignore[arg-type]


def read(store: Path) -> dict[str, MaskRecord]:
    """Return the records of a cache file by the names of the masks; none if it is missing or damaged."""
    try:
        with open_regular(store) as file, np.load(file, allow_pickle=False) as contents:
            facts, values = contents["facts"], contents["values"]
            if int(contents["format"]) != FORMAT or facts.dtype != FACTS or values.dtype != VALUE:
                return {}
            parts = np.split(values, np.cumsum(contents["lengths"])[:-1])
            rows = zip(map(str, contents["names"]), facts, parts, strict=True)
            return {name: MaskRecord(of, own) for name, of, own in rows}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
