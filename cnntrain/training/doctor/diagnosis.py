"""What the training doctor concludes from the figures of a run that is over. On little evidence: nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cnntrain.compute.wait_time import Stopwatch
from cnntrain.config.sections import DoctorSettings
from cnntrain.runtime.console import Console, Whole
from cnntrain.tasks.classification.metrics import wilson_interval
from cnntrain.training.doctor.diagnostics import Examination

OVERFITTING_EPOCHS = 3
GAP, CLEAR_GAP = 0.15, 0.05  # between training and validation; and what chance must leave of it
MIN_COMPARED = 10  # validation images, below which their accuracy is compared with nothing
FEW_VALIDATION, ENOUGH_VALIDATION = 50, 100  # images; and how many to ask for
MOST_HELD_OUT = 0.3  # share of the images that may be asked for as a validation set
IMBALANCED = 10  # images of the largest class for one of the smallest
LOADER_BOUND = 0.4  # share of the time that the steps wait for their batches
MIN_WAITED = 1.0  # seconds, below which it is not worth a word
DEAD = 0.5  # share of a layer's units
MIN_ERRORS = 20  # from which something can be said of the labels
CONFIDENT = 0.15  # share of the errors as confident as right answers; up to 0.04 with right labels

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """A problem of a run.

    Args:
        finding: in a few words.
        evidence: the figures.
        fix: the suggested fix: an override, or what to do.
    """

    finding: str
    evidence: str
    fix: str


def overfitting(
    settings: DoctorSettings,
    history: Sequence[Row],
    train: Examination | None,
    val: Examination | None,
) -> Finding | None:
    """Compare training with validation: in the last epoch, and for the weights that are kept.

    The accuracy of an epoch of training is no measure where images are augmented or mixed, units dropped or
    weights averaged; that of the kept weights on the training images as they are is one.

    Args:
        settings: what the run does.
        history: the rows of metrics.csv.
        train: the kept weights on training images, without augmentation; None if they were not looked at.
        val: the same on validation images.
    """
    gap = gap_of_kept(train, val)
    rise, ratio = losses_apart([row for row in history if row["val_loss"] is not None])
    evidence = "; ".join(filter(None, [gap, rise])) or ratio
    return Finding("it overfits", evidence, against_overfitting(settings)) if evidence else None


def gap_of_kept(train: Examination | None, val: Examination | None) -> str:
    """Say how far training and validation accuracy lie apart, if they do by more than chance explains."""
    if train is None or val is None:
        return ""
    gap = train.accuracy - val.accuracy
    # How far the difference may be off: its 95 % interval by the hybrid score method (Newcombe 1998).
    low, _ = wilson_interval(train.accuracy, len(train.wrong))
    _, high = wilson_interval(val.accuracy, len(val.wrong))
    error = math.hypot(train.accuracy - low, high - val.accuracy)
    if len(val.wrong) < MIN_COMPARED or gap < GAP or gap - error < CLEAR_GAP:
        return ""
    return (
        f"{train.accuracy:.1%} of {len(train.wrong):,} training images right (without augmentation), "
        f"{val.accuracy:.1%} of {len(val.wrong):,} validation images"
    )


def losses_apart(rows: Sequence[Row]) -> tuple[str, str]:
    """Say that the validation loss rose, and that it is far above the training loss, where that is so.

    Args:
        rows: of metrics.csv, with validation.
    """
    if len(rows) < OVERFITTING_EPOCHS:
        return "", ""
    best, last = min(rows, key=lambda row: float(row["val_loss"])), rows[-1]
    gap = last["train_accuracy"] - last["val_accuracy"]
    in_the_last = (
        f"in the last, where {last['train_accuracy']:.1%} are right in training and "
        f"{last['val_accuracy']:.1%} in validation"
    )
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
    if not augments(settings):
        fixes.append(f"augment={'photos' if settings.data.channels == 3 else 'digits'}")
    if model.get("dropout") == 0:
        fixes.append("model.dropout=0.3")
    words = " ".join(fixes)
    if model.get("weights", "") is None and settings.init_from is None:
        words += f"{' or ' if words else ''}pretrained weights: model.weights=DEFAULT freeze=backbone"
    if not words and settings.early_stopping is None:
        words = f"early_stopping={OVERFITTING_EPOCHS}"
    return words or "more images, or a smaller model"


def few_validation_images(
    settings: DoctorSettings, epochs: int, train_images: int, val_images: int
) -> Finding | None:
    """Say that too few images choose the best epoch: one of them moves the accuracy by points."""
    if not 0 < val_images < FEW_VALIDATION or epochs < 2:
        return None
    one = f"one image is {100 / val_images:.1f} points of accuracy"
    evidence = f"{val_images} validation images choose the best of {epochs} epochs: {one}"
    fixes = [] if settings.monitor == "val_loss" else ["monitor=val_loss"]
    images = train_images + val_images
    wanted = min(MOST_HELD_OUT, math.ceil(100 * ENOUGH_VALIDATION / images) / 100)
    # A folder's own validation part, or a limit on the training images, makes another share of it.
    is_split = abs(val_images / images - settings.data.val_fraction) < 0.05
    if is_split and wanted > settings.data.val_fraction:
        fixes.append(f"data.val_fraction={wanted:g}")
    words = " or ".join(fixes) or "hold out more images, or compare several seeds: seeds=5"
    return Finding("few validation images", evidence, words)


def imbalance(settings: DoctorSettings, counts: Sequence[int], names: Sequence[str]) -> Finding | None:
    """Compare the sizes of the classes.

    Args:
        settings: what the run does.
        counts: training images of each class.
        names: of the classes.
    """
    if settings.balance_classes or len(counts) < 2 or min(counts) * IMBALANCED > max(counts):
        return None
    rare = min(range(len(counts)), key=lambda label: counts[label])
    evidence = f"{max(counts):,} training images of the largest class, {counts[rare]:,} of {names[rare]}"
    fix = "balance_classes=true, and look at balanced accuracy and each class's F1"
    return Finding("the classes are imbalanced", evidence, fix)


def waiting(settings: DoctorSettings, stopwatch: Stopwatch, is_streamed: bool) -> Finding | None:
    """See how long the steps wait for their batches, where workers or a cache can shorten that.

    Args:
        settings: what the run does.
        stopwatch: how long the steps have waited. The wait for workers to start is no reason to add some.
        is_streamed: whether images are decoded when their batch is made.
    """
    waited = stopwatch.waited - stopwatch.started
    if waited < MIN_WAITED or waited < LOADER_BOUND * (waited + stopwatch.worked):
        return None
    if not is_streamed and augments(settings):  # which is done on the device, after the workers
        return None
    fix = f"workers={2 * settings.data.workers or 2}"
    if settings.data.cache == "off":
        fix = f"data.cache=auto, or {fix}"
    evidence = f"steps wait for their images {stopwatch.share:.0%} of the time"
    return Finding("data loading limits the speed", evidence, fix)


def augments(settings: DoctorSettings) -> bool:
    """Return whether a run changes its training images."""
    return any(value for name, value in settings.augment.items() if name != "_target_")


def dead_units(settings: DoctorSettings, examination: Examination) -> Finding | None:
    """Say in which layer most units are 0 for every image, so that no gradient reaches their weights."""
    worst = examination.deadest()
    if worst is None or worst[1] < DEAD:
        return None
    name, share, units = worst
    images = len(examination.wrong)
    evidence = f"{share:.0%} of the {units:,} units of {name} are 0 for all of {images:,} validation images"
    lr = settings.lr
    smaller = f"optim.lr={nice(lr / 10)}" if lr is not None else "a smaller learning rate"
    fix = f"{smaller} or model.activation=LeakyReLU" if "activation" in settings.model else smaller
    return Finding("dead ReLUs", evidence, fix)


def wrong_labels(examination: Examination) -> Finding | None:
    """Say that the model disagrees with labels as confidently as it agrees with others."""
    errors, images = int(examination.wrong.sum()), len(examination.wrong)
    if errors < MIN_ERRORS or errors > 0.5 * images or examination.share_as_confident() < CONFIDENT:
        return None
    evidence = (
        f"the model disagrees with {errors:,} of {images:,} validation labels, and in "
        f"{examination.share_as_confident():.0%} of them it is as confident as where it agrees"
    )
    fix = (
        "look at the most confident mistakes in the report; criterion.label_smoothing=0.1 softens the labels"
    )
    return Finding("labels look wrong", evidence, fix)


def nice(value: float) -> str:
    """Return a number with one significant digit, as it is typed."""
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def as_dicts(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Return findings for summary.json."""
    return [asdict(finding) for finding in findings]


def show_finding(console: Console, finding: Finding) -> None:
    """Print a problem that the training doctor has found, and the suggested fix."""
    fix = "        try [bold]{}[/]" if "=" in finding.fix else "        {}"
    console.line("[yellow]doctor:[/] {}: {}", Whole(finding.finding), Whole(finding.evidence), hang=8)
    console.line(fix, Whole(finding.fix), hang=8)
