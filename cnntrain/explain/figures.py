"""Figures as PNG files in a folder of their own, drawn by matplotlib without a window."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnntrain.checkpoint import write_atomically
from cnntrain.errors import RunFailed
from cnntrain.parts import Config
from cnntrain.run_folder import OUTPUTS, claim, discard_if_unused, make_folder, typed_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def new_folder(config: Config, topic: str) -> Iterator[Path]:
    """Make the folder for the files of a topic: ``out``, or a fresh one under outputs/explain/.

    It goes again if nothing was drawn, because of a mistake or Ctrl-C.
    """
    if config["out"] is None:
        folder = claim(OUTPUTS / "explain", topic)
    else:
        folder = typed_path(config["out"])
        make_folder(folder)
    try:
        yield folder
    except BaseException:
        discard_if_unused(folder)
        raise


def figure(width: float, height: float) -> Figure:
    """Return an empty figure, its size in inches."""
    from matplotlib.figure import Figure  # which takes half a second

    return Figure(figsize=(width, height), layout="constrained")


def lines(named: Mapping[str, Sequence[float]], x: Sequence[float], **labels: str) -> tuple[Figure, Any]:
    """Return a figure with one line for each name, and its axes.

    Args:
        named: the values of each line.
        x: where they stand.
        labels: ``title``, ``xlabel`` and ``ylabel``.
    """
    drawn = figure(7, 4)
    axes = drawn.add_subplot()
    is_dense = len(x) > 50  # where dashes would only add to the noise
    styles = ["-"] * len(named) if is_dense else ["-", "--", "-.", ":"] * len(named)
    for (name, values), style in zip(named.items(), styles, strict=False):
        axes.plot(x, values, style, label=name, linewidth=1.0 if is_dense else 1.8)
    axes.set(**labels)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return drawn, axes


def save(drawn: Figure, path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        RunFailed: it can't be written, because the disk is full, say.
    """
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=150)
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise RunFailed(f"{path} can't be written: {error.strerror or error}") from error
