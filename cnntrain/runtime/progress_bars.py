"""Progress bars: what a run does at the moment, and when all of it ends."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cnntrain.text import format_loss

if TYPE_CHECKING:
    from tqdm import tqdm
else:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that bars in notebooks are experimental, or lack ipywidgets
        from tqdm.autonotebook import tqdm  # a widget in a notebook, text on a terminal

TIMES = "{elapsed}<{remaining}{rate_shown}{loss_shown}{end}"
FORMAT = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [" + TIMES + "]"

PATIENCE_SECONDS = 1.0
WIDE = 96  # columns of a terminal with room for a speed beside the loss and both times


class Bar(tqdm):  # type: ignore[type-arg]  # not generic when it runs
    """A bar of tqdm that shows no speed before it knows one.

    Args:
        after: steps that follow those of the bar, until the end of the run.
        loss: returns the mean loss so far; asked now and then only, since it waits for the device.
    """

    def __init__(
        self, *arguments: Any, after: int = 0, loss: Callable[[], float] | None = None, **options: Any
    ) -> None:
        self.after = after
        self.loss = loss
        self.asked_at, self.loss_shown = -PATIENCE_SECONDS, ""
        options["bar_format"] = FORMAT
        super().__init__(*arguments, **options)

    @property
    def format_dict(self) -> dict[str, Any]:
        """The values that the bar is drawn from."""
        found = dict(super().format_dict)
        done = self.n - self.initial
        rate = found["rate"] or (done / found["elapsed"] if done and found["elapsed"] else None)
        left = None if rate is None or not self.after else ((self.total or 0) - self.n + self.after) / rate
        narrow = left is not None and (found["ncols"] or WIDE) < WIDE
        found["rate_shown"] = "" if rate is None or narrow else f", {speed(rate, self.unit)}"
        found["end"] = "" if left is None else f", run: {tqdm.format_interval(left)} left"
        found["loss_shown"] = self.loss_as_it_was(done)
        return found

    @contextmanager
    def ticking(self) -> Iterator[None]:
        """Draw the bar every second, for what takes long and says nothing in between."""
        over = threading.Event()

        def tick() -> None:
            while not over.wait(1):
                self.refresh()

        thread = threading.Thread(target=tick, daemon=True)
        if not self.disable:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if thread.is_alive():
                thread.join()

    def loss_as_it_was(self, done: float) -> str:
        """Return the loss as it was a moment ago."""
        if self.loss is not None and done and time.monotonic() - self.asked_at >= PATIENCE_SECONDS:
            self.asked_at, self.loss_shown = time.monotonic(), f", loss {format_loss(self.loss())}"
        return self.loss_shown


def speed(rate: float, unit: str) -> str:
    """Return a speed as ``13 steps/s``, or of what is slow ``10.8 s/step``."""
    if rate < 1:
        return f"{1 / rate:.1f} s/{unit}"
    return f"{rate:,.1f} {unit}s/s" if rate < 10 else f"{rate:,.0f} {unit}s/s"
