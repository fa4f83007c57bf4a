"""Autotune: what the configuration leaves to ``auto`` is settled by timing a few training steps.

The result is kept in the cache folder for each model, batch size and machine, so that the same command
computes in the same way later. A result that was measured while other processes used the processor is only
kept until the machine is quiet.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnntrain.compute.engine import ALL_THREADS, Engine, computes_bf16, machine
from cnntrain.compute.micro_batches import MakeBatch, MicroBatchFinder
from cnntrain.compute.precision import Precision
from cnntrain.compute.timing import FEW, TRIES, StepTimer
from cnntrain.config.sections import EngineSettings
from cnntrain.runs import cache_dir
from cnntrain.runtime import hardware
from cnntrain.runtime.console import Console
from cnntrain.runtime.regular_files import open_regular

LONGEST_NOTE = 10_000  # bytes of what is kept of a measurement
SHARE = 0.25  # of the free memory, that what is tried may take
AGAIN_SECONDS = 600  # after which a result of a busy machine is measured again, if it is quiet by then


@dataclass(frozen=True)
class TuningResult:
    """A result, as the cache keeps it.

    Args:
        engine: the fastest.
        gain: the speed of its number format, as a multiple of that of fp32.
        busy: when it was measured, in seconds of the epoch, if other processes used the processor; or None.
    """

    engine: Engine
    gain: float
    busy: float | None = None

    def is_good(self) -> bool:
        """Return whether to keep to it: measured on a quiet machine, or no better one can be had now."""
        is_recent = self.busy is not None and 0 <= time.time() - self.busy < AGAIN_SECONDS
        return self.busy is None or is_recent or hardware.is_loaded()

    def in_words(self, plain: Engine) -> str:
        """Return what the format of the engine gains over the plain one."""
        other = plain.precision if plain.precision != self.engine.precision else "the contiguous layout"
        gain = f": {self.gain:.1f}x the speed of {other}" if self.gain >= 1.05 else ""
        again = "; machine busy, will be measured again" if self.busy is not None else ""
        return f" (measured{gain}{again})"


def tune(
    settings: EngineSettings,
    model: nn.Module,
    criterion: nn.Module,
    dummy: MakeBatch,
    device: torch.device,
) -> tuple[Engine, str]:
    """Settle what the configuration leaves to ``auto``, and say why.

    Args:
        settings: what is typed, and what is left to ``auto``.
        model: what will be trained; it is copied and not changed.
        criterion: the loss.
        dummy: returns a batch of that many images and their targets, on the CPU.
        device: the device of the model and the loss.

    Returns:
        The engine, and in words what it gains, if that was measured.
    """
    options = candidates(settings, model, device)
    plain = Engine(options["precision"][0], options["channels_last"][0], options["threads"][0])
    if all(len(values) == 1 for values in options.values()):
        return plain, ""
    path = cache_dir.folder() / "engines" / f"{key(settings, device)}.json"
    known = read(path, options)
    if known is not None and known.is_good():
        return known.engine, known.in_words(plain)
    begin = hardware.ProcessorTime.now()
    engine, gain = measured(settings, model, criterion, dummy, device, options, plain)
    if math.isnan(gain):  # nothing could be tried, which training will report
        return replace(engine, threads=options["threads"][-1]), ""
    end, threads = hardware.ProcessorTime.now(), max(options["threads"])
    is_busy = hardware.is_loaded() or hardware.leave_too_few(begin, end, threads)
    note = TuningResult(engine, gain, time.time() if is_busy else None)
    if is_busy and known is not None:  # no better than the result that other runs have used
        note = replace(known, busy=note.busy)
    text = json.dumps({**asdict(note.engine), "gain": note.gain, "busy": note.busy}).encode()
    cache_dir.write(path, lambda file: file.write(text), replace=known is not None)
    note = read(path, options) or note  # that of another process, if it was first
    return note.engine, note.in_words(plain)


def candidates(settings: EngineSettings, model: nn.Module, device: torch.device) -> dict[str, list[Any]]:
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
    typed = {name: getattr(settings, name) for name in found}
    return {name: values if typed[name] == "auto" else [typed[name]] for name, values in found.items()}


def measured(
    settings: EngineSettings,
    model: nn.Module,
    criterion: nn.Module,
    dummy: MakeBatch,
    device: torch.device,
    options: Mapping[str, list[Any]],
    plain: Engine,
) -> tuple[Engine, float]:
    """Try formats and layouts with one thread, which other work disturbs least, then numbers of threads.

    Returns:
        The best engine, and how many times as fast its format is as the plain one; nan if none can be tried.
    """
    size = min(-(-settings.batch_size // settings.accumulate), most_images(model, criterion, dummy, device))
    if size < FEW:
        return plain, math.nan
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.enable_grad():  # dropout draws here as in training
        trial = StepTimer(model, criterion, dummy(size), device)
        formats = list(itertools.product(options["precision"], options["channels_last"]))
        total = TRIES * (len(formats) + len(options["threads"]))
        with Console(settings.verbose).bar(total, 0, "autotune", "try") as bar:
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


def most_images(model: nn.Module, criterion: nn.Module, dummy: MakeBatch, device: torch.device) -> int:
    """Return how many images may be tried at once: with them all copies take ``SHARE`` of the free memory.

    It is predicted from what steps on a few images keep for ``backward``.
    """
    fitting = MicroBatchFinder(model, criterion, Precision("fp32", device), dummy, device)
    try:
        return fitting.most(SHARE)
    except (RuntimeError, TypeError, ValueError, AttributeError):  # of a network that can't be trained
        return 0


def read(path: Path, options: Mapping[str, list[Any]]) -> TuningResult | None:
    """Return what the cache holds; None if it holds nothing that is possible now."""
    try:
        with open_regular(path) as file:
            kept = json.loads(file.read(LONGEST_NOTE))
        engine = Engine(kept["precision"], kept["channels_last"], kept["threads"])
        since = kept.get("busy")
        if all(value in options[name] for name, value in asdict(engine).items()):
            return TuningResult(engine, float(kept["gain"]), None if since is None else float(since))
    except OSError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    with contextlib.suppress(OSError):
        path.unlink()
    return None


def key(settings: EngineSettings, device: torch.device) -> str:
    """Return a name for all that the choice depends on: machine, versions, model, batch."""
    model, chosen = settings.model, (settings.precision, settings.channels_last, settings.threads)
    data = [model.shape[0], model.shape[1], model.num_classes]
    typed = [model.node, settings.batch_size, settings.accumulate, *chosen]
    facts = [machine(), str(torch.__version__), ALL_THREADS, str(device), data, typed]
    if device.type == "cuda":
        facts.append(torch.cuda.get_device_name(device))
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]
