"""The training loop, with its five steps in plain sight, and the evaluation.

Plain torch, and the same for every task. No configuration, no printing, no files: ``cnntrain.run`` builds the
arguments, and ``after_step`` is called after every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from cnntrain.compute.precision import FP32, Precision
from cnntrain.tasks.losses import weigher
from cnntrain.tasks.metrics import Evaluation, R, RunningMean

Batches = Iterable[tuple[Tensor, Tensor]]


def train_epoch(
    model: nn.Module,
    batches: Batches,
    criterion: nn.Module,
    optimizer: Optimizer,
    schedule: LRScheduler | None = None,
    *,
    precision: Precision = FP32,
    grad_clip: float | None = None,
    accumulate: int = 1,
    metrics: RunningMean | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> RunningMean:
    """Train on every batch once.

    Args:
        model: maps inputs, such as images, float (N, C, H, W), to outputs, such as logits (N, classes).
        batches: pairs of inputs and their targets, such as labels, int64 (N,), on the model's device.
        criterion: maps outputs and targets to the mean loss, ().
        optimizer: changes the model's parameters.
        schedule: changes the optimizer's learning rate, once a batch.
        precision: the numeric precision of the forward pass.
        grad_clip: maximum gradient norm (L2 over all parameters).
        accumulate: micro-batches of a batch, to save memory; their gradients add up to its own. A batch of
            fewer examples is cut into single ones.
        metrics: the task's, which may have counted the part of the epoch before an interruption; None: the
            mean loss alone.
        after_step: called after each step; what it raises ends the epoch there.

    Returns:
        The metrics over the epoch, each batch counted as it was before its own update.
    """
    model.train()
    metrics = metrics or RunningMean(next(model.parameters()).device)
    weigh = weigher(criterion)  # what a part counts: its number of examples, or the sum of class weights
    for x, y in batches:
        optimizer.zero_grad()  # 1. reset the gradients of the batch before
        whole = weigh(y)
        for x_part, y_part in split(x, y, accumulate):
            with precision.autocast():
                output = model(x_part)  # 2. forward: what the model makes of the inputs
                loss = criterion(output, y_part)  # 3. loss: how wrong that is
            metrics.update(loss, output, y_part, weigh(y_part))
            loss = precision.scale(loss, share=weigh(y_part) / whole)
            loss.backward()  # 4. backward: how the loss depends on each parameter
        if grad_clip is not None:
            precision.clip(model, optimizer, grad_clip)
        optimizer.step()  # 5. step: update the parameters
        if schedule is not None:
            schedule.step()
        after_step()
    return metrics


def split(x: Tensor, y: Tensor, parts: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield a batch in so many parts of nearly equal size; one of fewer examples in single ones."""
    parts = min(parts, len(y))
    return zip(x.tensor_split(parts), y.tensor_split(parts), strict=True)


@torch.no_grad()  # inference_mode is no faster here, and a model could not train on what it keeps of it
def evaluate(
    model: nn.Module,
    batches: Batches,
    criterion: nn.Module,
    evaluation: Evaluation[R],
    precision: Precision = FP32,
    after_batch: Callable[[Tensor, Tensor], None] = lambda output, y: None,
) -> R:
    """Measure the model on every example exactly once, without changing it.

    Args:
        model: maps inputs, such as images, float (N, C, H, W), to outputs, such as logits (N, classes).
        batches: pairs of inputs and their targets, on the model's device.
        criterion: maps outputs and targets to the mean loss, ().
        evaluation: what is measured, of the task; it has counted nothing yet.
        precision: the numeric precision of the forward pass.
        after_batch: is given the outputs and the targets of each batch.

    Returns:
        The result of all processes of a run, which must all call this.
    """
    in_training = [module for module in model.modules() if module.training]
    model.eval()
    weigh = weigher(criterion)
    try:
        for x, y in batches:
            with precision.autocast():
                output = model(x)
                loss = criterion(output, y)
            evaluation.update(loss, output, y, weigh(y))
            after_batch(output, y)
    finally:
        for module in in_training:
            module.training = True
    return evaluation.result()
