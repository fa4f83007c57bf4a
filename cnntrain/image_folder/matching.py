"""The images of a run found again in a folder: by name and contents, or by contents alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cnntrain.errors import UserError
from cnntrain.image_folder.members import DIGITS, Member, RunSplit
from cnntrain.runtime.console import count
from cnntrain.text import printable, shown_path, some

if TYPE_CHECKING:
    from cnntrain.image_folder.inventory import Inventory


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
