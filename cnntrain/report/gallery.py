"""The images that a report shows: behind each cell of the confusion matrix, and the worst mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cnntrain.data.batches import raised
from cnntrain.data.images import InMemoryDataset
from cnntrain.data.streaming import StreamingDataset, batch_of
from cnntrain.report.data import Evaluated
from cnntrain.report.html import tile
from cnntrain.report.mosaic import Sprite, most_tiles
from cnntrain.tasks.classification.predictions import Verdicts
from cnntrain.text import printable

MOST, MOST_STREAMED = 1200, 300  # images; those that are streamed must be decoded once more
IN_CELL = 16
MISTAKES = 24


class Gallery:
    """Some images of an evaluation, as one sprite.

    Args:
        done: the evaluation.
        image_size: height and width of an image.
    """

    def __init__(self, done: Evaluated, image_size: int) -> None:
        dataset, verdicts = done.dataset, done.verdicts
        most = min(MOST if isinstance(dataset, InMemoryDataset) else MOST_STREAMED, most_tiles(image_size))
        worst = verdicts.mistakes(MISTAKES)
        cells = verdicts.in_cells(most, IN_CELL)
        shown = list(dict.fromkeys([*worst, *(index for some in cells.values() for index in some)]))
        place = {index: number for number, index in enumerate(shown)}
        self.verdicts = verdicts
        self.names = [printable(done.name_of(index)) for index in shown]
        self.shown = shown
        self.cells = {cell: [place[index] for index in some] for cell, some in cells.items()}
        self.mistakes = [place[index] for index in worst]
        self.sprite = Sprite(images_of(dataset, done.indices[shown]))

    def style(self) -> str:
        """Return the CSS that holds the sprite."""
        side, sprite = self.sprite.side, self.sprite
        rendering = "pixelated" if side < 64 else "auto"
        return (
            f".tile {{ --columns: {sprite.columns}; --rows: {sprite.rows}; image-rendering: {rendering};\n"
            f"  background-image: url({sprite.data_uri()}); }}\n"
        )

    def data(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return what the page's script knows: places in the sprite, probabilities and files."""
        return {
            "cells": {f"{truth},{said}": some for (truth, said), some in self.cells.items()},
            "images": [round(float(self.verdicts.confidence[index]), 4) for index in self.shown],
            "files": self.names,
            "columns": self.sprite.columns,
            "names": list(class_names),
        }

    def show_mistakes(self, class_names: Sequence[str]) -> str:
        """Return the most confident mistakes: true class, predicted class, its probability, and the file."""
        found = []
        for place in self.mistakes:
            index = self.shown[place]
            truth = class_names[int(self.verdicts.labels[index])]
            said = class_names[int(self.verdicts.predicted[index])]
            sure, name = f"{float(self.verdicts.confidence[index]):.1%}", self.names[place]
            image = tile(place, self.sprite.columns, f"{truth}, taken for {said} with {sure}: {name}")
            caption = (
                f'{escape(truth)} → {escape(said)}<br><span class="dim">{sure}</span>'
                f'<br><span class="file">{escape(name).replace("/", "/<wbr>")}</span>'
            )
            found.append(f'<figure class="image">{image}<figcaption>{caption}</figcaption></figure>')
        return f'<div class="images">{"".join(found)}</div>'


def images_of(dataset: InMemoryDataset | StreamingDataset, indices: Tensor) -> Tensor:
    """Return some images of a data set, uint8 (N, C, H, W), on the CPU."""
    places = indices.numpy().astype(np.int64)
    if isinstance(dataset, StreamingDataset):
        return batch_of(dataset, places)[0]
    return raised(dataset.__getitems__(places))[0].cpu()


def examples(verdicts: Verdicts, most: int) -> list[int]:
    """Return a few images of different classes, recognised ones first, to follow through the layers."""
    order = torch.arange(len(verdicts.labels))[(~verdicts.correct).int().argsort(stable=True)].tolist()
    by_class: dict[int, int] = {}
    for index in order:
        by_class.setdefault(int(verdicts.labels[index]), index)
    return list(by_class.values())[:most]
