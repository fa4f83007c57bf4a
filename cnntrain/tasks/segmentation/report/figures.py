"""The figures of a segmentation's report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from cnntrain.drawing.confusion import confusion_map
from cnntrain.drawing.style import COLOURS, canvas, percent, styled
from cnntrain.tasks.segmentation.report.borders import BANDS, ByDistance

SAID = 0.005  # share that is written into a map
LONGEST_NAME = 18  # letters of a class beside its bar
BAR = 0.24  # inches


@styled
def bars(names: Sequence[str], iou: Sequence[float], dice: Sequence[float], mean: float) -> Figure:
    """Return the IoU of each class as a bar, and its Dice as a mark beyond it.

    Args:
        names: the names of the classes that are there.
        iou: the IoU of each class, from 0 to 1.
        dice: the Dice coefficient of each class, from 0 to 1.
        mean: the mean IoU.
    """
    figure, axes = canvas(size=(4.6, 0.9 + BAR * len(names)))
    places = np.arange(len(names))
    axes.barh(places, iou, height=0.7, color=COLOURS["curve"], label="IoU")
    axes.plot(dice, places, "|", label="Dice", color=COLOURS["mark"], markersize=9, markeredgewidth=2)
    axes.axvline(mean, color=COLOURS["dim"], linestyle=":", linewidth=1, label="mean IoU")
    short = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in names]
    axes.set_yticks(places, short, parse_math=False)
    axes.set(xlim=(0, 1.02), ylim=(len(names) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(fontsize=8, loc="outside upper center", ncols=3, columnspacing=1.2)
    return figure


def confusion(shares: np.ndarray, names: Sequence[str]) -> Figure:
    """Return the confusion matrix of pixels as a map: float (classes, classes), shares of each true class."""
    return confusion_map(
        shares,
        names,
        lambda row, column: f"{shares[row, column]:.0%}" if shares[row, column] >= SAID else "",
        share_of="true class's pixels",
    )


@styled
def by_distance(found: ByDistance) -> Figure:
    """Return which share of the pixels is wrong, and which of all errors lies there, by their distance."""
    figure, axes = canvas(xlabel="pixels from the nearest true border", ylabel="share")
    places, width = np.arange(len(BANDS)), 0.38
    errors = np.array(found.wrong) / np.maximum(1, found.pixels)
    axes.bar(places - width / 2, errors, width, color=COLOURS["mark"], label="of these pixels, wrong")
    shares = np.array(found.wrong) / max(1, sum(found.wrong))
    axes.bar(places + width / 2, shares, width, color=COLOURS["curve"], label="of all wrong pixels, here")
    axes.set_xticks(places, BANDS)
    axes.set_ylim(0, 1.02)
    axes.grid(visible=False, axis="x")
    percent(axes)
    figure.legend(fontsize=8, loc="outside upper center", ncols=2, columnspacing=1.2)
    return figure
