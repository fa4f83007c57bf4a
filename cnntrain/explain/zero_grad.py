"""``cnntrain explain zero_grad``: the same model trained with and without clearing the gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

from cnntrain import loop
from cnntrain.console import Console
from cnntrain.data.loader import EvalLoader
from cnntrain.explain import figures
from cnntrain.explain.drawing import curves, rows, words
from cnntrain.explain.parts import Parts, assemble, train
from cnntrain.metrics import Result, RunningMean
from cnntrain.parts import Config

WITH, WITHOUT = "with zero_grad", "without"


class NeverCleared:
    """An optimizer whose ``zero_grad`` does nothing: every gradient is added to those before."""

    def __init__(self, inner: Optimizer) -> None:
        self.inner = inner

    def zero_grad(self) -> None:
        """Keep the gradients."""

    def step(self) -> None:
        """Step along the sum of the gradients of all batches so far."""
        self.inner.step()


class LossCurve(RunningMean):
    """Notes the loss of every batch besides."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts.device)
        self.losses: list[Tensor] = []

    def update(self, loss: Tensor, output: Tensor, y: Tensor) -> None:
        """Count a batch: mean loss (), logits (N, classes) and labels (N,), or shares (N, classes)."""
        super().update(loss, output, y)
        self.losses.append(loss.detach())


def zero_grad(config: Config) -> None:
    """Train twice from the same weights on the same batches, and draw both losses.

    Args:
        config: of a run, checked, as plain types.
    """
    console = Console(config["verbose"])
    losses: dict[str, list[float]] = {}
    results: dict[str, Result] = {}
    data = None
    with figures.new_folder(config, "zero_grad") as folder:
        for name in (WITH, WITHOUT):
            parts = assemble(config, console, data)
            data = parts.data
            losses[name], results[name] = tried(parts, console, name)
        drawn, axes = figures.lines(
            losses, range(1, len(losses[WITH]) + 1), xlabel="step", ylabel="loss of each batch"
        )
        axes.set_ylim(0, 1.5 * losses[WITH][0])
        figures.save(drawn, folder / "zero_grad.png")

    optim, model = config["optim"], type(parts.model).__name__
    words(
        console,
        f"[bold]{model}, {optim['_target_'].rpartition('.')[2]}, lr {optim.get('lr', 'of its own')}[/]: "
        "the same first weights, the same batches\n",
    )
    curves(console, losses, "loss of each batch", "step")
    console.line()
    tell(console, losses, results)
    console.line(f"drawn in [bold]{folder / 'zero_grad.png'}[/]")


def tell(console: Console, losses: dict[str, list[float]], results: dict[str, Result]) -> None:
    """Say what came of both, and why."""
    lines = []
    for name, curve in losses.items():
        last = sum(curve[-10:]) / len(curve[-10:])
        lines.append((name, f"{curve[0]:.4f}", f"{last:.4f}", f"{results[name].accuracy:.2%}"))
    rows(console, ("training", "first loss", "mean of last 10", "test accuracy"), lines)
    words(
        console,
        "\nbackward adds to .grad. Without zero_grad, step k moves along the sum of the gradients of k "
        "batches, the first of them as heavy as the last. It goes on in directions that were downhill long "
        "ago, and past every valley: like momentum that never fades. "
        + verdict(results[WITH].accuracy, results[WITHOUT].accuracy),
    )


def tried(parts: Parts, console: Console, name: str) -> tuple[list[float], Result]:
    """Train for the configured epochs; return the loss of each batch, and the result on the test images."""
    config = parts.config
    optimizer = parts.precision.wrap(parts.optimizer)
    if name == WITHOUT:
        optimizer = NeverCleared(optimizer)  # type: ignore[assignment]
    curve = LossCurve(parts)
    train(parts, optimizer, console, name, curve)
    test = parts.data.test
    batches = EvalLoader(
        test, torch.arange(len(test)), config["eval_batch_size"], parts.normalize, parts.device
    )
    result = loop.evaluate(
        parts.model, batches, parts.criterion, config["data"]["num_classes"], parts.precision
    )
    return [float(loss) for loss in torch.stack(curve.losses).cpu()], result


def verdict(cleared: float, kept: float) -> str:
    """Say how much it mattered here, and where it matters more."""
    if kept < cleared - 0.05:
        return f"Here that costs {100 * (cleared - kept):.0f} points of accuracy."
    return "Here it matters little yet; it does with optim=sgd, a higher optim.lr, or more epochs."
