"""The images that a report shows: behind each cell of the confusion matrix, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from cnntrain.drawing.html import tile
from cnntrain.drawing.mosaic import Sprite, most_tiles, style_of
from cnntrain.tasks.classification.predictions import ImagePredictions
from cnntrain.tasks.report import Evaluated
from cnntrain.text import printable

MOST, MOST_STREAMED = 1200, 300  # images; those that are streamed must be decoded once more
IN_CELL = 16
MISTAKES = 24


class Gallery:
    """Some images of an evaluation, as one sprite.

    Args:
        seen: the evaluation.
    """

    def __init__(self, seen: Evaluated) -> None:
        images, predictions = seen.images, seen.kept
        most = min(MOST_STREAMED if images.are_streamed else MOST, most_tiles(images.size))
        worst = predictions.mistakes(MISTAKES)
        cells = predictions.in_cells(most, IN_CELL)
        shown = list(dict.fromkeys([*worst, *(index for some in cells.values() for index in some)]))
        place = {index: number for number, index in enumerate(shown)}
        self.predictions: ImagePredictions = predictions
        self.names = [printable(images.name(index)) for index in shown]
        self.shown = shown
        self.cells = {cell: [place[index] for index in some] for cell, some in cells.items()}
        self.mistakes = [place[index] for index in worst]
        self.sprite = Sprite(images.load(shown))

    def style(self) -> str:
        """Return the CSS that holds the sprite."""
        return style_of(self.sprite)

    def data(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return what the page's script knows: places in the sprite, probabilities and files."""
        return {
            "cells": {f"{truth},{said}": some for (truth, said), some in self.cells.items()},
            "images": [round(float(self.predictions.confidence[index]), 4) for index in self.shown],
            "files": self.names,
            "columns": self.sprite.columns,
            "names": list(class_names),
        }

    def show_mistakes(self, class_names: Sequence[str]) -> str:
        """Return the most confident mistakes: true class, predicted class, its probability, and the file."""
        found = []
        for place in self.mistakes:
            index = self.shown[place]
            truth = class_names[int(self.predictions.labels[index])]
            said = class_names[int(self.predictions.predicted[index])]
            sure, name = f"{float(self.predictions.confidence[index]):.1%}", self.names[place]
            image = tile(place, self.sprite.columns, f"{truth}, taken for {said} with {sure}: {name}")
            caption = (
                f'{escape(truth)} → {escape(said)}<br><span class="dim">{sure}</span>'
                f'<br><span class="file">{escape(name).replace("/", "/<wbr>")}</span>'
            )
            found.append(f'<figure class="image">{image}<figcaption>{caption}</figcaption></figure>')
        return f'<div class="images">{"".join(found)}</div>'
