"""The error of a run whose loss became NaN or infinite."""

from __future__ import annotations

from pathlib import Path

from cnntrain.errors import RunFailed


def diverged(what: str, step: int, epoch: int, lr: float, last: Path) -> RunFailed:
    """Return the error that says what happened, what is kept and what to try.

    Args:
        what: became NaN or infinite.
        step: of the run, at which it did.
        epoch: under way.
        lr: learning rate of that step.
        last: the newest checkpoint, if there is any yet.
    """
    kept = f"the last good checkpoint is {last}" if last.exists() else "no checkpoint had been written yet"
    return RunFailed(
        f"{what} became NaN or infinite at step {step:,}, in epoch {epoch}, "
        f"at learning rate {lr:.3g}; {kept}\n"
        f"try a learning rate ten times smaller (optim.lr={lr / 10:.3g}), a warm-up "
        "(schedule.warmup=1) or gradient clipping (grad_clip=1)"
    )
