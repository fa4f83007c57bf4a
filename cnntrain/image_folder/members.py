"""Which image of a folder trained, validated and tested in a run: recorded in its folder.

The record is ``split.csv.gz``: one row an image, in the order in which the run has them, of the part, the
class, the first 16 hexadecimal digits of the file's SHA-256, and the name relative to ``data.root``. A
million images take about 20 MB.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntrain.image_folder.layout import FOLDER
from cnntrain.runs.atomic import write_atomically
from cnntrain.runtime.regular_files import open_regular

if TYPE_CHECKING:
    from cnntrain.image_folder.inventory import Inventory

FILE = "split.csv.gz"
HEADING = ["part", "class", "sha256", "file"]
DIGITS = 16  # of the hash of each file, hexadecimal
UNUSED = "unused"  # left out of training by limit=
EVERY_PART = ("train", "val", "test", UNUSED)
LARGEST = 2**28  # bytes of a record, unpacked: four million images, and a bound for one that is not ours
BYTES = "surrogateescape"  # how names that are not UTF-8 are written


@dataclass(frozen=True)
class Member:
    """An image of a run.

    Args:
        part: ``train``, ``val``, ``test`` or ``unused``.
        class_name: its class; empty for an image with a mask.
        content: the first digits of its file's SHA-256.
        file: relative to ``data.root``.
    """

    part: str
    class_name: str
    content: str
    file: str


@dataclass(frozen=True)
class RunSplit:
    """What a command knows of the split of the run whose model it uses.

    Args:
        members: the run's record; None if it has none.
        is_by_index: the run chose by index, as runs did before there were records.
        binds: the folder is the run's: its members are taken as recorded. Else it is other data.
        needed: parts that must be there as they were, if the record binds.
        guarded: parts of other data that must hold no image that the run was trained on.
        otherwise: what a person can do who does not have a needed image any more.
    """

    members: list[Member] | None = None
    is_by_index: bool = False
    binds: bool = True
    needed: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()
    otherwise: str = ""

    def has_trained(self, inventory: Inventory) -> np.ndarray:
        """Return which images of a folder the run was trained on, by their contents, bool (N,)."""
        trained = [m.content.encode() for m in self.members or () if m.part == "train"]
        return np.isin(inventory.records["content"].astype(f"S{DIGITS}"), np.array(trained, f"S{DIGITS}"))


def pack(members: Sequence[Member]) -> bytes:
    """Return a record as the bytes of ``split.csv.gz``, the same for the same members."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)  # whose line ends, CR LF, have names that hold either quoted
    rows.writerow(HEADING)
    rows.writerows((m.part, m.class_name, m.content, m.file) for m in members)
    return gzip.compress(text.getvalue().encode("utf-8", BYTES), compresslevel=6, mtime=0)


def digest_of(record: bytes) -> str:
    """Return the SHA-256 of a run's record, which its checkpoints hold."""
    return hashlib.sha256(record).hexdigest()


def write(folder: Path, record: bytes) -> None:
    """Write the record of a run, packed, into its folder, atomically."""
    write_atomically(folder / FILE, record)


def read(folder: Path, digest: str) -> list[Member] | None:
    """Return the members of a run's split; None if its folder has no record, or not that of the checkpoint.

    Args:
        folder: the folder of the run.
        digest: the digest of the record, from the checkpoint.
    """
    try:
        with open_regular(folder / FILE) as stream:
            data = stream.read(LARGEST)
        if digest_of(data) != digest:
            return None
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(LARGEST + 1).decode("utf-8", BYTES)
        if len(text) > LARGEST:
            return None
        heading, *rows = csv.reader(io.StringIO(text, newline=""))
        members = [Member(*row) for row in rows]
    except (OSError, EOFError, ValueError, TypeError, csv.Error):
        return None
    fits = heading == HEADING and all(m.part in EVERY_PART and len(m.content) == DIGITS for m in members)
    return members if fits else None


def recorded_split(
    source: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    digest: object,
    run: Path | None,
    needed: tuple[str, ...] = (),
    other_data: bool = False,
    otherwise: str = "",
) -> RunSplit | None:
    """Return what is known about the split of a checkpoint's run.

    None stands for a new run, or for data that are no folder.

    Args:
        source: the data set of the command, ``data.source``.
        before: the data set of the run, likewise; None for a new run.
        digest: the digest of the run's record, from its checkpoint; anything else if there is none.
        run: its run folder, which has the record; None if there is none.
        needed: see :class:`RunSplit`.
        other_data: whether the user has named data again.
        otherwise: see :class:`RunSplit`.
    """
    if before is None or not source["_target_"] == before["_target_"] == FOLDER:  # the run has other data
        return None
    if not isinstance(digest, str):
        return RunSplit(is_by_index=not other_data, binds=not other_data)
    members = read(run, digest) if run is not None else None
    guarded = ("test", "val") if other_data else ()
    return RunSplit(members, binds=not other_data, needed=needed, guarded=guarded, otherwise=otherwise)
