"""Which sentence goes with which figures: what reports and explanations conclude, from measured values alone.

Every conclusion in words comes from here, so that none can contradict the figures beside it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnntrain.tasks.scores import TRAIN, VAL, Figure, Scores

CLEAR = 0.05  # smallest difference of two accuracies that a sentence is made of
DIVERGES = 2.0  # times the first loss
CALIBRATED = 0.02  # difference of mean confidence and accuracy that is none
WIDE = 0.15  # smallest gap of training and validation accuracy that a sentence is made of
PURER = 0.1  # smallest difference of two class purities that a sentence is made of


def points(difference: float) -> str:
    """Return a difference of two accuracies in words: ``3 points``."""
    number = round(100 * abs(difference))
    return f"{number} point{'' if number == 1 else 's'}"


# ---- accuracy on translated images


@dataclass(frozen=True)
class Translated:
    """Accuracies on images that are moved by 0, 1, ... pixels.

    Args:
        name: of the model.
        accuracies: from 0 to 1, one for each distance.
        is_convolutional: whether the model has convolutions.
        trained_with: largest random shift of its training images, in pixels.
        images: on which each accuracy was measured.
    """

    name: str
    accuracies: Sequence[float]
    is_convolutional: bool
    trained_with: float
    images: int

    def margin(self, pixels: int) -> float:
        """Change of the accuracy that chance explains: half of its 95 % interval, but at least one point."""
        p = min(max(self.accuracies[0], self.accuracies[pixels]), 1 - 1 / max(2, self.images))
        return max(0.01, 1.96 * math.sqrt(p * (1 - p) / max(1, self.images)))

    @property
    def falls(self) -> bool:
        """Whether the accuracy falls by more than chance explains, so that it needs an explanation."""
        return self.loss(-1) >= max(CLEAR, self.margin(-1))

    def loss(self, pixels: int) -> float:
        """By how much the accuracy falls at a distance; at the largest for -1."""
        return self.accuracies[0] - self.accuracies[pixels]


def on_translation(models: Sequence[Translated]) -> str:
    """Say what moving the images does to models, why, and what helps."""
    at = telling(models)
    changes = "; ".join(change(model, at) for model in models)
    told = [f"Moved by {at} pixel{'' if at == 1 else 's'}: {changes}."]
    if len(models) == 2:
        told.append(comparison(models[0], models[1], at))
    falling = [model for model in models if model.falls]
    if any(not model.is_convolutional for model in falling):
        told.append(
            "A unit without convolutions has a weight of its own for every pixel: what it has learnt about "
            "one place says nothing about the next."
        )
    if any(model.is_convolutional for model in falling):
        told.append(
            "A convolution uses the same small filters everywhere, and pooling forgets where exactly they "
            "responded; the layers after them still know places, and the border cuts off what leaves the "
            "image."
        )
    for model in falling:
        whose = f" of {model.name}" if len(models) > 1 else ""
        if model.trained_with:
            told.append(
                f"The training images{whose} were shifted already: augment.shift={model.trained_with:g}."
            )
    if any(not model.trained_with for model in falling):
        told.append("Training on translated images helps: augment.shift=2.")
    return " ".join(told)


def telling(models: Sequence[Translated]) -> int:
    """Return the distance, in pixels, that a sentence is about.

    It is the largest, where one model is looked at. Of two models it is the one at which they differ most:
    at the largest both may be down to chance, where nothing can be compared.
    """
    most = len(models[0].accuracies) - 1
    if len(models) != 2:
        return most
    one, other = models
    at = max(range(most, 0, -1), key=lambda pixels: abs(one.loss(pixels) - other.loss(pixels)))
    return at if differ(one, other, at) else most


def differ(one: Translated, other: Translated, at: int) -> bool:
    """Return whether two models clearly lose differently much when the images are moved so many pixels."""
    return abs(one.loss(at) - other.loss(at)) >= max(CLEAR, one.margin(at), other.margin(at))


def change(model: Translated, at: int) -> str:
    """Say by how many points the accuracy of a model changes when the images are moved so many pixels."""
    loss, margin = model.loss(at), model.margin(at)
    if abs(loss) < margin:
        return f"{model.name} keeps its accuracy, within {points(margin)}"
    return f"{model.name} {'loses' if loss > 0 else 'gains'} {points(loss)}"


def comparison(one: Translated, other: Translated, at: int) -> str:
    """Say which of two models loses less when the images are moved so many pixels."""
    if not differ(one, other, at):
        return "Both lose about as much." if one.falls and other.falls else ""
    return f"{min(one, other, key=lambda model: model.loss(at)).name} loses less."


# ---- what filters respond to


def on_filters(purities: Sequence[float], chance: float) -> str:
    """Return whether deeper layers are more selective for classes.

    Args:
        purities: of each layer in order: the share of the images that activate a filter most which are of
            one class, mean over filters.
        chance: of as many images taken at random.
    """
    told = f"For images taken at random it would be about {chance:.0%}."
    if max(purities) < chance + PURER / 2:
        return f"{told} No layer is clearly above that: the filters respond to what all classes share."
    if len(purities) < 2:
        return told
    first, last = purities[0], purities[-1]
    from_to = f"from {first:.0%} in the first layer to {last:.0%} in the last"
    if last >= first + PURER:
        steps = sum(b >= a for a, b in itertools.pairwise(purities))
        way = (
            "with every layer" if steps == len(purities) - 1 else "on the whole, though not with every layer"
        )
        return (
            f"{told} It rises {way}, {from_to}: a layer combines what the one before found, sees more of the "
            "image, and is more selective."
        )
    if last <= first - PURER:
        return f"{told} It falls, {from_to}: deeper layers of this model are less selective for classes."
    return f"{told} It hardly changes, {from_to}: deeper layers of this model are not clearly more selective."


# ---- training without zero_grad


@dataclass(frozen=True)
class Trial:
    """A training with or without ``zero_grad``.

    Args:
        first: loss of the first batch.
        last: mean loss of the last batches.
        accuracy: on the test images, from 0 to 1.
        growth: gradient norm at the end, in times of that at the start.
        lost_at: first step whose loss is not finite; None if there is none.
    """

    first: float
    last: float
    accuracy: float
    growth: float
    lost_at: int | None = None

    @property
    def diverges(self) -> bool:
        """Whether the loss grows beyond all that an untrained model has."""
        return self.lost_at is not None or self.last > DIVERGES * self.first


def on_zero_grad(cleared: Trial, kept: Trial, optimizer: str) -> str:
    """Say what came of a training without ``zero_grad``.

    Args:
        cleared: the training with it.
        kept: the training without it.
        optimizer: the class's name.
    """
    costs = cleared.accuracy - kept.accuracy
    if cleared.diverges:
        return "Here both trainings diverge: the learning rate is too high to show what zero_grad does."
    if kept.diverges:
        how = (
            f"the loss is not finite from step {kept.lost_at:,} on"
            if kept.lost_at is not None
            else f"the loss ends at {kept.last / kept.first:,.3g} times its first value"
        )
        told = f"Here training diverges without it: {how}{'; ' + growing(kept) if growing(kept) else ''}."
        if costs < CLEAR:
            return f"{told} With it, little is learnt either: try another optim.lr, or more epochs."
        return f"{told} Test accuracy is {kept.accuracy:.1%} in place of {cleared.accuracy:.1%}."
    if costs >= CLEAR:
        grows = f"; {growing(kept)}" if growing(kept) else ""
        told = f"Here that costs {points(costs)} of accuracy{grows}, but the loss does not diverge."
        return f"{told} {WHY_NOT.get(optimizer, '')}".strip()
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


def on_curves(history: Sequence[Mapping[str, Any]]) -> str:
    """Say how training and validation developed.

    Args:
        history: the rows of metrics.csv.
    """
    rows = [row for row in history if row["val_loss"] is not None]
    if not rows:
        return ""
    last, best = rows[-1], min(rows, key=lambda row: float(row["val_loss"]))
    gap = last["train_accuracy"] - last["val_accuracy"]
    if last["train_loss"] > DIVERGES * rows[0]["train_loss"]:
        times = last["train_loss"] / rows[0]["train_loss"]
        return f"The training loss rises to {times:,.3g} times that of epoch 1."
    if last["val_loss"] > 1.1 * best["val_loss"] and last["train_loss"] < best["train_loss"] and gap > CLEAR:
        since = f"After epoch {best['epoch']}"
        return f"{since} the validation loss rises while the training loss falls: it overfits."
    if gap >= WIDE:
        return f"Training accuracy is {points(gap)} above validation accuracy."
    if gap < 0:
        return "Validation is more accurate than training, which is measured while the weights still change."
    return ""


def on_running_mean(history: Sequence[Mapping[str, Any]], scores: Scores) -> str:
    """Explain a training score that is worse than that of validation; return "" where there is none.

    Args:
        history: the rows of metrics.csv.
        scores: the scores of the task.
    """
    train, val = Figure(TRAIN, scores.main), Figure(VAL, scores.main)
    rows = [row for row in history if val.in_row(row) is not None]
    if not any(train.gain(row) < val.gain(row) for row in rows):
        return ""
    names = [score.heading for score in scores.tracked]
    are_means = "are means" if len(names) > 1 else "is a mean"
    return f"train {' and '.join(names)} {are_means} over the epoch; validation comes after it"


# ---- calibration


def on_calibration(confidence: float, accuracy: float) -> str:
    """Return whether a model is as confident as it is right, both from 0 to 1, means over all images."""
    told = f"Mean confidence {confidence:.1%}, accuracy {accuracy:.1%}: "
    if confidence > accuracy + CALIBRATED:
        return f"{told}the model is overconfident."
    if confidence < accuracy - CALIBRATED:
        return f"{told}the model is underconfident."
    return f"{told}on average the model is as confident as it is right."
