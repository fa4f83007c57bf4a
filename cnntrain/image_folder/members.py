"""Which image of a folder trained, validated and tested in a run: recorded in its folder, and found again.

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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnntrain.errors import UserError
from cnntrain.image_folder.layout import FOLDER
from cnntrain.runs.atomic import write_atomically
from cnntrain.runtime.console import count
from cnntrain.runtime.regular_files import open_regular
from cnntrain.text import printable, shown_path, some

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
        guarded: parts of other data in which no image may be that the run was trained on.
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


@dataclass
class MatchedMembers:
    """The images of a run among those of a folder as it is now.

    Args:
        members: the members of the run.
        places: their places in the inventory, int64 (N,); -1 for an image that is not there, or has changed.
        total: files in the inventory.
        added: files of the folder that the run did not have.
        removed: places in ``members`` of files that are gone.
        changed: places in ``members`` of files that have other contents.
        crossed: places in ``members`` of training images that lie in the folder's ``test/`` now.
    """

    members: list[Member]
    places: np.ndarray
    total: int
    added: list[str] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)
    crossed: list[int] = field(default_factory=list)

    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what each image of the folder did in the run, and the run's order.

        Returns:
            The parts, (files of the folder,), empty for those that the run did not have; and the indices of
            the run's images, in its order, int64.
        """
        parts = np.full(self.total, "", dtype="U6")
        there = self.places >= 0
        parts[self.places[there]] = np.array([member.part for member in self.members])[there]
        return parts, self.places[there]

    def missing(self, parts: Sequence[str]) -> list[str]:
        """Return the files of some parts of the run that are gone or have changed."""
        lost = sorted([*self.removed, *self.changed])
        return [self.members[place].file for place in lost if self.members[place].part in parts]

    def in_words(self) -> str:
        """Return how many files were added, removed, changed and moved across; empty if none were."""
        names = [[self.members[place].file for place in lost] for lost in (self.removed, self.changed)]
        changes = [
            f"{len(files):,} {what} ({some(files)})"
            for files, what in zip([self.added, *names], ("added", "removed", "changed"), strict=True)
            if files
        ]
        if self.crossed:
            files = [self.members[place].file for place in self.crossed]
            changes.append(
                f"{count(len(files), 'training image')} of the run now in the test part, and not tested on "
                f"({some(files)})"
            )
        return "; ".join(changes)


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


def match_members(inventory: Inventory, parts: np.ndarray, members: Sequence[Member]) -> MatchedMembers:
    """Find the images of a run in a folder: by name and contents, else by contents alone, within the class.

    Args:
        inventory: the inventory of the folder.
        parts: the parts of its images as the folder has them now, from :meth:`Inventory.parts`.
        members: the members of the run.
    """
    listing = inventory.listing
    own_test = (
        np.array(listing.parts) == "test"
    )  # a test part that is chosen here is not taken: the record is
    contents = [content[:DIGITS].decode() for content in inventory.records["content"].tolist()]
    by_name = {file: place for place, file in enumerate(listing.files)}
    known = {member.file for member in members}
    renamed: dict[tuple[str, str], list[int]] = {}
    for place in np.flatnonzero(inventory.readable).tolist():
        if listing.files[place] not in known:
            key = (inventory.class_of(place), contents[place])
            renamed.setdefault(key, []).append(place)
    found = MatchedMembers(list(members), np.full(len(members), -1), len(listing.files))
    for number, member in enumerate(members):
        place = by_name.get(member.file, -1)
        same_class = place >= 0 and inventory.class_of(place) == member.class_name
        if same_class and contents[place] == member.content:
            found.places[number] = place
        elif others := renamed.get((member.class_name, member.content)):
            found.places[number] = others.pop(0)
        else:
            (found.changed if place >= 0 else found.removed).append(number)
    mine = set(found.places.tolist())
    found.added = [
        file
        for place, file in enumerate(listing.files)
        if place not in mine and file not in known and parts[place]
    ]
    tested = {contents[place] for place in np.flatnonzero((parts == "test") & own_test).tolist()}
    tested -= {member.content for member in members if member.part == "test"}  # copies from the beginning
    found.crossed = [n for n, m in enumerate(members) if m.part == "train" and m.content in tested]
    return found


def check_there(found: MatchedMembers, split: RunSplit, root: str) -> None:
    """Check that the images of the parts that a command needs are there, with the contents that they had.

    Raises:
        UserError: they are not.
    """
    needed = split.needed
    missing = found.missing(needed)
    if not missing:
        return
    which = f"{needed[0]} images" if len(needed) == 1 else "images"
    total = sum(member.part in needed for member in found.members)
    shown = printable(shown_path(root))
    raise UserError(
        f"data.root={shown}: {len(missing):,} of the run's {total:,} {which} are gone or changed "
        f"({some(missing)})\nsince the run: {found.in_words()}; put them back"
        + (f", or {split.otherwise}" if split.otherwise else "")
    )


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
