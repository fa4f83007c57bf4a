"""The scores of a task, and what follows from them: columns, headings, formats, ranking.

A task declares its scores once, as a tuple. The columns of metrics.csv, the screen, loggers, rankings and the
values that ``monitor`` takes follow from it. Plain data, no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnntrain.errors import UserError
from cnntrain.language.translation import later, tr
from cnntrain.text import format_loss, printable

TRAIN, VAL, TEST = "train", "val", "test"  # the parts of the data on which a score is measured
MEASURED_ON = {
    TRAIN: later("train {score}"),
    VAL: later("val {score}"),
    TEST: later("test {score}"),
}


@dataclass(frozen=True)
class Score:
    """A number that measures how well a model does on some images.

    Args:
        name: the name in files, such as ``loss``.
        heading: the name in a table on the screen, which may be shorter.
        higher_is_better: whether a larger number is a better one.
        is_fraction: whether it lies between 0 and 1 and is shown as a percentage.
        bounds: the smallest and the largest possible value, which no interval exceeds.
        in_training: whether it is measured on the batches of training, too.
    """

    name: str
    heading: str
    higher_is_better: bool
    is_fraction: bool = False
    bounds: tuple[float, float] = (0.0, math.inf)
    in_training: bool = True

    @property
    def words(self) -> str:
        """The name in a sentence: ``accuracy``, whose heading is short, but ``mIoU``."""
        is_spelt = self.heading.lower() == self.name
        return tr(self.heading if is_spelt else self.name.replace("_", " "))

    def text(self, value: float) -> str:
        """Return a value as the screen shows it."""
        return f"{value:.2%}" if self.is_fraction else format_loss(value)

    @property
    def width(self) -> int:
        """The number of characters of the widest text."""
        return len(self.text(1.0 if self.is_fraction else 999.0))


LOSS = Score("loss", later("loss"), higher_is_better=False)  # each task has one: the mean of its criterion


@dataclass(frozen=True)
class Figure:
    """A score on a part of the data, such as the loss on the validation images.

    Args:
        part: ``train``, ``val`` or ``test``.
        score: what is measured.
    """

    part: str
    score: Score

    @property
    def name(self) -> str:
        """The name in metrics.csv, in rankings and in ``monitor``, such as ``val_loss``."""
        return f"{self.part}_{self.score.name}"

    @property
    def words(self) -> str:
        """The name in a sentence, such as ``val loss``."""
        return tr(MEASURED_ON[self.part], score=self.score.words)

    @property
    def heading(self) -> str:
        """The heading of its column on the screen, such as ``val acc``."""
        return f"{self.part} {self.score.heading}"

    @property
    def tag(self) -> str:
        """The name in loggers, such as ``val/loss``."""
        return f"{self.part}/{self.score.name}"

    def in_row(self, row: Mapping[str, Any]) -> float | None:
        """Return the value in a row of metrics.csv, or in a job's record; None if it was not measured."""
        value: float | None = row[self.name]
        return value

    def text_in(self, row: Mapping[str, Any]) -> str:
        """Return the value in a row of metrics.csv as the screen shows it."""
        value = self.in_row(row)
        return "–" if value is None else self.score.text(value)

    def gain(self, row: Mapping[str, Any]) -> float:
        """Return a number that is the larger, the better a row is, in which the value was measured."""
        value: float = row[self.name]
        return value if self.score.higher_is_better else -value

    def value_in(self, result: Any) -> float:
        """Return the value that a result has as an attribute of the score's name."""
        return float(getattr(result, self.score.name))


VAL_LOSS = Figure(VAL, LOSS)  # decides between epochs, or runs, that are equal in the monitored figure


@dataclass(frozen=True)
class Scores:
    """The scores of a task, and what follows from them.

    Args:
        tracked: what is measured after each epoch: the loss first, then the others, the most important one
            first.
    """

    tracked: tuple[Score, ...]

    def on(self, part: str) -> tuple[Figure, ...]:
        """Return the figures of a part of the data."""
        return tuple(Figure(part, score) for score in self.tracked if score.in_training or part != TRAIN)

    @property
    def epoch(self) -> tuple[Figure, ...]:
        """What is measured in each epoch, in the order of metrics.csv: in training, then in validation."""
        return (*self.on(TRAIN), *self.on(VAL))

    @property
    def ranked(self) -> tuple[Figure, ...]:
        """The figures by which epochs and runs may be ranked, the usual one first and the loss last."""
        loss, *others = self.on(VAL)
        return (*others, loss)

    @property
    def monitors(self) -> tuple[str, ...]:
        """The values that ``monitor`` takes."""
        return tuple(figure.name for figure in self.ranked)

    @property
    def main(self) -> Score:
        """The score that a result is summed up by."""
        return self.ranked[0].score

    def in_words(self, row: Mapping[str, Any], part: str) -> str:
        """Return all figures of a part, from a row of metrics.csv: ``loss 0.3021, ...``."""
        return ", ".join(f"{f.score.words} {f.text_in(row)}" for f in self.on(part))

    def result_in_words(self, part: str, result: Any) -> str:
        """Return all figures of a part, from a result: ``test loss 0.3021, ...``."""
        return ", ".join(f"{f.heading} {f.score.text(f.value_in(result))}" for f in self.on(part))

    def monitored(self, monitor: str) -> Figure:
        """Return the figure that a value of ``monitor`` names; the usual one for ``auto``.

        Raises:
            UserError: it names none.
        """
        for figure in self.ranked:
            if monitor in ("auto", figure.name):
                return figure
        raise UserError(
            f"monitor={printable(str(monitor))} is not possible: it takes {' or '.join(self.monitors)}"
        )
