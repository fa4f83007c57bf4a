"""Which sentence goes with which figures: what reports and explanations conclude, from measured values alone.

Every conclusion in words comes from here, so that none can contradict the figures beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnntrain.tasks.scores import TRAIN, VAL, Figure, Score, Scores
from cnntrain.text import points, together

CLEAR = 0.05  # smallest difference of two scores that a sentence is made of
DIVERGES = 2.0  # times the first loss
WIDE = 0.15  # smallest gap of a score in training and in validation that a sentence is made of
PURER = 0.1  # smallest difference of two class purities that a sentence is made of


# ---- what filters respond to


def on_filters(purities: Sequence[float], chance: float) -> str:
    """Return whether deeper layers are more selective for classes.

    Args:
        purities: of each layer in order: the share of the images that activate a filter most which are of
            one class, mean over filters.
        chance: of as many images taken at random.
    """
    text = f"For images taken at random it would be about {chance:.0%}."
    if max(purities) < chance + PURER / 2:
        return f"{text} No layer is clearly above that: the filters respond to what all classes share."
    if len(purities) < 2:
        return text
    first, last = purities[0], purities[-1]
    from_to = f"from {first:.0%} in the first layer to {last:.0%} in the last"
    if last >= first + PURER:
        steps = sum(b >= a for a, b in itertools.pairwise(purities))
        way = (
            "with every layer" if steps == len(purities) - 1 else "on the whole, though not with every layer"
        )
        return (
            f"{text} It rises {way}, {from_to}: a layer combines what the one before found, sees more of the "
            "image, and is more selective."
        )
    if last <= first - PURER:
        return f"{text} It falls, {from_to}: deeper layers of this model are less selective for classes."
    return f"{text} It hardly changes, {from_to}: deeper layers of this model are not clearly more selective."


# ---- training without zero_grad


@dataclass(frozen=True)
class Trial:
    """A training with or without ``zero_grad``.

    Args:
        first: loss of the first batch.
        last: mean loss of the last batches.
        score: the main score on the test images, from 0 to 1.
        growth: gradient norm at the end, in times of that at the start.
        lost_at: first step whose loss is not finite; None if there is none.
    """

    first: float
    last: float
    score: float
    growth: float
    lost_at: int | None = None

    @property
    def diverges(self) -> bool:
        """Whether the loss grows beyond all that an untrained model has."""
        return self.lost_at is not None or self.last > DIVERGES * self.first


def on_zero_grad(cleared: Trial, kept: Trial, optimizer: str, score: Score) -> str:
    """Say what came of a training without ``zero_grad``.

    Args:
        cleared: the training with it.
        kept: the training without it.
        optimizer: the class's name.
        score: the task's main score.
    """
    costs = cleared.score - kept.score
    if cleared.diverges:
        return "Here both trainings diverge: the learning rate is too high to show what zero_grad does."
    if kept.diverges:
        how = (
            f"the loss is not finite from step {kept.lost_at:,} on"
            if kept.lost_at is not None
            else f"the loss ends at {kept.last / kept.first:,.3g} times its first value"
        )
        text = f"Here training diverges without it: {how}{'; ' + growing(kept) if growing(kept) else ''}."
        if costs < CLEAR:
            return f"{text} With it, little is learnt either: try another optim.lr, or more epochs."
        return f"{text} Test {score.words} is {kept.score:.1%} in place of {cleared.score:.1%}."
    if costs >= CLEAR:
        grows = f"; {growing(kept)}" if growing(kept) else ""
        text = f"Here that costs {points(costs)} of {score.words}{grows}, but the loss does not diverge."
        return f"{text} {WHY_NOT.get(optimizer, '')}".strip()
    other = "a higher optim.lr or more epochs" if optimizer == "SGD" else "optim=sgd, or more epochs"
    if costs <= -CLEAR:
        return (
            f"Here the training without it is even {points(costs)} better after so few steps; try {other} to "
            "see it diverge."
        )
    return f"Here it matters little after so few steps; try {other} to see it diverge."


SCALED = (
    "{} divides each gradient by its own running size, so that a growing sum does not make its steps longer: "
    "they only go in the wrong direction. optim=sgd diverges."
)
WHY_NOT = {name: SCALED.format(name) for name in ("Adam", "AdamW", "NAdam", "RAdam", "RMSprop")}


def growing(trial: Trial) -> str:
    """Say how the gradient grew, if it did."""
    return (
        f"the gradient norm grows to {trial.growth:,.3g} times its first value" if trial.growth >= 2 else ""
    )


# ---- one step


def on_step(before: float, after: float, optimizer: str) -> str:
    """Say what a first step did to the loss of its own batch."""
    if after < before:
        return "lower"
    if optimizer == "RMSprop":
        return "not lower: the first steps of RMSprop are about ten times as long as its later ones"
    return "not lower: the step was too long" if after > before else "unchanged"


def on_first_loss(loss: float, chance: float) -> str:
    """Say what the loss of the first batch tells of a model.

    Args:
        loss: of the model.
        chance: of a model that gives each class the same probability.
    """
    if abs(loss - chance) < 0.5:
        return "That is about what an untrained model should have."
    if loss < chance:
        return "This model is well below it: it knows something already."
    return "This model is far above it: its first weights or its inputs are too large."


# ---- a run's curves


def on_curves(history: Sequence[Mapping[str, Any]], scores: Scores) -> str:
    """Say how training and validation developed.

    Args:
        history: the rows of metrics.csv.
        scores: the scores of the task.
    """
    rows = [row for row in history if row["val_loss"] is not None]
    if not rows:
        return ""
    last, best = rows[-1], min(rows, key=lambda row: float(row["val_loss"]))
    gap, main = lead_of_training(last, scores), scores.main
    if last["train_loss"] > DIVERGES * rows[0]["train_loss"]:
        times = last["train_loss"] / rows[0]["train_loss"]
        return f"The training loss rises to {times:,.3g} times that of epoch 1."
    parts = last["val_loss"] > 1.1 * best["val_loss"] and last["train_loss"] < best["train_loss"]
    if parts and (gap is None or gap > CLEAR):
        since = f"After epoch {best['epoch']}"
        return f"{since} the validation loss rises while the training loss falls: it overfits."
    if gap is not None and gap >= WIDE:
        return f"Training {main.words} is {points(gap)} above validation {main.words}."
    if gap is not None and gap < 0:
        return "Validation is more accurate than training, which is measured while the weights still change."
    return ""


def lead_of_training(row: Mapping[str, Any], scores: Scores) -> float | None:
    """Return by how much the main score is better in training than in validation; None unless a share."""
    if not (scores.main.is_fraction and scores.main.in_training):
        return None
    train, val = Figure(TRAIN, scores.main), Figure(VAL, scores.main)
    return train.gain(row) - val.gain(row)


def on_running_mean(history: Sequence[Mapping[str, Any]], scores: Scores) -> str:
    """Explain a training score that is worse than that of validation; return "" where there is none.

    Args:
        history: the rows of metrics.csv.
        scores: the scores of the task.
    """
    if not scores.main.in_training:
        return ""
    train, val = Figure(TRAIN, scores.main), Figure(VAL, scores.main)
    rows = [row for row in history if val.in_row(row) is not None]
    if not any(train.gain(row) < val.gain(row) for row in rows):
        return ""
    names = [figure.score.heading for figure in scores.on(TRAIN)]
    are_means = "are means" if len(names) > 1 else "is a mean"
    return f"train {together(names)} {are_means} over the epoch; validation comes after it"
