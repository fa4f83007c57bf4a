"""What is measured. Sums stay on the device until someone asks, so that measuring never waits for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnntrain.compute.ddp import Share
from cnntrain.runtime.distributed import gathered
from cnntrain.runtime.ranks import world_size

IMBALANCED = 1.5  # examples of the largest class for one of the smallest


def sum_dtype(device: torch.device) -> torch.dtype:
    """Return the format of a sum that does not depend on how its examples were cut into batches."""
    return torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no fp64


def as_tensor(weights: list[float | Tensor], device: torch.device) -> Tensor:
    """Return weights of batches as one tensor, (batches,)."""
    tensors = [weight for weight in weights if isinstance(weight, Tensor)]
    if len(tensors) == len(weights):
        return torch.stack(tensors)
    return torch.tensor([float(weight) for weight in weights], device=device, dtype=sum_dtype(device))


class RunningMean:
    """Mean loss and accuracy over the examples seen so far in an epoch of training.

    A step only puts its batch on a list; the sums are brought up to date every ``PENDING`` batches, since a
    few small operations a step would cost a small model several per cent of its speed.
    """

    PENDING = 32

    def __init__(self, device: torch.device) -> None:
        self.loss_sum = torch.zeros((), device=device, dtype=sum_dtype(device))
        self.correct = torch.zeros((), device=device, dtype=torch.int64)
        self.weight: float | Tensor = 0
        self.seen = 0
        self.batches = 0
        self.first_bad = torch.full((), -1, device=device)
        self.pending: list[tuple[Tensor, Tensor, Tensor, float | Tensor]] = []

    def update(self, loss: Tensor, output: Tensor, y: Tensor, weight: float | Tensor | None = None) -> None:
        """Count a batch.

        Args:
            loss: mean loss, ().
            output: logits, float (N, classes).
            y: labels, int64 (N,), or shares of the classes, float (N, classes). Of mixed images, the class
                with the largest share is the right one.
            weight: what the loss counts; None: the number of examples.
        """
        label = y if y.dim() == 1 else y.argmax(dim=1)
        weight = len(y) if weight is None else weight
        self.pending.append((loss.detach(), output.detach().argmax(dim=1), label, weight))
        if len(self.pending) == self.PENDING:
            self._add_up()

    @property
    def loss(self) -> float:
        """Mean loss per example, weighted if the loss has class weights."""
        self._add_up()
        return float(self.loss_sum) / (float(self.weight) or 1.0)

    @property
    def loss_so_far(self) -> float:
        """The same, but the sums stay as they are: looking at a run changes none of its bits."""
        waiting = [(float(loss), float(weight)) for loss, _, _, weight in self.pending]
        total = float(self.loss_sum) + sum(loss * weight for loss, weight in waiting)
        return total / ((float(self.weight) + sum(weight for _, weight in waiting)) or 1.0)

    @property
    def accuracy(self) -> float:
        """Share of examples classified correctly, from 0 to 1."""
        self._add_up()
        return int(self.correct) / max(1, self.seen)

    def diverged_at(self) -> int | None:
        """Return the first batch, counted from 0, whose loss was NaN or infinite; None if there is none."""
        self._add_up()
        first = int(self.first_bad)
        return first if first >= 0 else None

    def whole(self) -> RunningMean:
        """Return the mean over all processes of the run; this is the only one."""
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, for a checkpoint in mid-epoch."""
        self._add_up()
        sums = {"loss_sum": float(self.loss_sum), "correct": int(self.correct), "weight": float(self.weight)}
        return {**sums, "seen": self.seen, "batches": self.batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from sums that :meth:`state_dict` returned."""
        self.loss_sum.fill_(state["loss_sum"])
        self.correct.fill_(state["correct"])
        self.seen, self.batches = state["seen"], state["batches"]
        self.weight = state.get("weight", self.seen)  # earlier checkpoints do not have it
        self.first_bad.fill_(-1)
        self.pending.clear()

    def _add_up(self) -> None:
        if not self.pending:
            return
        losses = torch.stack([loss for loss, _, _, _ in self.pending]).to(self.loss_sum.dtype)
        sizes = [len(y) for _, _, y, _ in self.pending]
        predictions = torch.cat([prediction for _, prediction, _, _ in self.pending])
        labels = torch.cat([y for _, _, y, _ in self.pending])
        weights = [weight for _, _, _, weight in self.pending]
        self.loss_sum += (losses * as_tensor(weights, losses.device)).sum()
        self.weight = self.weight + sum(weights)
        self.correct += (predictions == labels).sum()
        finite = losses.isfinite()
        here = torch.where(finite.all(), -1, self.batches + finite.int().argmin())
        self.first_bad = torch.where(self.first_bad < 0, here, self.first_bad)
        self.seen += sum(sizes)
        self.batches += len(sizes)
        self.pending.clear()


@dataclass(frozen=True)
class Result:
    """An evaluation.

    Args:
        loss: mean loss per example.
        confusion: int64 (classes, classes); row: true class, column: predicted class.
        top5: share of examples whose class is among the five likeliest; None up to 5 classes.
        weight: what the loss counts in a mean over several evaluations; None: the number of examples.
    """

    loss: float
    confusion: Tensor
    top5: float | None = None
    weight: float | None = None

    @property
    def examples(self) -> int:
        """Number of examples evaluated."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Share of examples classified correctly, from 0 to 1."""
        return int(self.confusion.diag().sum()) / max(1, self.examples)

    @property
    def balanced_accuracy(self) -> float:
        """Mean recall over the classes that have examples, from 0 to 1: each class counts the same."""
        support = self.confusion.sum(dim=1)
        recall = self.confusion.diag().double() / support.clamp(min=1)
        return float(recall[support > 0].mean()) if self.examples else 0.0

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that have examples or predictions, from 0 to 1."""
        both = self.confusion.sum(dim=0) + self.confusion.sum(dim=1)
        f1 = 2 * self.confusion.diag().double() / both.clamp(min=1)
        return float(f1[both > 0].mean()) if self.examples else 0.0

    @property
    def is_imbalanced(self) -> bool:
        """Whether the largest class has so many more examples than the smallest that accuracy hides some."""
        support = self.confusion.sum(dim=1)
        return int(support.max()) > IMBALANCED * int(support.min())

    def per_class(self, class_names: tuple[str, ...]) -> list[dict[str, Any]]:
        """Return precision, recall, F1 and support of each class; a share of nothing counts as 0."""
        hits = self.confusion.diag().double()
        predicted = self.confusion.sum(dim=0).double()
        support = self.confusion.sum(dim=1)
        precision = (hits / predicted.clamp(min=1)).tolist()
        recall = (hits / support.double().clamp(min=1)).tolist()
        f1 = (2 * hits / (predicted + support).clamp(min=1)).tolist()
        columns = zip(class_names, precision, recall, f1, support.tolist(), strict=True)
        return [
            {"class": name, "precision": p, "recall": r, "f1": f, "support": s}
            for name, p, r, f, s in columns
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return loss, the accuracies and macro F1; top-5 accuracy where it says something."""
        scores = {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
            "examples": self.examples,
        }
        return scores if self.top5 is None else {**scores, "top5_accuracy": self.top5}


class Evaluation:
    """Collects a :class:`Result` batch by batch, counting every example once."""

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self.num_classes = num_classes
        self.loss_sum = torch.zeros((), device=device, dtype=sum_dtype(device))
        self.in_top5 = torch.zeros((), device=device, dtype=torch.int64)
        self.confusion = torch.zeros(num_classes * num_classes, device=device, dtype=torch.int64)
        self.weight: float | Tensor = 0
        self.seen = 0

    def update(self, loss: Tensor, output: Tensor, y: Tensor, weight: float | Tensor | None = None) -> None:
        """Count a batch: mean loss (), logits (N, classes), labels (N,), and what the loss counts, or N."""
        weight = len(y) if weight is None else weight
        self.loss_sum += loss.to(self.loss_sum.dtype) * weight
        self.weight = self.weight + weight
        self.seen += len(y)
        cells = y * self.num_classes + output.argmax(dim=1)
        self.confusion += torch.bincount(cells, minlength=self.num_classes**2)
        if self.num_classes > 5:
            self.in_top5 += (output.topk(5, dim=1).indices == y[:, None]).sum()

    def result(self) -> Result:
        """Return what was collected."""
        confusion = self.confusion.view(self.num_classes, self.num_classes).cpu()
        top5 = int(self.in_top5) / max(1, self.seen) if self.num_classes > 5 else None
        weight = float(self.weight)
        return Result(float(self.loss_sum) / (weight or 1.0), confusion, top5, weight)


def wilson_interval(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return the 95 % interval of a proportion (Wilson 1927), which holds near 0 and 1 too."""
    if count == 0:
        return 0.0, 1.0
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, centre - half), min(1.0, centre + half)


def running_mean(device: torch.device, share: Share) -> RunningMean:
    """Return a mean over the examples of all processes."""
    return RunningMean(device) if share.processes == 1 else SharedMean(device, share)


def whole(result: Result) -> Result:
    """Return the evaluation of all examples; each process has evaluated a part."""
    if world_size() == 1:
        return result
    weight = result.examples if result.weight is None else result.weight
    parts = gathered((result.loss * weight, weight, result.confusion, (result.top5 or 0.0) * result.examples))
    losses, weights, confusions, top5s = zip(*parts, strict=True)
    confusion = sum(confusions[1:], start=confusions[0])
    top5 = None if result.top5 is None else sum(top5s) / max(1, int(confusion.sum()))
    return Result(sum(losses) / (sum(weights) or 1.0), confusion, top5, sum(weights))


class SharedMean(RunningMean):
    """A running mean over all processes; each sees its share.

    Args:
        device: where the losses are.
        share: of this process, which tells what has no weight.
    """

    def __init__(self, device: torch.device, share: Share) -> None:
        super().__init__(device)
        self.share = share

    def update(self, loss: Tensor, output: Tensor, y: Tensor, weight: float | Tensor | None = None) -> None:
        """Count this process's part of a batch."""
        if self.share.weight:
            super().update(loss, output, y, weight)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from sums over all processes, which the first one keeps for all."""
        nothing = dict.fromkeys(state, 0)
        super().load_state_dict(state if self.share.rank == 0 else {**nothing, "batches": state["batches"]})

    def whole(self) -> RunningMean:
        """Return the mean over all processes, which must all call this."""
        whole = RunningMean(self.loss_sum.device)
        parts = gathered(self.state_dict())
        whole.load_state_dict({name: sum(part[name] for part in parts) for name in parts[0]})
        whole.batches = max(part["batches"] for part in parts)
        return whole

    def diverged_at(self) -> int | None:
        """Return the first batch whose loss was NaN or infinite in any process; all must call this."""
        found = [bad for bad in gathered(super().diverged_at()) if bad is not None]
        return min(found, default=None)
