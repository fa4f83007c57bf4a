"""The files below a folder, each real folder once: what is a file, what is a link, what can't be read."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from cnntrain.runs.run_folder import OUTPUTS, POINTER
from cnntrain.text import expanded

KINDS_OF_OUTPUT = frozenset({"train", "sweeps", "explain", "bench"})  # the folders in outputs/


@dataclass
class WalkResult:
    """What a walk finds. All paths are relative to the folder in which the walks begin.

    Args:
        files: regular files, also by way of a link, and links to nowhere, in the order of their names.
        special: pipes, sockets and devices.
        links: folders that are links, and are looked into.
        loops: folders that are links to what is looked into anyway, and so are left out.
        denied: folders that may not be read.
        runs: folders that cnntrain has written: runs, sweeps and ``outputs/``.
    """

    files: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


def walk(root: Path, start: str, found: WalkResult) -> list[str]:
    """Return the files below a folder, those of a folder before those of its subfolders, both sorted.

    What else is there is noted in ``found``. Names that begin with a dot are passed over. A folder is looked
    into once, however many links lead there, so that links in a circle end; a folder itself goes before
    links to it.

    Args:
        root: the folder to which all paths are relative.
        start: the folder to look into, relative to it; empty for the root itself.
        found: what has been found so far; its files are added to, too.
    """
    files: list[str] = []
    links: list[str] = []
    todo = [start]
    seen = {identity(root / above) for above in Path(start).parents}
    while todo or links:
        # Links last, so that what is there without them keeps its own name.
        name = todo.pop() if todo else links.pop(0)
        where = root / name
        try:
            me = identity(where)
            if me in seen:
                found.loops.append(name)
                continue
            seen.add(me)
            if name != start and is_output(where):
                found.runs.append(name)
                continue
            with os.scandir(where) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            found.denied.append(name)
            continue
        if name and where.is_symlink():
            found.links.append(name)
        folders: list[str] = []
        for entry in inside:
            if entry.name.startswith("."):
                continue
            path = f"{name}/{entry.name}" if name else entry.name
            kind = kind_of(entry)
            if kind == "folder":
                (links if entry.is_symlink() else folders).append(path)
            elif kind == "file":
                files.append(path)
            else:
                found.special.append(path)
        todo += reversed(folders)
    found.files += files
    return files


def kind_of(entry: os.DirEntry[str]) -> str:
    """Return ``folder``, ``file`` or ``special``, after links; one to nowhere counts as a file, a bad one."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists()):
            return "file"
    except OSError:  # a link to itself, or into a folder that may not be read
        return "file"
    return "special"


def identity(folder: Path) -> tuple[int, int]:
    """Return the device and the inode of a folder, which identify it whatever its name."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def is_output(folder: Path) -> bool:
    """Return whether cnntrain has written a folder: a run, a sweep, or ``outputs/``.

    Their figures are images, and not ones to train on.
    """
    if (folder / "sweep.yaml").is_file():
        return True
    if (folder / "config.yaml").is_file():
        return any((folder / name).exists() for name in ("checkpoints", "train.log", "metrics.csv"))
    if (folder / "train.log").is_file() and (folder / ".lock").exists():  # a run that is about to begin
        return True
    if folder.name != OUTPUTS.name:
        return False
    try:
        names = {entry.name for entry in os.scandir(folder)}
    except OSError:
        return False
    return POINTER.name in names or (bool(names) and names <= KINDS_OF_OUTPUT | {"README.md", ".gitignore"})


def absolute(root: str | Path) -> Path:
    """Return a folder's path as it is from anywhere, ``~`` being home; links in it stay."""
    return expanded(root).absolute()
