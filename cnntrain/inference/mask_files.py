"""Where masks, labels and overlays go: a folder of their own, in which each is named after its image."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cnntrain.drawing.masks import GREY, over, with_legend
from cnntrain.errors import UserError
from cnntrain.inference.prediction import folder_of
from cnntrain.runs.named_output import output_folder, save_bytes
from cnntrain.runs.run_folder import typed_path
from cnntrain.text import encoded, printable

MASKS, OVERLAYS, NAMES = "masks", "overlays", "classes.txt"
LISTED = 12  # classes in a legend


@dataclass(frozen=True)
class Writer:
    """Writes masks and overlays into a folder.

    Args:
        folder: it gets ``masks/`` and ``overlays/``.
        class_names: the class names of the model.
        palette: a colour for each label, uint8 (256, 3).
    """

    folder: Path
    class_names: Sequence[str]
    palette: np.ndarray

    def write(
        self, name: Path, mask: np.ndarray, shown: np.ndarray, shares: Sequence[tuple[str, float]]
    ) -> tuple[tuple[str, Path], ...]:
        """Write both files of an image, and return what they are and where."""
        image = Image.fromarray(mask)
        image.putpalette(self.palette.tobytes())
        wide, tall = shown.shape[1], shown.shape[0]
        small = np.asarray(Image.fromarray(mask).resize((wide, tall), Image.Resampling.NEAREST))
        numbers = {name: number for number, name in enumerate(self.class_names)}
        entries = [
            (tuple(map(int, self.palette[numbers[name]])), f"{name} {share:.1%}")
            for name, share in shares[:LISTED]
        ]
        if len(shares) > LISTED:
            entries.append((GREY, f"{len(shares) - LISTED} more"))
        picture = with_legend(Image.fromarray(over(shown, small, self.palette)), entries)
        paths = (("mask", self.folder / MASKS / name), ("overlay", self.folder / OVERLAYS / name))
        for (_, path), one in zip(paths, (image, picture), strict=True):
            save(path, one)
        return paths


def save(path: Path, image: Image.Image) -> None:
    """Write an image as PNG, see :func:`cnntrain.runs.named_output.save_bytes`."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    save_bytes(path, buffer.getvalue())


def names_of(files: Sequence[Path]) -> dict[Path, Path]:
    """Return the name of each file's mask: its own with .png, below the folder that holds all files."""
    folder, found, taken = folder_of(files), dict[Path, Path](), set[Path]()
    for file in files:
        below = Path(file.name) if folder is None else file.relative_to(folder)
        if ".." in below.parts:
            below = Path(file.name)
        name = free(below, taken)
        taken.add(name)
        found[file] = name
    return found


def free(name: Path, taken: set[Path]) -> Path:
    """Return the name of a mask that no other has: ``a.png``, ``a.jpg.png``, ``a.jpg_2.png`` and so on."""
    number, result = 1, name.with_suffix(".png")
    while result in taken:
        result = name.with_name(f"{name.name}{'' if number == 1 else f'_{number}'}.png")
        number += 1
    return result


@contextmanager
def new_folder(out: str | None, class_names: Iterable[str], part: str = MASKS) -> Iterator[Path]:
    """Make the folder for masks or labels, and overlays: ``out``, or a fresh one under outputs/predict/.

    The names of the classes are written into it, so that it can be read as data. It goes again if nothing was
    written.

    Args:
        out: the folder, as typed.
        class_names: the class names of the model.
        part: the folder in it that holds a file for each image.

    Raises:
        UserError: it can't be made, or holds such files already.
    """
    if out is not None:
        there = next((name for name in (part, OVERLAYS, NAMES) if (typed_path(out) / name).exists()), None)
        if there is not None:
            raise UserError(f"out={printable(out)} holds {there} already: choose another folder")
    with output_folder(out, "predict") as folder:
        yield folder
        if (folder / part).exists():
            write_names(folder / NAMES, class_names)


def write_names(path: Path, class_names: Iterable[str]) -> None:
    """Write the names of the classes, one a line."""
    save_bytes(path, encoded("".join(f"{name}\n" for name in class_names)))
