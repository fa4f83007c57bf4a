"""The figures of a detection's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from cnntrain.drawing.confusion import confusion_map, counted
from cnntrain.drawing.style import COLOURS, canvas, percent, styled

RECALLS = np.linspace(0, 1, 101)
SHOWN_IOUS = {0: "IoU 0.5", 5: "IoU 0.75", 8: "IoU 0.9"}  # places among 0.5, 0.55, ... 0.95
BAR, LONGEST_NAME = 0.24, 18  # inches; letters of a class beside its bar


@styled
def precision_recall(precision: np.ndarray) -> Figure:
    """Return the precision at each recall, mean over the classes, at three IoUs.

    Args:
        precision: float64 (10, 101, classes); NaN of a class without objects.
    """
    figure, axes = canvas(xlabel="recall", ylabel="precision")
    for (place, label), style in zip(SHOWN_IOUS.items(), ("-", "--", ":"), strict=True):
        there = precision[place][:, ~np.isnan(precision[place][0])]
        axes.plot(RECALLS, there.mean(axis=1), style, color=COLOURS["curve"], label=label)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02))
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    percent(axes)
    axes.legend(fontsize=8)
    return figure


@styled
def by_score(thresholds: Sequence[float], curves: Mapping[str, Tensor], chosen: float) -> Figure:
    """Return precision, recall and F1 of the boxes with at least each score.

    Args:
        thresholds: T scores.
        curves: the curves by their names, each float (T,).
        chosen: the score that is marked.
    """
    figure, axes = canvas(xlabel="boxes with at least this score", ylabel="share")
    for (name, values), style in zip(curves.items(), ("--", ":", "-"), strict=True):
        colour = COLOURS["mark" if name == "F1" else "curve"]
        axes.plot(thresholds, values.numpy(), style, color=colour, label=name)
    axes.axvline(chosen, color=COLOURS["dim"], linestyle=":", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    percent(axes)
    axes.legend(fontsize=8, loc="best")
    return figure


@styled
def bars(names: Sequence[str], values: Sequence[float], mean: float) -> Figure:
    """Return the AP of each class as a bar."""
    figure, axes = canvas(size=(4.6, 0.7 + BAR * len(names)))
    places = np.arange(len(names))
    axes.barh(places, values, height=0.7, color=COLOURS["curve"])
    axes.axvline(mean, color=COLOURS["dim"], linestyle=":", linewidth=1)
    short = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in names]
    axes.set_yticks(places, short, parse_math=False)
    axes.set(xlim=(0, 1.02), ylim=(len(names) - 0.4, -0.6))
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def confusion(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Return the confusion matrix as a map: int (classes, classes), background last; shares of each row."""
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    labels = ("class of the box", "class of the object")
    return confusion_map(shares, names, counted(counts), labels, "row")
