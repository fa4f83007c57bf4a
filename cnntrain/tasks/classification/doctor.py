"""What the training doctor concludes of a classifier whose run is over. On little evidence: nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cnntrain.config.inputs import IMAGES
from cnntrain.config.sections import DoctorSettings
from cnntrain.runtime.console import count
from cnntrain.tasks.classification.metrics import wilson_interval
from cnntrain.tasks.classification.predictions import ImagePredictions
from cnntrain.tasks.classification.scores import ACCURACY
from cnntrain.tasks.doctor import Chance, Finding, Finished, MemorizationTest, Row
from cnntrain.tasks.scores import TRAIN, VAL, Figure

TRAIN_ACCURACY, VAL_ACCURACY = Figure(TRAIN, ACCURACY), Figure(VAL, ACCURACY)
OVERFITTING_EPOCHS = 3
GAP, CLEAR_GAP = 0.15, 0.05  # between training and validation; and what chance must leave of it
MIN_COMPARED = 10  # validation images, below which their accuracy is compared with nothing
FEW_VALIDATION, ENOUGH_VALIDATION = 50, 100  # images; and how many to ask for
MOST_HELD_OUT = 0.3  # share of the images that may be asked for as a validation set
IMBALANCED = 10  # images of the largest class for one of the smallest
MIN_ERRORS = 20  # from which something can be said of the labels
CONFIDENT = 0.15  # share of the errors as confident as right answers; up to 0.04 with right labels
TOO_EVEN = 0.2  # nats that the images can explain of the loss, below which nothing can be concluded
LEARNT = 0.2  # of the way from chance to no error, from which a run has learnt, whatever its loss


def findings(run: Finished) -> list[Finding]:
    """Return the problems of a run."""
    settings = run.settings
    found = [
        overfitting(settings, run.history, run.train, run.val),
        few_validation_images(settings, len(run.history), run.train_images, run.val_images),
        imbalance(settings, run.counts, run.class_names),
        None if run.val is None or run.is_explained else wrong_labels(run.val),
    ]
    return [finding for finding in found if finding is not None]


def chance_of(criterion: nn.Module, num_classes: int) -> Chance | None:
    """Return the loss at chance level, which is known for cross entropy alone."""
    if type(criterion) is not nn.CrossEntropyLoss:
        return None
    return Chance(math.log(num_classes), f"ln({num_classes})")


def has_learnt(row: Row, num_classes: int) -> bool:
    """Return whether many images are classified correctly, whatever soft labels leave of the loss.

    Args:
        row: the row of metrics.csv, of the last epoch.
        num_classes: the number of classes.
    """
    right = max(row[TRAIN_ACCURACY.name], VAL_ACCURACY.in_row(row) or 0.0)
    return bool(right - 1 / num_classes > LEARNT * (1 - 1 / num_classes))


def memorization_test(y: Tensor, num_classes: int) -> MemorizationTest | None:
    """Return the bounds of the cross entropy on labels, int64 (N,), or shares, float (N, classes).

    None where they are so near each other that nothing can be concluded: the labels are all but equal.
    """
    shares = nn.functional.one_hot(y, num_classes).float() if y.dim() == 1 else y.float()
    ignorant = float(torch.special.entr(shares.mean(dim=0)).sum())
    least = float(torch.special.entr(shares).sum(dim=1).mean())
    if ignorant - least < TOO_EVEN:
        return None
    return MemorizationTest(nn.functional.cross_entropy, ignorant, least)


def are_probabilities(output: Tensor) -> bool:
    """Return whether outputs, float (N, classes), are what a softmax gives, and no logits."""
    return bool((output >= 0).all()) and torch.allclose(output.sum(1), torch.ones_like(output[:, 0]))


def overfitting(
    settings: DoctorSettings,
    history: Sequence[Row],
    train: ImagePredictions | None,
    val: ImagePredictions | None,
) -> Finding | None:
    """Compare training with validation: in the last epoch, and for the weights that are kept.

    The accuracy of an epoch of training is no measure where images are augmented or mixed, units dropped or
    weights averaged; that of the kept weights on the training images as they are is one.

    Args:
        settings: the run's settings.
        history: the rows of metrics.csv.
        train: the kept weights on training images, without augmentation; None if they were not looked at.
        val: the same on validation images.
    """
    gap = gap_of_kept(train, val, settings.data.called.words)
    rise, ratio = losses_apart([row for row in history if row["val_loss"] is not None])
    evidence = "; ".join(filter(None, [gap, rise])) or ratio
    return Finding("it overfits", evidence, against_overfitting(settings)) if evidence else None


def gap_of_kept(train: ImagePredictions | None, val: ImagePredictions | None, words: str = "images") -> str:
    """Describe the gap between training and validation accuracy, if it is more than chance explains."""
    if train is None or val is None:
        return ""
    gap = train.accuracy - val.accuracy
    # How far the difference may be off: its 95 % interval by the hybrid score method (Newcombe 1998).
    low, _ = wilson_interval(train.accuracy, len(train.labels))
    _, high = wilson_interval(val.accuracy, len(val.labels))
    error = math.hypot(train.accuracy - low, high - val.accuracy)
    if len(val.labels) < MIN_COMPARED or gap < GAP or gap - error < CLEAR_GAP:
        return ""
    return (
        f"{train.accuracy:.1%} of {len(train.labels):,} training {words} right (without augmentation), "
        f"{val.accuracy:.1%} of {len(val.labels):,} validation {words}"
    )


def losses_apart(rows: Sequence[Row]) -> tuple[str, str]:
    """Report that the validation loss rose far above the training loss, where that is so.

    Args:
        rows: the rows of metrics.csv, with validation.
    """
    if len(rows) < OVERFITTING_EPOCHS:
        return "", ""
    best, last = min(rows, key=lambda row: float(row["val_loss"])), rows[-1]
    right, right_of_val = last[TRAIN_ACCURACY.name], last[VAL_ACCURACY.name]
    gap = right - right_of_val
    in_the_last = f"in the last, where {right:.1%} are right in training and {right_of_val:.1%} in validation"
    rises = last["val_loss"] > 1.25 * best["val_loss"] and gap > 0.05
    is_far = last["val_loss"] >= 4 * last["train_loss"] and gap >= 0.1
    first = f"{best['val_loss']:.3g} in epoch {best['epoch']}"
    both = f"{last['val_loss']:.3g} and training loss {last['train_loss']:.3g}"
    return (
        f"validation loss rises from {first} to {last['val_loss']:.3g} {in_the_last}" if rises else "",
        f"validation loss is {both} {in_the_last}" if is_far else "",
    )


def against_overfitting(settings: DoctorSettings) -> str:
    """Return what a run does not do yet against overfitting."""
    model, fixes = settings.model, []
    if not settings.augments:
        of_images = f"augment={'photos' if settings.data.channels == 3 else 'digits'}"
        fixes.append(of_images if settings.data.inputs == IMAGES else "augment.erase=0.5")
    if model.get("dropout") == 0:
        fixes.append("model.dropout=0.3")
    words = " ".join(fixes)
    if model.get("weights", "") is None and settings.init_from is None:
        words += f"{' or ' if words else ''}pretrained weights: model.weights=DEFAULT freeze=backbone"
    if not words and settings.early_stopping is None:
        words = f"early_stopping={OVERFITTING_EPOCHS}"
    return words or f"more {settings.data.called.words}, or a smaller model"


def few_validation_images(
    settings: DoctorSettings, epochs: int, train_images: int, val_images: int
) -> Finding | None:
    """Report that too few images choose the best epoch: one of them moves the accuracy by points."""
    if not 0 < val_images < FEW_VALIDATION or epochs < 2:
        return None
    called = settings.data.called
    one = f"one {called.word} is {100 / val_images:.1f} points of accuracy"
    evidence = f"{val_images} validation {called.words} choose the best of {epochs} epochs: {one}"
    fixes = [] if settings.monitor == "val_loss" else ["monitor=val_loss"]
    images = train_images + val_images
    wanted = min(MOST_HELD_OUT, math.ceil(100 * ENOUGH_VALIDATION / images) / 100)
    # A folder's own validation part, or a limit on the training images, makes another share of it.
    is_split = abs(val_images / images - settings.data.val_fraction) < 0.05
    if is_split and wanted > settings.data.val_fraction:
        fixes.append(f"data.val_fraction={wanted:g}")
    words = " or ".join(fixes) or f"hold out more {called.words}, or compare several seeds: seeds=5"
    return Finding(f"few validation {called.words}", evidence, words)


def imbalance(settings: DoctorSettings, counts: Sequence[int], names: Sequence[str]) -> Finding | None:
    """Compare the sizes of the classes.

    Args:
        settings: the run's settings.
        counts: training images of each class.
        names: the names of the classes.
    """
    if settings.balance_classes or len(counts) < 2 or min(counts) * IMBALANCED > max(counts):
        return None
    rare = min(range(len(counts)), key=lambda label: counts[label])
    most = count(max(counts), f"training {settings.data.called.word}")
    evidence = f"{most} of the largest class, {counts[rare]:,} of {names[rare]}"
    fix = "balance_classes=true, and look at balanced accuracy and each class's F1"
    return Finding("the classes are imbalanced", evidence, fix)


def wrong_labels(predictions: ImagePredictions) -> Finding | None:
    """Report that the model disagrees with labels as confidently as it agrees with others."""
    errors, images = int((~predictions.correct).sum()), len(predictions.labels)
    if errors < MIN_ERRORS or errors > 0.5 * images or predictions.share_as_confident() < CONFIDENT:
        return None
    evidence = (
        f"the model disagrees with {errors:,} of {images:,} validation labels, and in "
        f"{predictions.share_as_confident():.0%} of them it is as confident as where it agrees"
    )
    fix = (
        "look at the most confident mistakes in the report; criterion.label_smoothing=0.1 softens the labels"
    )
    return Finding("labels look wrong", evidence, fix)
