"""The training doctor: watches a run, and says what ails it, by which evidence, and what mends it.

It only looks on: no bit of the training changes, nor of the generators. On little evidence it says nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from cnntrain.data.workers import Batch
from cnntrain.examination import BY_HEART, BY_HEART_STEPS, Examination, examine, learn_by_heart
from cnntrain.metrics import RunningMean
from cnntrain.optim import lr_of
from cnntrain.precision import Precision

RATIO_AT = 5  # steps after which the weights are compared with those of the start
RATIO_TOO_LARGE, RATIO_TOO_SMALL = 0.2, 2e-3  # of a step to the weights
RATIO_GOOD = 0.02  # Adam's first steps are larger than the 0.001 that is usual later on
NOT_LEARNT = 0.8  # of the loss at the start, that is left at the end
LEARNT = 0.2  # of the way from guessing to no error, from which a run has learnt, whatever its loss
OVERFITTING_EPOCHS = 3
LOADER_BOUND = 0.4  # share of the time that the steps wait for their batches
MIN_WAITED = 1.0  # seconds, below which it is not worth a word
IMBALANCED = 10  # images of the largest class for one of the smallest
FEW_STEPS = 50  # before which a network still looks as it began
DEAD = 0.5  # share of a layer's units
MIN_ERRORS = 20  # from which something can be said of the labels
SURE = 0.15  # share of the errors that are as sure as right answers; up to 0.04 with right labels


@dataclass(frozen=True)
class Finding:
    """What ails a run.

    Args:
        finding: in a few words.
        evidence: the figures.
        mend: the override that mends it, or what to do.
    """

    finding: str
    evidence: str
    mend: str


class Doctor:
    """Watches the training of a model.

    Args:
        model: what is trained.
        optimizer: trains it.
        criterion: the loss.
        precision: number format of the forward pass.
        config: of the run.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        criterion: nn.Module,
        precision: Precision,
        config: Mapping[str, Any],
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.precision = precision
        self.config = config
        self.num_classes: int = config["data"]["num_classes"]
        # The loss of one who guesses is known of cross entropy alone.
        self.chance = math.log(self.num_classes) if type(criterion) is nn.CrossEntropyLoss else None
        self.first_loss: float | None = None
        self.first_batch: Batch | None = None
        self.looked_at: list[Tensor] = []  # since others may be trained in a later epoch
        self.start_of_run: list[Tensor] | None = None
        self.rates: list[float] = []
        self.ratio: float | None = None
        self.told: Finding | None = None
        self.waited = self.worked = 0.0
        self.step = 0

    def watch(self, batches: Iterator[Batch], resumed: bool) -> Iterator[Batch]:
        """Yield the batches of an epoch, and time how long each is waited for.

        Args:
            batches: of the epoch.
            resumed: whether steps were made before, so that these do not show how it began.
        """
        self.step = 0
        begin = time.perf_counter()
        for batch in batches:
            if not resumed and self.first_batch is None:
                self.first_batch = batch
                self.looked_at = self.weights()
                self.start_of_run = [weight.clone() for weight in self.looked_at]
            arrived = time.perf_counter()
            yield batch
            if self.step > RATIO_AT:  # the first ones warm up
                self.waited += arrived - begin
                self.worked += time.perf_counter() - arrived
            begin = time.perf_counter()

    def after_step(self, mean: RunningMean) -> Finding | None:
        """Look at the first steps of the run: how wrong it begins, and how far the weights move.

        Returns:
            What can be told at once, since no later step will make it better.
        """
        self.step += 1
        if self.start_of_run is None or self.step > RATIO_AT:
            return None
        if self.step == 1:
            self.first_loss = mean.loss
        self.rates.append(lr_of(self.optimizer))
        if self.step == RATIO_AT and sum(self.rates) > 0:
            pairs = zip(self.looked_at, self.start_of_run, strict=True)
            moved = sorted(float((now - then).norm() / then.norm()) for now, then in pairs if then.any())
            # As if there were no warm-up, which makes the first steps small.
            full = self.config["optim"].get("lr", self.rates[-1]) / (sum(self.rates) / RATIO_AT)
            self.ratio = full * moved[len(moved) // 2] / RATIO_AT if moved else None
            self.start_of_run = None
            self.told = self.start()
        return self.told if self.step == RATIO_AT else None

    def weights(self) -> list[Tensor]:
        """Return the weights that are trained, without biases and the like."""
        return [p.detach() for p in self.model.parameters() if p.dim() > 1 and p.requires_grad]

    def findings(
        self,
        history: Sequence[Mapping[str, Any]],
        counts: Sequence[int],
        val_batches: Iterable[Batch] | None,
        class_names: Sequence[str],
    ) -> list[Finding]:
        """Return what ails the run, now that it is over.

        Args:
            history: the rows of metrics.csv.
            counts: training images of each class.
            val_batches: of the validation set.
            class_names: of the classes.
        """
        cause = self.start() or self.learning(history)
        found = [cause, self.overfitting(history), self.imbalance(counts, class_names), self.loader()]
        has_learnt = bool(history) and history[-1]["step"] >= FEW_STEPS
        if val_batches is not None and cause is None and has_learnt:  # else that explains what is seen there
            examination = examine(self.model, val_batches, self.precision)
            found += [self.dead(examination), self.labels(examination)]
        return [finding for finding in found if finding is not None]

    def start(self) -> Finding | None:
        """Compare the first loss with that of one who guesses, ln(classes)."""
        if self.first_loss is None or self.chance is None or self.first_batch is None:
            return None
        if self.first_loss < 1.5 * self.chance + 0.5:
            return None
        evidence = (
            f"{self.first_loss:.2f} before the first step, where guessing gives "
            f"ln({self.num_classes}) = {self.chance:.2f}"
        )
        x, data = self.first_batch[0], self.config["data"]
        mean, std = x.mean(dim=(0, 2, 3)).tolist(), x.std(dim=(0, 2, 3)).tolist()
        if all(abs(m) < 1 and 0.3 < s < 3 for m, s in zip(mean, std, strict=True)):
            mend = "let the last layer of the model begin with smaller weights"
            return Finding("the loss begins far above chance", evidence, mend)
        olds = [
            (d[0] if len(d) == 1 else d[c]) for d in (data["mean"], data["std"]) for c in range(len(mean))
        ]
        old_mean, old_std = olds[: len(mean)], olds[len(mean) :]
        means = ",".join(f"{o + s * m:.3g}" for o, s, m in zip(old_mean, old_std, mean, strict=True))
        stds = ",".join(f"{o * s:.3g}" for o, s in zip(old_std, std, strict=True))
        evidence += f"; pixels reach the network with mean {mean[0]:.2g} and deviation {std[0]:.2g}"
        mend = f"'data.mean=[{means}]' 'data.std=[{stds}]'"
        return Finding("the images are not normalised", evidence, mend)

    def learning(self, history: Sequence[Mapping[str, Any]]) -> Finding | None:
        """Say why a run has learnt nothing."""
        start = self.first_loss if self.chance is None else self.chance
        if not history or start is None or history[-1]["train_loss"] < NOT_LEARNT * start:
            return None
        right = max(history[-1]["train_accuracy"], history[-1]["val_accuracy"] or 0.0)
        if right - 1 / self.num_classes > LEARNT * (1 - 1 / self.num_classes):  # smoothed or mixed labels
            return None
        last, lr = history[-1]["train_loss"], self.config["optim"].get("lr")
        evidence = f"train loss {last:.3g} after {history[-1]['step']:,} steps, {start:.3g} by guessing"
        if self.ratio and lr is not None:
            changes = f"{evidence}; a step moves the weights by {self.ratio:.1e} of their size"
            if self.ratio > RATIO_TOO_LARGE:
                smaller = nice(lr * min(0.1, RATIO_GOOD / self.ratio))
                return Finding("the learning rate is too high", changes, f"optim.lr={smaller}")
            if self.ratio < RATIO_TOO_SMALL:
                larger = nice(lr * max(10.0, 0.1 * RATIO_GOOD / self.ratio))
                return Finding("the learning rate is too low", changes, f"optim.lr={larger}")
        if self.first_batch is None or history[-1]["step"] < BY_HEART_STEPS:
            return None
        before, after = learn_by_heart(self.model, *self.first_batch)
        one_batch = f"{evidence}; {BY_HEART} images alone: loss {before:.2g} to {after:.2g}"
        if after > 0.5 * before:
            mend = "see whether gradients reach every layer: cnntrain explain shows them"
            return Finding("the model can't even learn one batch by heart", one_batch, mend)
        mend = "see whether the labels belong to the images; if they do, train longer or take a larger model"
        return Finding("one batch is learnt by heart, but not the training set", one_batch, mend)

    def overfitting(self, history: Sequence[Mapping[str, Any]]) -> Finding | None:
        """Compare training with validation."""
        rows = [row for row in history if row["val_loss"] is not None]
        if len(rows) < OVERFITTING_EPOCHS:
            return None
        best, last = min(rows, key=lambda row: float(row["val_loss"])), rows[-1]
        gap = last["train_accuracy"] - last["val_accuracy"]
        rises = last["val_loss"] > 1.25 * best["val_loss"] and gap > 0.05
        if not rises and (gap < 0.1 or last["val_loss"] < 4 * last["train_loss"]):
            return None
        evidence = (
            f"validation loss {best['val_loss']:.3g} in epoch {best['epoch']}, {last['val_loss']:.3g} in the "
            f"last; {last['train_accuracy']:.1%} right in training, {last['val_accuracy']:.1%} in validation"
        )
        mends = []
        if not any(value for name, value in self.config["augment"].items() if name != "_target_"):
            mends.append(f"augment={'photos' if self.config['data']['channels'] == 3 else 'digits'}")
        if self.config["model"].get("dropout") == 0:
            mends.append("model.dropout=0.3")
        if not mends and self.config["early_stopping"] is None:
            mends.append(f"early_stopping={OVERFITTING_EPOCHS}")
        return Finding("it overfits", evidence, " ".join(mends) or "more images, or a smaller model")

    def imbalance(self, counts: Sequence[int], class_names: Sequence[str]) -> Finding | None:
        """Compare the sizes of the classes."""
        if self.config["balance_classes"] or len(counts) < 2 or min(counts) * IMBALANCED > max(counts):
            return None
        rare = min(range(len(counts)), key=lambda label: counts[label])
        evidence = (
            f"{max(counts):,} training images of the largest class, {counts[rare]:,} of {class_names[rare]}"
        )
        return Finding(
            "the classes are imbalanced", evidence, "balance_classes=true, and look at each class's F1"
        )

    def loader(self) -> Finding | None:
        """See how long the steps wait for their batches."""
        total = self.waited + self.worked
        if self.waited < MIN_WAITED or self.waited < LOADER_BOUND * total:
            return None
        workers = self.config["workers"]
        mend = f"workers={2 * workers or 2}"
        if self.config["data"]["cache"] == "off":
            mend = f"data.cache=auto, or {mend}"
        evidence = f"steps wait for their images {self.waited / total:.0%} of the time"
        return Finding("training is bound by the loader", evidence, mend)

    def dead(self, examination: Examination) -> Finding | None:
        """Say in which layer most units are 0 for every image, so that nothing can move them any more."""
        worst = examination.deadest()
        if worst is None or worst[1] < DEAD:
            return None
        name, share, units = worst
        evidence = f"{share:.0%} of the {units:,} units of {name} are 0 for every validation image"
        lr = self.config["optim"].get("lr")
        smaller = f"optim.lr={nice(lr / 10)}" if lr is not None else "a smaller learning rate"
        mend = f"{smaller} or model.activation=LeakyReLU" if "activation" in self.config["model"] else smaller
        return Finding("dead ReLUs", evidence, mend)

    def labels(self, examination: Examination) -> Finding | None:
        """Say that the model disagrees with labels as surely as it agrees with others."""
        errors, images = int(examination.wrong.sum()), len(examination.wrong)
        if errors < MIN_ERRORS or errors > 0.5 * images or examination.share_as_sure() < SURE:
            return None
        evidence = (
            f"the model disagrees with {errors:,} of {images:,} validation labels, and in "
            f"{examination.share_as_sure():.0%} of them it is as sure as where it agrees"
        )
        mend = "look at the surest errors in the report; criterion.label_smoothing=0.1 softens them"
        return Finding("labels look wrong", evidence, mend)


def nice(value: float) -> str:
    """Return a number with one significant digit, as it is typed."""
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def as_dicts(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Return findings for summary.json."""
    return [asdict(finding) for finding in findings]
