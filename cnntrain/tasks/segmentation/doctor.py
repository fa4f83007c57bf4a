"""The conclusions that the training doctor draws from a finished segmentation. Little evidence gives none."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnntrain.annotations.regions import IGNORED
from cnntrain.config.sections import DoctorSettings
from cnntrain.tasks.doctor import Chance, Finding, Finished, MemorizationTest, Row
from cnntrain.tasks.segmentation.losses import CrossEntropy
from cnntrain.tasks.segmentation.metrics import iou_of
from cnntrain.tasks.segmentation.predictions import MaskScores

LEARNT = 0.2  # of the way from chance to no error, from which a run has learnt, whatever its loss
TOO_EVEN = 0.05  # nats that the images can explain of the loss, below which nothing can be concluded
SWALLOWED, THEIRS = 0.98, 0.03  # share of the pixels taken for one class; and of those that are others
IGNORED_SHARE = 0.5  # of the training pixels
SCATTERED = 0.5  # share of the images whose masks fit better elsewhere
RARE = 0.05  # share of the pixels of a rare class
POORER = 0.5  # IoU of the worst of them, in that of the most frequent class


def findings(run: Finished) -> list[Finding]:
    """Return the problems of a run."""
    found = [run.never_there("mask"), misaligned(run), ignored(run.train)]
    if not run.is_explained and run.val is not None:
        swallowed = swallows(run.val, run.class_names, run.settings)
        found += [swallowed or poor_rare_classes(run.val, run.class_names, run.settings)]
    return [finding for finding in found if finding is not None]


def chance_of(criterion: nn.Module, num_classes: int) -> Chance | None:
    """Return the loss at chance level, which is known for cross entropy alone."""
    if type(criterion) not in (CrossEntropy, nn.CrossEntropyLoss):
        return None
    return Chance(math.log(num_classes), f"ln({num_classes})")


def has_learnt(row: Row, num_classes: int) -> bool:
    """Return whether the mean IoU of the last row of metrics.csv is well above that of a constant class."""
    best = max(row["train_miou"], row["val_miou"] or 0.0)
    return bool(best - 1 / num_classes > LEARNT * (1 - 1 / num_classes))


def memorization_test(y: Tensor, num_classes: int) -> MemorizationTest | None:
    """Return the bounds of the cross entropy on classes, int64 (N, H, W).

    The ignorant model knows how frequent the classes are, and nothing of where they are. None where one class
    has nearly all pixels, since nothing can be concluded then.
    """
    counts = y.flatten()[(y != IGNORED).flatten()].bincount(minlength=num_classes).double()
    ignorant = float(torch.special.entr(counts / counts.sum().clamp(min=1)).sum())
    return MemorizationTest(loss, ignorant, 0.0) if ignorant >= TOO_EVEN else None


def loss(output: Tensor, y: Tensor) -> Tensor:
    """Return the cross entropy of logits, float (N, classes, H, W), over the pixels that count."""
    return F.cross_entropy(output, y, ignore_index=IGNORED)


def misaligned(run: Finished) -> Finding | None:
    """Report that masks do not lie on the edges of their images."""
    train: MaskScores | None = run.train
    if train is None or train.alignment is None:
        return None
    found, images = train.alignment.better(), len(train.alignment.edges)
    finding = "the masks do not line up with their images"
    if found is not None:
        evidence = (
            f"{found.how}, the masks of {images:,} training images have borders on edges {found.there:.1f} "
            f"times as strong as the mean of the image; as they are, {found.local_results:.1f} times"
        )
        fix = "make image and mask in the same way: crop, padding, size, and the turn that EXIF asks for"
        return Finding(finding, evidence, fix)
    share, images = train.alignment.elsewhere()
    if share < SCATTERED or has_learnt(run.history[-1], len(run.class_names)):
        return None
    evidence = (
        f"{share:.0%} of the masks of {images:,} training images fit the edges better when they are moved, "
        "each in another direction"
    )
    return Finding(
        finding, evidence, "check that each mask belongs to its image: cnntrain data DIR --html FILE"
    )


def ignored(train: MaskScores | None) -> Finding | None:
    """Report that most pixels are ignored everywhere."""
    if train is None:
        return None
    none, counted = int(train.ignored.sum()), int(train.counted.sum())
    share = none / max(1, none + counted)
    if share <= IGNORED_SHARE:
        return None
    evidence = f"{share:.1%} of the pixels of {len(train.ignored):,} training masks have label {IGNORED}"
    if empty := int((train.counted == 0).sum()):
        evidence += f", and {empty:,} masks nothing else"
    fix = "check labels that no class has, and data.resize=pad, whose margins are ignored: cnntrain data DIR"
    return Finding("most pixels are ignored", evidence, fix)


def swallows(val: MaskScores, names: Sequence[str], settings: DoctorSettings) -> Finding | None:
    """Report that nearly all pixels are predicted as one class."""
    _, true, said = val.pixels.double()
    total = max(1.0, float(true.sum()))
    most = int(said.argmax())
    taken, others = float(said[most]) / total, 1 - float(true[most]) / total
    found_of_others = 1 - taken
    if taken < SWALLOWED or others < THEIRS or found_of_others > 0.5 * others:
        return None
    evidence = (
        f"{taken:.1%} of the validation pixels are taken for {names[most]}, and {1 - others:.1%} are of it"
    )
    return Finding("one class swallows the others", evidence, for_rare_classes(settings))


def poor_rare_classes(val: MaskScores, names: Sequence[str], settings: DoctorSettings) -> Finding | None:
    """Report that a rare class is segmented much worse than the most frequent one.

    If a class that is no more frequent is found, rarity is not the cause: more epochs may be all it takes.
    """
    true, iou = val.pixels[1].double(), iou_of(val.pixels)
    shares, most = true / true.sum().clamp(min=1), int(true.argmax())
    rare = [index for index, share in enumerate(shares.tolist()) if 0 < share < RARE]
    if not rare or settings.balance_classes:
        return None
    worst = min(rare, key=lambda index: float(iou[index]))
    enough = POORER * float(iou[most])
    if any(float(iou[index]) >= enough for index in rare if shares[index] <= shares[worst]):
        return None
    evidence = (
        f"IoU {float(iou[worst]):.1%} of {names[worst]}, which has {float(shares[worst]):.2%} of the "
        f"validation pixels; {float(iou[most]):.1%} of {names[most]}, which has {float(shares[most]):.1%}"
    )
    return Finding("rare classes are hardly found", evidence, for_rare_classes(settings))


def for_rare_classes(settings: DoctorSettings) -> str:
    """Return what makes a run take rare classes more seriously."""
    fixes = [] if "Dice" in settings.criterion["_target_"] else ["criterion=ce_dice"]
    fixes += [] if settings.balance_classes else ["balance_classes=true"]
    return " or ".join(fixes) or "more epochs, or more images that show the rare classes"
