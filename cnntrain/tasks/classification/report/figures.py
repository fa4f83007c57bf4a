"""The figures of a classifier's report."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from cnntrain.drawing.confusion import confusion_map, counted
from cnntrain.drawing.style import COLOURS, canvas, percent, styled
from cnntrain.tasks.classification.predictions import BINS, Calibration
from cnntrain.tasks.classification.robustness import SHIFTS


def confusion(matrix: Sequence[Sequence[int]], class_names: Sequence[str]) -> Figure:
    """Return the confusion matrix as a map of shares of each true class."""
    counts = np.array(matrix)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    return confusion_map(shares, class_names, counted(counts))


@styled
def calibration(found: Calibration, words: str) -> Figure:
    """Return how often the model is right against how sure it is, above how many images that is about.

    Args:
        found: the calibration.
        words: what the images are called, which may be sequences.
    """
    figure = Figure(figsize=(4.6, 3.6))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    centres = (np.arange(BINS) + 0.5) / BINS
    upper.plot([0, 1], [0, 1], color=COLOURS["dim"], linestyle=":", linewidth=1, label="perfect calibration")
    upper.bar(centres, found.accuracy, width=0.9 / BINS, color=COLOURS["curve"], label="accuracy")
    used = [index for index, count in enumerate(found.counts) if count]
    sure = [found.confidence[index] for index in used]
    mark = {"color": COLOURS["mark"], "markersize": 8, "markeredgewidth": 2}
    upper.plot(centres[used], sure, "_", label="mean confidence", **mark)
    figure.legend(fontsize=8, loc="outside upper center", ncols=3, columnspacing=1.2)
    upper.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    lower.bar(centres, found.counts, width=0.9 / BINS, color=COLOURS["curve"])
    lower.set(xlabel="confidence: probability of the predicted class", ylabel=words)
    percent(upper)
    lower.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1))
    return figure


@styled
def robustness(accuracies: Sequence[float], chance: float) -> Figure:
    """Return the accuracy against the translation of the images."""
    figure, axes = canvas(xlabel="translation in pixels", ylabel="accuracy")
    axes.plot(SHIFTS, accuracies, color=COLOURS["curve"], marker="o", markersize=4)
    axes.axhline(chance, color=COLOURS["dim"], linestyle=":", linewidth=1)
    beside = axes.get_yaxis_transform()  # right of the axes, where no point is
    axes.annotate(
        "chance", (1, chance), (4, 0), xycoords=beside, textcoords="offset points", va="center", fontsize=8
    )
    axes.set_ylim(0, 1.02)
    axes.set_xticks(SHIFTS)
    percent(axes)
    return figure


@styled
def by_steps(steps: Sequence[int], accuracies: Sequence[float], chance: float, of_step: str) -> Figure:
    """Return the accuracy against the number of steps that are read of an image, called ``of_step``."""
    figure, axes = canvas(xlabel=f"{of_step} read", ylabel="accuracy")
    axes.plot(steps, accuracies, color=COLOURS["curve"], marker="o", markersize=3)
    axes.axhline(chance, color=COLOURS["dim"], linestyle=":", linewidth=1, label="chance")
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    axes.legend(fontsize=8, loc="best")
    axes.set_ylim(0, 1.02)
    percent(axes)
    return figure
