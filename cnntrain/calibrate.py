"""Which engine is fastest: what the configuration leaves to ``auto`` is found out by trying.

Copies of the model are trained on noise, for a second or, if it is large, for some. The result is kept in the
cache folder for each model, batch size and machine, so that the same command computes in the same way later.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import itertools
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnntrain import cache
from cnntrain.console import Console
from cnntrain.engine import ALL_THREADS, Engine, computes_bf16, machine
from cnntrain.precision import Precision

ROUNDS = 7  # the fastest counts, since whatever else the machine does only makes a step slower
LEAST_ROUNDS, SECONDS = 2, 2.0  # fewer rounds if they take longer than so many seconds
ROUND_SECONDS = 0.01  # quicker steps are repeated for so long
TRIES = 1 + ROUNDS  # of an engine at most
STEP_SECONDS = 0.2  # slower ones are tried on a smaller batch
FEW = 2  # images of the smallest batch; batch norm needs two
SLOW_SECONDS = 0.15  # of a step on so few; if it takes longer, no more are tried, and all threads are used
# How much faster another choice must be than the plain one.
FASTER = {"precision": 1.2, "channels_last": 1.03, "threads": 1.25}


class Trial:
    """Training steps on noise, to be timed."""

    def __init__(
        self,
        model: nn.Module,
        criterion: nn.Module,
        shape: tuple[int, ...],
        classes: int,
        device: torch.device,
    ) -> None:
        self.model = model
        self.criterion = criterion
        self.device = device
        x = torch.rand(shape, device=device)
        self.whole = x, torch.arange(len(x), device=device) % classes
        self.x, self.y = self.whole
        self.fits = self.is_slow = False  # whether the batch is cut, and to the few of a large network
        self.times: dict[Engine, float] = {}

    def compare(self, engines: list[Engine], advance: Callable[[], object] = lambda: None) -> Engine:
        """Time engines in turns; return the fastest that beats the first one by enough to be worth it.

        Args:
            engines: the plain one first.
            advance: is called after each try, of which an engine has ``TRIES`` at most.
        """
        ready = {}
        for engine in engines:
            step = self.warm(engine)
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

    def warm(self, engine: Engine) -> Any:
        """Return a function that makes one step, which has been called; None where it can't."""
        torch.set_num_threads(engine.threads)
        model = copy.deepcopy(self.model).train()
        engine.prepare(model)
        precision = Precision(engine.precision, self.device)

        def step() -> None:
            model.zero_grad()
            x = self.x.contiguous(memory_format=engine.memory_format)
            with precision.autocast():
                loss = self.criterion(model(x), self.y)
            loss.backward()
            if self.device.type != "cpu":
                float(loss)  # which waits for the device

        try:
            if not self.fits:
                self.cut(step)
            step()
        except (RuntimeError, TypeError, ValueError):  # no kernel for this format; batch norm of one value
            return None
        self.fits = True
        return step

    def cut(self, step: Callable[[], None]) -> None:
        """Cut the batch down to what a step of ``STEP_SECONDS`` takes, by steps on a few images."""
        few = self.seconds_on(FEW, step)
        self.is_slow = few > SLOW_SECONDS
        if not self.is_slow:
            some = self.seconds_on(4 * FEW, step)
            each = max((some - few) / (3 * FEW), 1e-9)
            self.take(4 * FEW + max(0, int((STEP_SECONDS - some) / each)))

    def take(self, number: int) -> None:
        """Take so many images of the batch, or all."""
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


def settle(
    config: Mapping[str, Any], model: nn.Module, criterion: nn.Module, device: torch.device
) -> tuple[Engine, str]:
    """Settle what the configuration leaves to ``auto``, and say why.

    Args:
        config: of the run, as plain types.
        model: what will be trained; it is copied and not changed.
        criterion: the loss.
        device: where both are.

    Returns:
        The engine, and in words what it gains, if that was measured.
    """
    options = candidates(config, model, device)
    plain = Engine(options["precision"][0], options["channels_last"][0], options["threads"][0])
    if all(len(values) == 1 for values in options.values()):
        return plain, ""
    path = cache.folder() / "engines" / f"{key(config, device)}.json"
    known = read(path, options)
    if known is not None:
        return known
    engine, gain = measured(config, model, criterion, device, options, plain)
    if math.isnan(gain):  # nothing could be tried, which training will tell of
        return replace(engine, threads=options["threads"][-1]), ""
    text = json.dumps({**asdict(engine), "gain": gain}).encode()
    cache.write(path, lambda file: file.write(text), replace=False)
    return read(path, options) or (engine, in_words(gain))  # that of another process, if it was first


def candidates(config: Mapping[str, Any], model: nn.Module, device: torch.device) -> dict[str, list[Any]]:
    """Return the values worth trying for each choice, the plain one first; one alone if it was typed."""
    threads = [ALL_THREADS]
    while threads[0] > 1 and device.type == "cpu":
        threads.insert(0, threads[0] // 2)
    has_filters = any(p.dim() == 4 for p in model.parameters())
    found: dict[str, list[Any]] = {
        "precision": ["fp32", "bf16"] if computes_bf16(device) else ["fp32"],
        "channels_last": [False, True] if has_filters and device.type != "mps" else [False],
        "threads": threads,
    }
    return {name: values if config[name] == "auto" else [config[name]] for name, values in found.items()}


def measured(
    config: Mapping[str, Any],
    model: nn.Module,
    criterion: nn.Module,
    device: torch.device,
    options: Mapping[str, list[Any]],
    plain: Engine,
) -> tuple[Engine, float]:
    """Try formats and layouts with one thread, which other work disturbs least, then numbers of threads.

    Returns:
        The best engine, and how many times as fast its format is as the plain one; nan if none can be tried.
    """
    data = config["data"]
    size = -(-config["batch_size"] // config["accumulate"])
    shape = (size, data["channels"], data["image_size"], data["image_size"])
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad():  # dropout draws here as in training
        trial = Trial(model, criterion, shape, data["num_classes"], device)
        formats = list(itertools.product(options["precision"], options["channels_last"]))
        total = TRIES * (len(formats) + len(options["threads"]))
        with Console(config["verbose"]).bar(total, 0, "trying number formats and threads", "try") as bar:
            best = trial.compare([Engine(p, c, plain.threads) for p, c in formats], bar.update)
            seconds = trial.times.get(best, math.nan)
            gain = trial.times.get(plain, seconds) / seconds
            engines = [replace(best, threads=number) for number in options["threads"]]
            if trial.is_slow:
                best = engines[-1]
            elif trial.times:
                trial.take(max(len(trial.x), ALL_THREADS))
                best = trial.compare(engines, bar.update)
    torch.set_num_threads(ALL_THREADS)
    return best, gain


def read(path: Path, options: Mapping[str, list[Any]]) -> tuple[Engine, str] | None:
    """Return the engine that the cache holds; None if there is none that is possible now."""
    try:
        kept = json.loads(path.read_text())
        engine = Engine(kept["precision"], kept["channels_last"], kept["threads"])
        if all(value in options[name] for name, value in asdict(engine).items()):
            return engine, in_words(float(kept["gain"]))
    except OSError:
        return None
    except (ValueError, KeyError, TypeError):
        pass
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def in_words(gain: float) -> str:
    """Say what the format of an engine gains."""
    return f" (measured: {gain:.1f}x as fast as fp32)" if gain >= 1.05 else " (measured)"


def key(config: Mapping[str, Any], device: torch.device) -> str:
    """Return a name for all that the choice depends on: machine, versions, model, batch."""
    names = ("model", "batch_size", "accumulate", "precision", "channels_last", "threads")
    data = [config["data"][name] for name in ("channels", "image_size", "num_classes")]
    facts = [machine(), str(torch.__version__), ALL_THREADS, str(device), data, [config[n] for n in names]]
    if device.type == "cuda":
        facts.append(torch.cuda.get_device_name(device))
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
