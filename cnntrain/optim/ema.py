"""The average of a model's weights over the steps of its training, often better than the last ones."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from cnntrain.models.copying import compacted, copied


class MovingAverage:
    """An exponential moving average of a model's weights and statistics (Polyak and Juditsky 1992).

    Args:
        model: the model whose weights are averaged.
        decay: the share of the average that a step keeps. 0.999 averages about 1,000 steps. It is smaller
            in the first steps, so that a short run does not average over untrained weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        def move(average: list[Tensor], weights: list[Tensor], count: Tensor | int) -> None:
            # Unlike ``count``, n_averaged always lies on the CPU, so that no GPU is waited for.
            move_average(average, weights, int(self.average.n_averaged), decay)

        self.average = AveragedModel(copied(model), multi_avg_fn=move, use_buffers=True)  # type: ignore[arg-type]
        compacted(self.average)  # which copies the copy
        self.average.requires_grad_(False)
        # A mask, or a minimum so far: the difference of two infinite values is NaN, so these are copied.
        self.infinite = [name for name, b in model.named_buffers() if not bool(b.isfinite().all())]

    @property
    def model(self) -> nn.Module:
        """A model with the averaged weights."""
        return self.average.module

    def update(self, model: nn.Module) -> None:
        """Update the average with the weights after a step."""
        self.average.update_parameters(model)
        for name in self.infinite:
            self.model.get_buffer(name).copy_(model.get_buffer(name))

    def restore(self, weights: dict[str, Tensor], step: int) -> None:
        """Restore the average of a checkpoint."""
        self.model.load_state_dict(weights)
        self.average.n_averaged.fill_(step)


def move_average(average: list[Tensor], weights: list[Tensor], step: int, decay: float) -> None:
    """Move averages of one type towards the weights of a step; in the first ones quickly."""
    decay = min(decay, (1 + step) / (10 + step))  # as tf.train.ExponentialMovingAverage has it
    if average[0].is_floating_point() or average[0].is_complex():
        get_ema_multi_avg_fn(decay)(average, weights, step)
        return
    for mine, new in zip(average, weights, strict=True):  # counters of batch norm
        mine.copy_(new)
