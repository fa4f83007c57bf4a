"""Training steps on noise, timed to find out which engine is fastest."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.compute.engine import Engine
from cnntrain.compute.precision import Precision
from cnntrain.models.copying import copied

ROUNDS = 7  # the fastest counts, since whatever else the machine does only makes a step slower
LEAST_ROUNDS, SECONDS = 2, 2.0  # fewer rounds if they take longer than so many seconds
ROUND_SECONDS = 0.01  # quicker steps are repeated for so long
TRIES = 1 + ROUNDS  # of an engine at most
STEP_SECONDS = 0.2  # slower ones are tried on a smaller batch
FEW = 2  # images of the smallest batch; batch norm needs two
SLOW_SECONDS = 0.15  # of a step on so few; if it takes longer, no more are tried, and all threads are used
GROWTH = 8  # times as many images as were timed: a larger batch's time is not predicted
# How much faster another choice must be than the plain one.
FASTER = {"precision": 1.2, "channels_last": 1.03, "threads": 1.25}


class StepTimer:
    """Training steps on noise, to be timed."""

    def __init__(
        self,
        model: nn.Module,
        criterion: nn.Module,
        batch: tuple[Tensor, Tensor],
        device: torch.device,
    ) -> None:
        self.model = model
        self.criterion = criterion
        self.device = device
        x, y = (part.to(device) for part in batch)
        self.whole = torch.rand_like(x), y
        self.x, self.y = self.whole
        self.fits = self.is_slow = False  # whether the batch is cut, and to the few of a large network
        self.times: dict[Engine, float] = {}

    def compare(self, engines: list[Engine], advance: Callable[[], object] = lambda: None) -> Engine:
        """Time engines in turns; return the fastest that beats the first one by enough to be worth it.

        Args:
            engines: the plain one first.
            advance: called after each try; an engine has ``TRIES`` at most.
        """
        ready = {}
        for engine in engines:
            step = self.warmed_up(engine)
            if step is not None:
                ready[engine] = step
            advance()
        self.times.clear()
        begin = time.perf_counter()
        for number in range(ROUNDS):
            if number >= LEAST_ROUNDS and time.perf_counter() - begin > SECONDS:
                break
            for engine, step in ready.items():
                torch.set_num_threads(engine.threads)
                self.times[engine] = min(self.times.get(engine, math.inf), self.seconds(step))
                advance()
        plain = best = engines[0]
        for engine in ready:
            wanted = max((FASTER[name] for name in differing(plain, engine)), default=1.0)
            limit = min(self.times.get(best, math.inf), self.times.get(plain, math.inf) / wanted)
            if self.times[engine] < limit:
                best = engine
        return best

    def warmed_up(self, engine: Engine) -> Any:
        """Return a function that makes one step, which has been called; None where it can't."""
        torch.set_num_threads(engine.threads)
        model = copied(self.model).train()
        engine.prepare(model)
        precision = Precision(engine.precision, self.device)

        def step() -> None:
            model.zero_grad()
            x = self.x.contiguous(memory_format=engine.memory_format)
            with precision.autocast():
                loss = self.criterion(model(x), self.y)
            loss.backward()
            if self.device.type != "cpu":
                float(loss.detach())  # which waits for the device

        try:
            if not self.fits:
                self.cut(step)
            step()
        except (RuntimeError, TypeError, ValueError):  # no kernel for this format; batch norm of one value
            return None
        self.fits = True
        return step

    def cut(self, step: Callable[[], None]) -> None:
        """Cut the batch down to what a step of ``STEP_SECONDS`` takes, by steps on a few images and more."""
        few = self.seconds_on(FEW, step)
        self.is_slow = few > SLOW_SECONDS
        if self.is_slow:
            return
        number, most = 4 * FEW, len(self.whole[0])
        seconds = self.seconds_on(number, step)
        each = max((seconds - few) / (3 * FEW), 1e-9)
        while number * GROWTH < most and (STEP_SECONDS - seconds) / each > number * (GROWTH - 1):
            number *= GROWTH
            seconds = self.seconds_on(number, step)
            each = seconds / number
        self.take(number + max(0, int((STEP_SECONDS - seconds) / each)))

    def take(self, number: int) -> None:
        """Take the first ``number`` images of the batch, or all."""
        self.x, self.y = (of[:number] for of in self.whole)

    def seconds_on(self, number: int, step: Callable[[], None]) -> float:
        """Return the time of a step on so many images, after one that warms up."""
        self.take(number)
        step()
        return timed(step)

    def seconds(self, step: Any) -> float:
        """Return the time of a step, the mean over as many as fill ``ROUND_SECONDS``."""
        times = [timed(step)]
        while sum(times) < ROUND_SECONDS:
            times.append(timed(step))
        return sum(times) / len(times)


def differing(one: Engine, other: Engine) -> list[str]:
    """Return the names of the choices in which two engines differ."""
    return [name for name, value in asdict(one).items() if asdict(other)[name] != value]


def timed(step: Any) -> float:
    """Return the seconds that a call takes."""
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin
