"""Which sentence goes with which figures: what reports and explanations conclude, from measured values alone.

Every conclusion in words comes from here, so that none can contradict the figures beside it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnntrain.language.translation import later, tr
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
        purities: for each layer in order, the share of the images that activate a filter most which are of
            one class, mean over filters.
        chance: the chance of as many images taken at random.
    """
    text = tr("For images taken at random it would be about {chance:.0%}.", chance=chance)
    if max(purities) < chance + PURER / 2:
        return tr(
            "{text} No layer is clearly above that: the filters respond to what all classes share.", text=text
        )
    if len(purities) < 2:
        return text
    first, last = purities[0], purities[-1]
    from_to = tr("from {first:.0%} in the first layer to {last:.0%} in the last", first=first, last=last)
    if last >= first + PURER:
        steps = sum(b >= a for a, b in itertools.pairwise(purities))
        way = (
            tr("with every layer")
            if steps == len(purities) - 1
            else tr("on the whole, though not with every layer")
        )
        return tr(
            "{text} It rises {way}, {from_to}: a layer combines what the one before found, "
            "sees more of the image, and is more selective.",
            text=text,
            way=way,
            from_to=from_to,
        )
    if last <= first - PURER:
        return tr(
            "{text} It falls, {from_to}: deeper layers of this model are less selective for classes.",
            text=text,
            from_to=from_to,
        )
    return tr(
        "{text} It hardly changes, {from_to}: deeper layers of this model are not clearly more selective.",
        text=text,
        from_to=from_to,
    )


# ---- training without zero_grad


@dataclass(frozen=True)
class Trial:
    """A training with or without ``zero_grad``.

    Args:
        first: loss of the first batch.
        last: mean loss of the last batches.
        score: the main score on the test images, from 0 to 1.
        growth: gradient norm at the end, as a multiple of that at the start.
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
    """Describe the outcome of a training without ``zero_grad``.

    Args:
        cleared: the training with it.
        kept: the training without it.
        optimizer: the class's name.
        score: the task's main score.
    """
    costs = cleared.score - kept.score
    if cleared.diverges:
        return tr("Here both trainings diverge: the learning rate is too high to show what zero_grad does.")
    if kept.diverges:
        how = (
            tr("the loss is not finite from step {step:,} on", step=kept.lost_at)
            if kept.lost_at is not None
            else tr("the loss ends at {times:,.3g} times its first value", times=kept.last / kept.first)
        )
        text = tr(
            "Here training diverges without it: {how}{more}.",
            how=how,
            more=tr("; ") + growing(kept) if growing(kept) else "",
        )
        if costs < CLEAR:
            return tr(
                "{text} With it, little is learnt either: try another optim.lr, or more epochs.", text=text
            )
        return tr(
            "{text} Test {score} is {kept:.1%} in place of {cleared:.1%}.",
            text=text,
            score=score.words,
            kept=kept.score,
            cleared=cleared.score,
        )
    if costs >= CLEAR:
        grows = tr("; ") + growing(kept) if growing(kept) else ""
        text = tr(
            "Here that costs {points} of {score}{grows}, but the loss does not diverge.",
            points=points(costs),
            score=score.words,
            grows=grows,
        )
        return f"{text} {tr(SCALED, optimizer=optimizer)}" if optimizer in SCALES else text
    other = tr("a higher optim.lr or more epochs") if optimizer == "SGD" else tr("optim=sgd, or more epochs")
    if costs <= -CLEAR:
        return tr(
            "Here the training without it is even {points} better after so few steps; try "
            "{other} to see it diverge.",
            points=points(costs),
            other=other,
        )
    return tr("Here it matters little after so few steps; try {other} to see it diverge.", other=other)


SCALED = later(
    "{optimizer} divides each gradient by its own running size, so that a growing sum does "
    "not make its steps longer: they only go in the wrong direction. optim=sgd "
    "diverges."
)
SCALES = ("Adam", "AdamW", "NAdam", "RAdam", "RMSprop")


def growing(trial: Trial) -> str:
    """Describe how the gradient grew, if it did."""
    return (
        tr("the gradient norm grows to {times:,.3g} times its first value", times=trial.growth)
        if trial.growth >= 2
        else ""
    )


# ---- one step


def on_step(before: float, after: float, optimizer: str) -> str:
    """Describe what a first step did to the loss of its own batch."""
    if after < before:
        return tr("lower")
    if optimizer == "RMSprop":
        return tr("not lower: the first steps of RMSprop are about ten times as long as its later ones")
    return tr("not lower: the step was too long") if after > before else tr("unchanged")


def on_first_loss(loss: float, chance: float) -> str:
    """Describe what the loss of the first batch says about a model.

    Args:
        loss: the loss of the model.
        chance: the chance of a model that gives each class the same probability.
    """
    if abs(loss - chance) < 0.5:
        return tr("That is about what an untrained model should have.")
    if loss < chance:
        return tr("This model is well below it: it knows something already.")
    return tr("This model is far above it: its first weights or its inputs are too large.")


# ---- a run's curves


def on_curves(history: Sequence[Mapping[str, Any]], scores: Scores) -> str:
    """Describe how training and validation developed.

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
    """Return how much better the main score is in training than in validation; None unless a share."""
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
