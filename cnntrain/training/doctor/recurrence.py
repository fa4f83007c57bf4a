"""Gradients on their way back through time, which explode or vanish in recurrent networks.

Each step multiplies them by the same weights (Bengio et al. 1994, Learning Long-Term Dependencies with
Gradient Descent is Difficult; Pascanu et al. 2013, arXiv 1211.5063, whose remedy is to clip the norm).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from cnntrain.config.sections import DoctorSettings
from cnntrain.data.batches import Batch
from cnntrain.models.copying import copied
from cnntrain.models.hooks import changed_inputs
from cnntrain.tasks.doctor import Finding
from cnntrain.training.doctor.diagnosis import RATIO_GOOD, round_to_nice

FIRST = 5  # steps of training, which show how large gradients are before any has exploded
SURGED = 10.0  # times the norm of the first ones
OVERSHOT = 1.2  # times the loss of a model that knows nothing, in an epoch: large steps did harm
POOR = 0.5  # of that loss, left at the end
LOST = 1e-4  # of the largest gradient of a step of the sequence
MOST = 0.5  # share of the steps of a sequence
EXAMPLES = 64  # whose gradients are looked at


class GradientNorms:
    """The L2 norm of the gradient over the steps of training: of the first ones, and the largest.

    They are kept on the device, so that no step waits for it.
    """

    def __init__(self) -> None:
        self.first: list[Tensor] = []
        self.largest: Tensor | None = None

    def note(self, model: nn.Module) -> None:
        """Note the norm of the gradients that a step was made with."""
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm(grads).nan_to_num(0.0, 0.0, 0.0)  # in fp16, such a step is left out
        if len(self.first) < FIRST:
            self.first.append(norm)
        self.largest = norm if self.largest is None else torch.maximum(self.largest, norm)

    def surge(self) -> tuple[float, float] | None:
        """Return the largest norm, and how many times that of the first steps; None if none is known."""
        if self.largest is None or not (usual := float(torch.stack(self.first).mean())):
            return None
        return float(self.largest), float(self.largest) / usual


@dataclass(frozen=True)
class Course:
    """How a run went.

    Args:
        history: the rows of metrics.csv, one at least.
        chance: the loss of a model that knows nothing.
        in_words: the same, for the evidence.
        ratio: the ratio of an update to the weights, at the start; None if it is not known.
        lr: the learning rate; None if the optimizer has none of that name.
    """

    history: Sequence[Mapping[str, Any]]
    chance: float
    in_words: str
    ratio: float | None
    lr: float | None

    @property
    def worst(self) -> Mapping[str, Any]:
        """The epoch with the highest loss in training."""
        return max(self.history, key=lambda row: float(row["train_loss"]))

    @property
    def overshot(self) -> bool:
        """Whether an epoch was clearly worse than a model that knows nothing."""
        return float(self.worst["train_loss"]) > OVERSHOT * self.chance

    def smaller_lr(self) -> str:
        """Return the override of a rate whose first updates are of a good size; '' if they are."""
        if self.lr is None or self.ratio is None or self.ratio <= RATIO_GOOD:
            return ""
        return f"optim.lr={round_to_nice(self.lr * RATIO_GOOD / self.ratio)}"


def is_recurrent(model: nn.Module) -> bool:
    """Return whether a model has a recurrent layer of torch's."""
    return any(isinstance(module, nn.RNNBase) for module in model.modules())


def exploding(norms: GradientNorms, course: Course) -> Finding | None:
    """See whether gradients grew so large that a step with them undid what was learnt."""
    surge = norms.surge()
    if surge is None or surge[1] < SURGED or not course.overshot:
        return None
    worst = course.worst
    evidence = (
        f"the gradient norm reached {surge[0]:,.0f}, {surge[1]:,.0f} times that of the first steps; "
        f"train loss {worst['train_loss']:.3g} in epoch {worst['epoch']}, {course.in_words}"
    )
    return Finding("the gradients explode", evidence, f"grad_clip=1 {course.smaller_lr()}".rstrip())


def vanishing(
    model: nn.Module, batch: Batch, criterion: nn.Module, settings: DoctorSettings, course: Course
) -> Finding | None:
    """See whether the loss depends on few steps of a sequence, where little was learnt.

    Args:
        model: the model, which is copied and stays as it is.
        batch: the batch of training.
        criterion: the loss.
        settings: what the run does.
        course: how it went.
    """
    loss = course.history[-1]["train_loss"]
    if loss < POOR * course.chance:
        return None
    norms = gradient_by_step(model, batch, criterion)
    largest = max(norms, default=0.0)
    lost = sum(norm <= LOST * largest for norm in norms)
    if len(norms) < 2 or lost < MOST * len(norms):
        return None
    evidence = (
        f"the gradient reaches {len(norms) - lost:,} of the {len(norms):,} steps of the sequence, the others "
        f"get less than 1/{1 / LOST:,.0f} of the largest; train loss {loss:.3g}, {course.in_words}"
    )
    return Finding("the gradients vanish on their way through time", evidence, remedy(settings, course))


def remedy(settings: DoctorSettings, course: Course) -> str:
    """Return what lets gradients reach more steps: states that are not saturated, or a shorter way."""
    if course.overshot and course.lr is not None:
        return course.smaller_lr() or f"optim.lr={round_to_nice(course.lr / 10)}"
    if settings.model.get("pooling") == "last":
        return "model.pooling=mean"
    return "classify the mean of the states of all steps, or make the sequences shorter"


def gradient_by_step(model: nn.Module, batch: Batch, criterion: nn.Module) -> list[float]:
    """Return the gradient norm with respect to what the first recurrent layer reads at each step."""
    model = copied(model).eval()
    layer = next(module for module in model.modules() if isinstance(module, nn.RNNBase))
    read: list[Any] = []

    def watch(sequence: Any) -> Any:
        if isinstance(sequence, PackedSequence):
            sequence = sequence._replace(data=sequence.data.detach().requires_grad_())
        else:
            sequence = sequence.detach().requires_grad_()
        read.append(sequence)
        return sequence

    x, y = batch
    # cuDNN has no gradients of recurrent layers in evaluation.
    with changed_inputs([(layer, watch)]), torch.backends.cudnn.flags(enabled=False):
        loss = criterion(model(x[:EXAMPLES]), y[:EXAMPLES])
    sequence = read[0]
    if isinstance(sequence, PackedSequence):
        (grad,) = torch.autograd.grad(loss, sequence.data)
        return [float(step.norm()) for step in grad.split(sequence.batch_sizes.tolist())]
    (grad,) = torch.autograd.grad(loss, sequence)
    by_step: list[float] = grad.norm(dim=(0, 2) if layer.batch_first else (1, 2)).tolist()
    return by_step
