"""A folder of images: which class, and which part of the data, each file belongs to. Opens no file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from cnntrain.errors import UserError
from cnntrain.image_folder.layout import (
    LAYOUT,
    PARTS,
    check_no_parts,
    class_names,
    is_folder,
    parts_of,
    subfolders,
)
from cnntrain.image_folder.opening import suffixes
from cnntrain.image_folder.walk import WalkResult, absolute, is_output, walk
from cnntrain.text import printable, some

LONGEST_NAME = 1000  # of a class, with its control characters written out
SYSTEM_FILES = ("thumbs.db", "desktop.ini", "icon\r")  # of file managers


@dataclass
class Listing:
    """The images below a folder, in the order of their names.

    Args:
        root: the folder.
        classes: names, printable and sorted; those of the training part if there are parts.
        files: the files of the images, relative to the root.
        labels: the class of each, as an index into ``classes``.
        parts: ``train``, ``val`` or ``test`` for each; empty strings if the folder has no parts.
        empty: folders that would be classes, but hold no image.
        others: files in class folders that are not images by their extension.
        loose: images that lie in no class folder.
        hidden: folders whose names begin with ``.`` or ``__``, which are not classes.
        unused: folders beside ``train`` whose names are not those of a part.
        found: links, pipes, folders that may not be read, and runs.
    """

    root: Path
    classes: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    found: WalkResult = field(default_factory=WalkResult)


def list_folder(root: str | Path) -> Listing:
    """Find the classes and the images of a folder. Hidden and empty folders are no classes.

    Raises:
        UserError: there is no such folder, it may not be read, it holds fewer than two classes, its class
            folders look like parts, or a part has a class that the training part does not have.
    """
    folder, shown = absolute(root), printable(root)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise UserError(f"data.root={shown} {what}: give the folder that holds the images; {LAYOUT}")
    try:
        listing = Listing(folder)
        top = class_folders(listing, "")
    except PermissionError as error:
        raise UserError(f"data.root={shown} may not be read: {error.strerror}") from error
    parts = parts_of(folder, top, shown)
    if parts:
        listing.unused = [name for name in top if name not in parts]
    else:
        check_no_parts(folder, top, shown)
    found: dict[tuple[str, str], list[str]] = {}
    # The training part first, since it says what the classes are.
    for name in sorted(parts, key=lambda name: list(PARTS).index(name.lower())) or [""]:
        try:
            names = class_folders(listing, name) if name else top
        except PermissionError:
            listing.found.denied.append(name)
            continue
        for class_name in names:
            files = images(listing, f"{name}/{class_name}" if name else class_name)
            if files:
                found.setdefault((parts.get(name, ""), class_name), []).extend(files)
    assign_labels(listing, found, shown)
    return listing


def assign_labels(listing: Listing, found: dict[tuple[str, str], list[str]], shown: str) -> None:
    """Set the classes of a listing, and the files, labels and parts of its images.

    Args:
        listing: the listing to fill.
        found: the files of each part and class folder.
        shown: the root, printable.
    """
    names = sorted(name for part, name in found if part in ("", "train"))
    if len(names) < 2:
        raise UserError(f"data.root={shown} {why_too_few(listing, names, shown)}")
    listing.classes = [printable(name, LONGEST_NAME) for name in names]
    twice = next((one for one, other in pairwise(sorted(listing.classes)) if one == other), None)
    if twice is not None:
        raise UserError(f"data.root={shown}: two class folders are both shown as {twice}: rename one of them")
    index = {name: place for place, name in enumerate(names)}
    for (part, name), files in found.items():
        if name not in index:
            raise UserError(
                f"{shown}/{printable(files[0].rpartition('/')[0])}: the training part has no class "
                f"{printable(name)}, only {some(listing.classes)}: "
                f"{explain_lookalike(name, names) or 'rename it'}"
            )
        listing.files += files
        listing.labels += [index[name]] * len(files)
        listing.parts += [part] * len(files)


def why_too_few(listing: Listing, names: list[str], shown: str) -> str:
    """Return why a folder is not one of at least two classes, and where they may be."""
    text = (
        f"contains {'no class folder' if not names else f'only 1 class folder, {printable(names[0])},'} with "
        "images, and training takes at least two classes"
    )
    if listing.found.denied:
        return f"{text}; folders that may not be read: {some(listing.found.denied)}"
    inner = [name for name in class_names(listing.root) if len(class_names(listing.root / name)) > 1]
    if len(inner) == 1 and not any(name.lower() in PARTS for name in inner):
        return f"{text}: are they in data.root={shown}/{printable(inner[0])}?"
    return f"{text}: {LAYOUT}"


def explain_lookalike(name: str, others: Iterable[str]) -> str:
    """Return what distinguishes a name from another that looks the same; empty if there is none."""
    import unicodedata

    for other in others:
        if name != other and unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other):
            forms = [f"{len(n)} characters" for n in (name, other)]
            return (
                f"its accents are encoded in another way than those of the training part's "
                f"{printable(other)} (Unicode NFC and NFD: {forms[0]} and {forms[1]}); rename one of them"
            )
        if name != other and name.strip() == other.strip():
            return f"{name!r} and {other!r} differ in blanks at their ends: rename one of them"
        if name != other and name.lower() == other.lower():
            return f"{printable(other)} differs in upper and lower case: rename one of them"
    return ""


def class_folders(listing: Listing, name: str) -> list[str]:
    """Return the folders in a listed folder that may be classes, and note what else lies there."""
    names, hidden = subfolders(listing.root / name)
    prefix = f"{name}/" if name else ""
    listing.hidden += [prefix + other for other in hidden]
    listing.loose += [prefix + other for other in loose_images(listing.root / name)]
    classes = []
    for other in names:
        try:
            mine = is_output(listing.root / name / other)
        except OSError:  # which is found to be denied when it is looked into
            mine = False
        if mine:
            listing.found.runs.append(prefix + other)
        else:
            classes.append(other)
    return classes


def loose_images(folder: Path) -> list[str]:
    """Return the names of the images that lie beside the class folders, sorted."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if not e.name.startswith(".") and not is_folder(e)]
    return sorted(name for name in names if is_image(name))


def is_image(name: str) -> bool:
    """Return whether a file is an image by its extension."""
    return f".{name.rpartition('.')[2].lower()}" in suffixes()


def split_images(files: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the images among files, and the others, without what file managers leave in folders."""
    chosen: list[str] = []
    others: list[str] = []
    for file in files:
        (chosen if is_image(file.rpartition("/")[2]) else others).append(file)
    return chosen, [other for other in others if other.rpartition("/")[2].lower() not in SYSTEM_FILES]


def images(listing: Listing, name: str) -> list[str]:
    """Return the images below a class folder, relative to the root.

    The other files are noted in the listing, and the folder itself if it holds no image.
    """
    before = len(listing.found.loops), len(listing.found.denied)
    chosen, others = split_images(walk(listing.root, name, listing.found))
    listing.others += others
    if not chosen and name not in (*listing.found.loops[before[0] :], *listing.found.denied[before[1] :]):
        listing.empty.append(name)
    return chosen
