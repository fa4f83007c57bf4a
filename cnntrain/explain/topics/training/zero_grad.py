"""``cnntrain explain zero_grad``: the same model trained with and without clearing the gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from torch import Tensor, nn
from torch.optim import Optimizer

from cnntrain import loop
from cnntrain.data.loader import EvalLoader
from cnntrain.explain import figures
from cnntrain.explain.setup import TrainingSetup, train
from cnntrain.explain.terminal import curves, rows, words
from cnntrain.language.translation import later, tr
from cnntrain.runtime.console import Console
from cnntrain.tasks.metrics import RunningMean
from cnntrain.tasks.scores import TEST, Figure, Score
from cnntrain.text import format_loss, network_name, shown_path
from cnntrain.training import sentences

WITH, WITHOUT = later("with zero_grad"), later("without")
LAST = 10  # batches whose mean is shown


class NeverCleared:
    """An optimizer whose ``zero_grad`` does nothing: every gradient is added to those before."""

    def __init__(self, inner: Optimizer) -> None:
        self.inner = inner

    def zero_grad(self) -> None:
        """Keep the gradients."""

    def step(self) -> None:
        """Step along the sum of the gradients of all batches so far."""
        self.inner.step()


class Curves(RunningMean):
    """Notes the loss of every batch besides, and the gradient norm of every step."""

    def __init__(self, parts: TrainingSetup) -> None:
        super().__init__(parts.device)
        self.losses: list[Tensor] = []
        self.norms: list[Tensor] = []
        parts.optimizer.register_step_pre_hook(self.before_step)  # after fp16's scale is taken out

    def update(self, loss: Tensor, output: Tensor, y: Tensor, weight: float | Tensor | None = None) -> None:
        """Count a batch and note its loss."""
        super().update(loss, output, y, weight)
        self.losses.append(loss.detach())

    def before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Note the L2 norm of the gradient, along which the optimizer is about to step."""
        gradients = [p.grad for g in optimizer.param_groups for p in g["params"] if p.grad is not None]
        self.norms.append(nn.utils.get_total_norm(gradients).detach())


def zero_grad(build: Callable[[], TrainingSetup], console: Console, folder: Path) -> None:
    """Train twice from the same weights on the same batches, and draw losses and gradients of both.

    Args:
        build: puts together a run before its first step, the same at every call.
        console: the console to print to.
        folder: the folder for the figure.
    """
    losses: dict[str, list[float]] = {}
    norms: dict[str, list[float]] = {}
    trials: dict[str, sentences.Trial] = {}
    for name in (WITH, WITHOUT):
        parts = build()
        losses[name], norms[name], value = train_with(parts, console, name)
        trials[name] = trial_of(losses[name], norms[name], value)
    path = folder / "zero_grad.png"
    what = {
        tr("loss of each batch"): {tr(name): values for name, values in losses.items()},
        tr("gradient norm"): {tr(name): values for name, values in norms.items()},
    }
    figures.save(figures.logarithmic(what, xlabel=tr("step")), path)

    settings = parts.settings
    optim, model = settings.optim, network_name(settings.model.node, type(parts.model).__name__)
    optimizer = optim["_target_"].rpartition(".")[2]
    words(
        console,
        tr(
            "[bold]{model}, {optimizer}, lr {lr}[/]: the same first weights, the same batches\n",
            model=escape(model),
            optimizer=optimizer,
            lr=optim.get("lr", tr("of its own")),
        ),
    )
    curves(
        console,
        {tr(name): values for name, values in losses.items()},
        tr("loss of each batch, log scale"),
        tr("step"),
    )
    console.line()
    conclude(console, trials, norms, optimizer, parts.task.scores.main, path)


def conclude(
    console: Console,
    trials: dict[str, sentences.Trial],
    norms: dict[str, list[float]],
    optimizer: str,
    score: Score,
    path: Path,
) -> None:
    """Describe the outcome of both, and why."""
    lines = [
        (
            tr(name),
            format_loss(trial.first),
            format_loss(trial.last),
            f"{norms[name][0]:.3g}",
            f"{finite(norms[name])[-1]:.3g}",
            score.text(trial.score),
        )
        for name, trial in trials.items()
    ]
    headings = (
        tr("training"),
        tr("first loss"),
        tr("mean of last {number}", number=LAST),
        tr("1st ‖grad‖"),
        tr("last"),
        Figure(TEST, score).words,
    )
    rows(console, headings, lines)
    words(
        console,
        tr(
            "\nbackward adds to .grad. Without zero_grad, step k moves along the sum of "
            "the gradients of k batches, the first as heavy as the last. It goes on in "
            "directions that were downhill long ago, and past every valley: like momentum "
            "that never fades. "
        )
        + sentences.on_zero_grad(trials[WITH], trials[WITHOUT], optimizer, score),
    )
    console.line(tr("figure: [bold]{}[/]"), shown_path(path))


def train_with(parts: TrainingSetup, console: Console, name: str) -> tuple[list[float], list[float], float]:
    """Train for the configured epochs.

    Returns:
        The loss of each batch, the L2 norm of the gradient at each step, and the main score of the test.
    """
    settings = parts.settings
    noted = Curves(parts)
    optimizer = parts.precision.wrap(parts.optimizer)
    if name == WITHOUT:
        optimizer = NeverCleared(optimizer)  # type: ignore[assignment]
    train(parts, optimizer, console, name, noted)
    test = parts.data.test
    batches = EvalLoader(
        test, torch.arange(len(test)), settings.eval_batch_size, parts.normalize, parts.device
    )
    tested, evaluation = parts.task.collate(batches), parts.task.evaluation(parts.device)
    result = loop.evaluate(parts.model, tested, parts.criterion, evaluation, parts.precision)
    losses, norms = (torch.stack(values).cpu().tolist() for values in (noted.losses, noted.norms))
    return losses, norms, Figure(TEST, parts.task.scores.main).value_in(result)


def trial_of(losses: list[float], norms: list[float], score: float) -> sentences.Trial:
    """Summarize a training: its losses, gradient norms and the main score on the test images."""
    lost_at = next((step for step, loss in enumerate(losses, 1) if not math.isfinite(loss)), None)
    last = losses[-LAST:]
    known = finite(norms)
    growth = sum(known[-LAST:]) / len(known[-LAST:]) / max(known[0], 1e-12)
    return sentences.Trial(losses[0], sum(last) / len(last), score, growth, lost_at)


def finite(values: list[float]) -> list[float]:
    """Return the values that are finite; 0 if none is."""
    return [value for value in values if math.isfinite(value)] or [0.0]
