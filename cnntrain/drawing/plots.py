"""The figures of a report, written into its page as SVG and into ``plots/`` as PNG."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from cnntrain.drawing.html import panels
from cnntrain.drawing.style import png, svg


class Plots:
    """The folder ``plots/`` of a run.

    Args:
        folder: the folder of the figures, made when the first one is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def draw(self, name: str, figure: Figure, words: str) -> str:
        """Save a figure, and return it as a panel of a page.

        Args:
            name: the name of the file, without its extension.
            figure: the figure to draw.
            words: a description of it, for those who can't see it.
        """
        return panels([self.as_svg(name, figure, words)])

    def as_svg(self, name: str, figure: Figure, words: str) -> str:
        """Save a figure, and return it as an ``<svg>``."""
        drawn = svg(figure, words)
        self.save(name, figure)
        return drawn

    def save(self, name: str, figure: Figure) -> None:
        """Save a figure as PNG."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{name}.png").write_bytes(png(figure))
