"""The model in training, with everything that changes it, and its state in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from cnntrain.compute.precision import Precision
from cnntrain.errors import UserError
from cnntrain.optim import schedule_free
from cnntrain.optim.ema import MovingAverage
from cnntrain.optim.freezing import Freezing
from cnntrain.runs.schema.checkpoints import first_not_finite, is_finite
from cnntrain.training.restoring import Fresh


@dataclass
class Learner:
    """A model in training.

    Args:
        model: the model to train.
        criterion: the loss in training.
        val_criterion: the loss in evaluation.
        optimizer: changes the model.
        schedule: changes the optimizer's learning rate.
        fresh: what the optimizer and the schedule keep before the first step.
        precision: numeric precision of the forward pass.
        freezing: keeps some parameters as they are.
        average: moving average of the weights; if there is one, it is what is validated and kept.
        grad_clip: maximum gradient norm.
        accumulate: micro-batches of a batch.
        has_idle: whether some parameters take no part in the loss.
    """

    model: nn.Module
    criterion: nn.Module
    val_criterion: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    fresh: Fresh
    precision: Precision
    freezing: Freezing
    average: MovingAverage | None = None
    grad_clip: float | None = None
    accumulate: int = 1
    has_idle: bool = False

    def __post_init__(self) -> None:
        """Record which buffers are not finite before the first step, such as a minimum so far."""
        self.not_finite = [name for name, b in self.model.named_buffers() if not is_finite(b)]

    @property
    def waits_for_epochs(self) -> bool:
        """Whether the schedule looks at the monitored value of each epoch, rather than at each step."""
        return isinstance(self.schedule, ReduceLROnPlateau)

    @property
    def result(self) -> nn.Module:
        """The model that is evaluated and kept: with averaged weights, if there is a moving average."""
        return self.model if self.average is None else self.average.model

    @property
    def averages(self) -> bool:
        """Whether the weights that are kept differ from those that are trained."""
        return self.average is not None or schedule_free.has_modes(self.optimizer)

    def weights(self) -> dict[str, Any]:
        """Return the weights to keep, those that were validated."""
        if self.average is not None or not self.averages:
            return self.result.state_dict()
        with schedule_free.evaluated(self.model, self.optimizer):
            return {name: tensor.clone() for name, tensor in self.model.state_dict().items()}

    def is_finite(self, weights: Mapping[str, Any]) -> bool:
        """Return whether all weights are finite, but those that were not before the first step.

        Args:
            weights: those to keep; those that are trained are looked at too.
        """
        both = (self.model.state_dict(), weights)
        return all(first_not_finite(some, self.not_finite) is None for some in both)

    def state_dict(self) -> dict[str, Any]:
        """Return what only resumption takes, beside weights and random generators."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.precision.scaler.state_dict(),
        }

    def check_state(self, about: Mapping[str, Any]) -> None:
        """Check whether a checkpoint of this model could be read again.

        Args:
            about: what else the checkpoint holds.

        Raises:
            UserError: it can't, because of what a class of the user's keeps.
        """
        self.fresh.check_before_writing({**about, "model": self.model.state_dict(), **self.state_dict()})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a checkpoint.

        Raises:
            CheckpointError: the optimizer or the schedule can't have such a state.
            UserError: the schedule was planned for another number of steps.
        """
        optimizer = self.fresh.check(state)
        planned = self.schedule.state_dict().get("total_steps")
        before = state["schedule"].get("total_steps")
        if planned != before and None not in (planned, before):
            raise UserError(
                f"schedule: {type(self.schedule).__name__} was planned for {before:,} steps and can't be "
                f"changed to {planned:,}: leave epochs as it was, or start a new run with schedule=onecycle"
            )
        self.model.load_state_dict(state["model_in_training" if self.averages else "model"])
        if self.average is not None:
            self.average.restore(state["model"], state["progress"]["step"])
        self.optimizer.load_state_dict(optimizer)
        self.schedule.load_state_dict(state["schedule"])
        if state["scaler"]:
            self.precision.scaler.load_state_dict(state["scaler"])
