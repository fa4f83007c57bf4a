"""What is measured. Sums stay on the device until someone asks, so that measuring never waits for it.

A task says with two small subclasses what it measures besides the loss: one of :class:`RunningMean` in
training, one of :class:`Evaluation` in validation and test.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from cnntrain.compute.ddp import Shard
from cnntrain.errors import CheckpointError
from cnntrain.runtime.distributed import all_gather

Weight = float | Tensor


def sum_dtype(device: torch.device) -> torch.dtype:
    """Return the format of a sum that does not depend on how its examples were cut into batches."""
    return torch.float32 if device.type == "mps" else torch.float64  # Apple's GPUs have no fp64


def as_tensor(weights: list[Weight], device: torch.device) -> Tensor:
    """Return weights of batches as one tensor, (batches,)."""
    tensors = [weight for weight in weights if isinstance(weight, Tensor)]
    if len(tensors) == len(weights):
        return torch.stack(tensors)
    return torch.tensor([float(weight) for weight in weights], device=device, dtype=sum_dtype(device))


def added(values: Sequence[Any]) -> Any:
    """Return the sum of numbers, or of nested lists of them item by item."""
    if isinstance(values[0], list):
        return [added(items) for items in zip(*values, strict=True)]
    return sum(values)


class RunningMean:
    """The mean loss over the examples seen so far in an epoch of training; a subclass adds scores to it.

    A step only puts its batch on a list; the sums are brought up to date every ``PENDING`` batches, since a
    few small operations a step would cost a small model several per cent of its speed.

    Args:
        device: where the losses are.
        shard: this process's part of each batch, if several processes train the model.
    """

    PENDING = 32

    def __init__(self, device: torch.device, shard: Shard | None = None) -> None:
        self.shard = shard if shard is not None and shard.processes > 1 else None
        self.loss_sum = torch.zeros((), device=device, dtype=sum_dtype(device))
        self.sums: dict[str, Tensor] = {}  # what a subclass adds up, by name, of any shape
        self.weight: Weight = 0
        self.seen = 0
        self.batches = 0
        self.first_bad = torch.full((), -1, device=device)
        self.pending: list[tuple[Tensor, tuple[Tensor, ...], int, Weight]] = []

    def extract(self, output: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        """Return what is kept of a batch until its scores are added up, without a gradient."""
        return ()

    def add(self, *noted: Sequence[Tensor]) -> None:
        """Add to ``sums`` what :meth:`extract` returned of some batches: a sequence for each tensor."""

    def update(self, loss: Tensor, output: Tensor, y: Tensor, weight: Weight | None = None) -> None:
        """Count a batch.

        Args:
            loss: mean loss, ().
            output: the output of the model, of N examples.
            y: their targets.
            weight: what the loss counts; None: the number of examples.
        """
        if self.shard is not None and not self.shard.weight:
            return
        weight = len(y) if weight is None else weight
        self.pending.append((loss.detach(), self.extract(output, y), len(y), weight))
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

    def total(self, name: str) -> Tensor:
        """Return one of ``sums``, brought up to date."""
        self._add_up()
        return self.sums[name]

    def mean(self, name: str) -> float:
        """Return one of ``sums`` over the number of examples; 0 before the first."""
        return self.total(name).item() / max(1, self.seen)

    def diverged_at(self) -> int | None:
        """Return the first batch, counted from 0, whose loss was NaN or infinite; None if there is none.

        Every process of a run must call this.
        """
        self._add_up()
        first = int(self.first_bad)
        found = first if first >= 0 else None
        if self.shard is None:
            return found
        return min((bad for bad in all_gather(found) if bad is not None), default=None)

    def whole(self) -> RunningMean:
        """Return the mean over all processes of the run, which must all call this."""
        if self.shard is None:
            return self
        parts = all_gather(self.state_dict())
        whole = copy.deepcopy(self)
        whole.shard = None
        whole.load_state_dict({name: added([part[name] for part in parts]) for name in parts[0]})
        whole.batches = max(part["batches"] for part in parts)
        return whole

    def state_dict(self) -> dict[str, Any]:
        """Return the sums, for a checkpoint in mid-epoch."""
        self._add_up()
        sums = {name: value.tolist() for name, value in self.sums.items()}
        counts = {"seen": self.seen, "batches": self.batches}
        return {"loss_sum": float(self.loss_sum), **sums, "weight": float(self.weight), **counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from sums that :meth:`state_dict` returned; of several processes, the first counts them.

        Raises:
            CheckpointError: they are those of other scores.
        """
        saved = {name: self.as_saved(name, state.get(name)) for name in self.sums}
        if self.shard is not None and self.shard.rank > 0:
            saved = {name: torch.zeros_like(value) for name, value in self.sums.items()}
            state = {**dict.fromkeys(state, 0), "batches": state["batches"]}
        self.loss_sum.fill_(state["loss_sum"])
        for name, value in self.sums.items():
            value.copy_(saved[name])
        self.seen, self.batches = state["seen"], state["batches"]
        self.weight = state.get("weight", self.seen)  # earlier checkpoints do not have it
        self.first_bad.fill_(-1)
        self.pending.clear()

    def as_saved(self, name: str, saved: Any) -> Tensor:
        """Return a sum out of a checkpoint, of the shape and the dtype that it has here."""
        here = self.sums[name]
        try:
            value = torch.as_tensor(saved, dtype=here.dtype)
        except (TypeError, ValueError, RuntimeError, OverflowError):  # it is missing, or no such numbers
            value = None
        if value is None or value.shape != here.shape:
            raise CheckpointError(
                f"progress.mean.{name} of the checkpoint does not have the shape {tuple(here.shape)}"
            )
        return value

    def _add_up(self) -> None:
        if not self.pending:
            return
        all_losses, all_noted, sizes, weights = map(list, zip(*self.pending, strict=True))
        losses = torch.stack(all_losses).to(self.loss_sum.dtype)
        self.loss_sum += (losses * as_tensor(weights, losses.device)).sum()
        self.weight = self.weight + sum(weights)
        self.add(*zip(*all_noted, strict=True))
        finite = losses.isfinite()
        here = torch.where(finite.all(), -1, self.batches + finite.int().argmin())
        self.first_bad = torch.where(self.first_bad < 0, here, self.first_bad)
        self.seen += sum(sizes)
        self.batches += len(sizes)
        self.pending.clear()


@dataclass(frozen=True)
class Result:
    """An evaluation. A subclass holds a task's scores, each as an attribute with the name of the score.

    Args:
        loss: mean loss per example.
        examples: number of examples evaluated.
    """

    loss: float
    examples: int

    def as_dict(self) -> dict[str, Any]:
        """Return the loss, the scores and the number of examples, for files."""
        return dict(vars(self))

    def details(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return what files say about an evaluation besides, as plain types: figures for each class, say."""
        return {}


R = TypeVar("R", bound=Result, covariant=True)


class Evaluation(ABC, Generic[R]):
    """Collects a :class:`Result` batch by batch, counting every example once.

    Args:
        device: where the losses are.
    """

    def __init__(self, device: torch.device) -> None:
        self.loss_sum = torch.zeros((), device=device, dtype=sum_dtype(device))
        self.sums: dict[str, Tensor] = {}  # what a subclass adds up, by name, of any shape
        self.weight: Weight = 0
        self.seen = 0

    @abstractmethod
    def add(self, output: Tensor, y: Tensor) -> None:
        """Add to ``sums`` what the output of the model says about N examples with the targets y."""

    @abstractmethod
    def summed(self, loss: float, examples: int, sums: dict[str, Tensor]) -> R:
        """Return the result of all examples: their mean loss, number, and what was collected, on the CPU."""

    def update(self, loss: Tensor, output: Tensor, y: Tensor, weight: Weight | None = None) -> None:
        """Count a batch: mean loss (), output and targets of N examples, and what the loss counts, or N."""
        weight = len(y) if weight is None else weight
        self.loss_sum += loss.to(self.loss_sum.dtype) * weight
        self.weight = self.weight + weight
        self.seen += len(y)
        self.add(output, y)

    def collected(self) -> dict[str, Tensor]:
        """Return what this process has collected, on the CPU."""
        return {name: value.cpu() for name, value in self.sums.items()}

    def merged(self, parts: Sequence[Tensor]) -> Tensor:
        """Return what all processes have collected under one name, from what each of them has: their sum."""
        return sum(parts[1:], start=parts[0])

    def result(self) -> R:
        """Return what was collected by all processes of the run, which must all call this."""
        own = float(self.loss_sum), float(self.weight), self.seen
        losses, weights, seen, parts = zip(*all_gather((*own, self.collected())), strict=True)
        total = {name: self.merged([part[name] for part in parts]) for name in parts[0]}
        return self.summed(sum(losses) / (sum(weights) or 1.0), sum(seen), total)
