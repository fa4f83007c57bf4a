"""``cnntrain explain steps``: one real batch through the five steps, and what each of them does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from cnntrain.explain.setup import TrainingSetup
from cnntrain.explain.terminal import heading, words
from cnntrain.explain.topics.training.backward_view import show_backward, show_next, show_step
from cnntrain.explain.topics.training.batch_view import show_batch, show_model
from cnntrain.explain.topics.training.forward_view import run_forward, show_forward, show_loss
from cnntrain.language.translation import tr
from cnntrain.runtime.console import Console
from cnntrain.runtime.rng import random_state, set_random_state
from cnntrain.training import sentences


def five_steps(build: Callable[[], TrainingSetup], console: Console) -> None:
    """Take the first batch of the first epoch through the five steps and show what each does.

    Args:
        build: puts together a run before its first step.
        console: the console to print to.
    """
    parts = build()
    parts.model.train()
    with closing(parts.batches):
        batches = parts.epoch(0)
        x, y = next(batches)
        following = next(batches, (x, y))
    show_batch(console, parts, x, y)
    show_model(console, parts.settings.model)

    heading(console, "1", "optimizer.zero_grad()", tr("reset the gradients of the batch before"))
    words(console, tr("There is no batch before: the [bold].grad[/] of every parameter is None."))
    parts.optimizer.zero_grad()

    state = random_state()  # so that dropout switches off the same units when the loss is computed again
    forward = run_forward(parts, x, y)
    show_forward(console, parts, forward)
    show_loss(console, parts, forward, y)

    parts.precision.scale(forward.loss, share=1.0).backward()
    parts.precision.scaler.unscale_(parts.optimizer)
    show_backward(console, parts)

    show_step(console, parts)
    set_random_state(state)
    after = run_forward(parts, x, y).loss.item()
    before = forward.loss.item()
    verdict = sentences.on_step(before, after, type(parts.optimizer).__name__)
    colour = "green" if after < before else "yellow"
    words(
        console,
        tr(
            "Loss on the same batch: {before:.4f} before the step, [bold]{after:.4f}[/] "
            "after it: [{colour}]{verdict}[/].",
            before=before,
            after=after,
            colour=colour,
            verdict=verdict,
        ),
    )
    show_next(console, parts, *following)
