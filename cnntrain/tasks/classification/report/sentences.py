"""Which sentence goes with which figures of a classifier: what its report concludes from measured values.

Every conclusion in words comes from here, so that none can contradict the figures beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cnntrain.language.translation import tr, tr_count
from cnntrain.text import points

CLEAR = 0.05  # smallest difference of two accuracies that a sentence is made of
CALIBRATED = 0.02  # difference of mean confidence and accuracy that is none


# ---- accuracy on translated images


@dataclass(frozen=True)
class Translated:
    """Accuracies on images that are moved by 0, 1, ... pixels.

    Args:
        name: the name of the model.
        accuracies: the accuracies, from 0 to 1, one for each distance.
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
    """Describe what moving the images does to models, why, and what helps."""
    at = telling(models)
    changes = tr("; ").join(change(model, at) for model in models)
    sentences = [
        tr_count(
            at, "Moved by {number} pixel: {changes}.", "Moved by {number} pixels: {changes}.", changes=changes
        )
    ]
    if len(models) == 2:
        sentences.append(comparison(models[0], models[1], at))
    falling = [model for model in models if model.falls]
    if any(not model.is_convolutional for model in falling):
        sentences.append(
            tr(
                "A unit without convolutions has a weight of its own for every pixel: what it "
                "has learnt about one place says nothing about the next."
            )
        )
    if any(model.is_convolutional for model in falling):
        sentences.append(
            tr(
                "A convolution uses the same small filters everywhere, and pooling forgets "
                "where exactly they responded; the layers after them still know places, and "
                "the border cuts off what leaves the image."
            )
        )
    for model in falling:
        whose = tr(" of {name}", name=model.name) if len(models) > 1 else ""
        if model.trained_with:
            sentences.append(
                tr(
                    "The training images{whose} were shifted already: augment.shift={shift:g}.",
                    whose=whose,
                    shift=model.trained_with,
                )
            )
    if any(not model.trained_with for model in falling):
        sentences.append(tr("Training on translated images helps: augment.shift=2."))
    return " ".join(sentences)


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
    """Return whether two models lose clearly different amounts when the images are moved that many pixels."""
    return abs(one.loss(at) - other.loss(at)) >= max(CLEAR, one.margin(at), other.margin(at))


def change(model: Translated, at: int) -> str:
    """Describe how the accuracy of a model changes when the images are moved that many pixels."""
    loss, margin = model.loss(at), model.margin(at)
    if abs(loss) < margin:
        return tr("{model} keeps its accuracy, within {points}", model=model.name, points=points(margin))
    values = {"model": model.name, "points": points(loss)}
    return tr("{model} loses {points}", **values) if loss > 0 else tr("{model} gains {points}", **values)


def comparison(one: Translated, other: Translated, at: int) -> str:
    """Describe which of two models loses less when the images are moved that many pixels."""
    if not differ(one, other, at):
        return tr("Both lose about as much.") if one.falls and other.falls else ""
    return tr("{model} loses less.", model=min(one, other, key=lambda model: model.loss(at)).name)


# ---- calibration


def on_calibration(confidence: float, accuracy: float) -> str:
    """Return whether a model is as confident as it is right, both from 0 to 1, means over all images."""
    text = f"Mean confidence {confidence:.1%}, accuracy {accuracy:.1%}: "
    if confidence > accuracy + CALIBRATED:
        return f"{text}the model is overconfident."
    if confidence < accuracy - CALIBRATED:
        return f"{text}the model is underconfident."
    return f"{text}on average the model is as confident as it is right."
