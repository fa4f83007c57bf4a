"""The image files that are meant by what a person types, files and folders of them, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from cnntrain.errors import UserError, nearest
from cnntrain.image_folder.findings import heading
from cnntrain.image_folder.listing import split_images
from cnntrain.image_folder.opening import advice_for
from cnntrain.image_folder.walk import WalkResult, walk
from cnntrain.runs.run_folder import typed_path
from cnntrain.runtime.hardware import cores
from cnntrain.runtime.ranks import Reporter
from cnntrain.text import printable, some

T = TypeVar("T")
THREADS = 8  # that decode, at most


def files_of(names: Iterable[str], suffixes: tuple[str, ...] = ()) -> list[Path]:
    """Return the files that typed names mean; of a folder the images in it, as training looks into folders.

    A file that is named itself is among them whatever its extension. Linked folders are looked into, each
    once; links to nowhere are among the files. Hidden files, pipes and devices, and what cnntrain has written
    are not. What is left out of a folder is said in a line for each kind.

    Args:
        names: the names as typed.
        suffixes: the suffixes of the files that are meant in a folder, such as ``(".txt",)``; none: images.

    Raises:
        UserError: there is no such file or folder, it may not be read, a folder holds no image, or a file is
            a pipe or a device.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = typed_path(name)
        if not path.exists():
            near = nearest(path.name, (other.name for other in path.parent.glob("*")))
            meant = f": did you mean {printable(path.parent / near[0])}?" if near else ""
            raise UserError(f"there is no file or folder {printable(name)}{meant}")
        if not path.is_dir() and not path.is_file():
            raise UserError(f"{printable(name)} is not a regular file, but a pipe, a socket or a device")
        found.update(dict.fromkeys(images_in(path, name, suffixes) if path.is_dir() else [path]))
    return list(found)


def images_in(folder: Path, name: str, suffixes: tuple[str, ...] = ()) -> list[Path]:
    """Return the images below a folder, which is called by the name that was typed, and say what is left out.

    Raises:
        UserError: there are none.
    """
    there = WalkResult()
    files = walk(folder, "", there)
    if suffixes:
        images = [file for file in files if file.lower().endswith(suffixes)]
        others: list[str] = []
        if not images:
            raise UserError(f"the folder {printable(name)} holds no *{' or *'.join(suffixes)}")
    else:
        images, others = split_images(files)
    if there.denied and not images:
        raise UserError(f"the folder {printable(name)} may not be read")
    skipped = "; ".join([heading("others", others), *advice_for(others)]) if others else ""
    for kind in ("denied", "special", "loops", "runs"):
        if left_out := getattr(there, kind):
            Reporter.remark(f"warning: {printable(name)}: {heading(kind, left_out)}: {some(left_out)}")
    if not images:
        raise UserError(
            f"the folder {printable(name)} holds no {f'images: {skipped}' if skipped else 'files'}"
        )
    if skipped:
        Reporter.remark(f"warning: {printable(name)}: {skipped}")
    return sorted(folder / file for file in images)


def in_batches(
    files: Sequence[Path], size: int, read: Callable[[Path], T], ahead: bool = True
) -> Iterator[tuple[Sequence[Path], list[T]]]:
    """Yield files in batches, in order, with what was read of each; threads read the files of a batch.

    Args:
        files: all of them.
        size: the size of a batch.
        read: reads one file.
        ahead: read the next batch while the model is at one; else only when that one is out of memory.
    """
    batches = [files[first : first + size] for first in range(0, len(files), size)]
    with ThreadPoolExecutor(min(THREADS, cores())) as pool:
        reading = [pool.submit(read, file) for file in batches[0]] if batches else []
        for batch, following in zip(batches, [*batches[1:], []], strict=True):
            images = [future.result() for future in reading]
            reading = [pool.submit(read, file) for file in following] if ahead else []
            yield batch, images
            if not ahead:
                images.clear()
                reading = [pool.submit(read, file) for file in following]
