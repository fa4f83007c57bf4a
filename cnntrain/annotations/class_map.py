"""The label that each value of a mask's pixels stands for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cnntrain.annotations.mask_file import HIGHEST, NO_CLASS, Pixels, packed, unpacked
from cnntrain.annotations.mask_scan import MaskRecord
from cnntrain.annotations.regions import IGNORED


@dataclass(frozen=True)
class ClassMap:
    """The labels of the values of masks.

    Args:
        num_classes: labels go from 0 to below it.
        ignore: the id of pixels that have no class.
        ids: the labels of ids, all others being ignored; None: each id is its own label.
        colors: the labels of packed colours; None or empty: greys are ids, and no colour has a class.
    """

    num_classes: int
    ignore: int = IGNORED
    ids: Mapping[int, int] | None = None
    colors: Mapping[int, int] | None = None

    def label_of(self, value: int) -> int:
        """Return the label of an id, or ``NO_CLASS``."""
        if self.ids is not None:
            return self.ids.get(value, IGNORED)
        if value == self.ignore:
            return IGNORED
        return value if value < self.num_classes else NO_CLASS

    def label_of_color(self, value: int) -> int:
        """Return the label of a packed colour, or ``NO_CLASS``."""
        if self.colors:
            return self.colors.get(value, NO_CLASS)
        red, green, blue = unpacked(value)
        return self.label_of(red) if red == green == blue else NO_CLASS

    def label_in_palette(self, value: int, color: int) -> int:
        """Return the label of an index whose colour in the palette is given: by the colour, if that is known.

        Programs that save a palette again may number its colours again.
        """
        if self.colors and color in self.colors:
            return self.colors[color]
        return self.label_of(value)

    def labels(self, pixels: Pixels) -> np.ndarray:
        """Return the labels of a mask's pixels, uint8 (H, W); what has no class is ignored."""
        if pixels.are_colors:
            table = self.color_table
        elif pixels.palette and self.colors:
            colors = [pixels.palette.get(value, NO_CLASS) for value in range(256)]
            table = filled({value: self.label_in_palette(value, color) for value, color in enumerate(colors)})
        else:
            table = self.id_table
        labels: np.ndarray = table[pixels.values]
        return labels

    def counts(self, record: MaskRecord) -> tuple[np.ndarray, dict[int, int]]:
        """Return what the pixels of a mask are, from the record of its file.

        Returns:
            The pixels of each label, int64 (256,), those of ``IGNORED`` at its place; and the pixels of each
            value that has no class, the commonest first.
        """
        counts, unknown = np.zeros(IGNORED + 1, np.int64), {}
        for value, color, number in record.values.tolist():
            if record.facts["are_colors"]:
                label = self.label_of_color(value)
            else:
                label = self.label_in_palette(value, color)
            if label == NO_CLASS:
                unknown[value] = number
            counts[IGNORED if label == NO_CLASS else label] += number
        counts[IGNORED] += record.pixels - int(record.values["count"].sum())  # of values that are not kept
        return counts, dict(sorted(unknown.items(), key=lambda item: -item[1]))

    @cached_property
    def id_table(self) -> np.ndarray:
        """The label of each id, uint8 (HIGHEST + 1,)."""
        known = [*range(IGNORED + 1), *(self.ids or ()), self.ignore]
        return filled({value: self.label_of(value) for value in known}, HIGHEST + 1)

    @cached_property
    def color_table(self) -> np.ndarray:
        """The label of each packed colour, uint8 (HIGHEST,)."""
        known: Iterable[int] = self.colors or [packed((grey, grey, grey)) for grey in range(256)]
        return filled({value: self.label_of_color(value) for value in known}, HIGHEST)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a worker needs: it fills its own tables."""
        return {name: value for name, value in vars(self).items() if not name.endswith("_table")}


def filled(known: Mapping[int, int], size: int = 256) -> np.ndarray:
    """Return a table of the labels of values, uint8 (size,); all others are ignored."""
    table = np.full(size, IGNORED, np.uint8)
    for value, label in known.items():
        table[value] = IGNORED if label == NO_CLASS else label
    return table
