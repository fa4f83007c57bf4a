"""How fast training is on this machine, side by side: the floor, this tool, and the textbook loop.

All train the configured model on the configured data in one process, in turns, so that whatever else the
machine does slows each of them alike. A ratio is the median of the ratios within a turn.
"""

from __future__ import annotations

import datetime
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

from cnntrain import __version__
from cnntrain.bench.baselines import build_candidates, clipped
from cnntrain.bench.candidate import Candidate, OwnLoop
from cnntrain.compute.engine import ALL_THREADS
from cnntrain.config.schema import Config
from cnntrain.config.sections import BenchSettings
from cnntrain.errors import UserError
from cnntrain.run.components import build_components
from cnntrain.run.setup import read_data
from cnntrain.runs import run_folder
from cnntrain.runs.named_output import is_stdout, json_of, message_console, write
from cnntrain.runtime import hardware
from cnntrain.runtime.console import Console, Verbatim, count, format_bytes
from cnntrain.runtime.rng import seed_everything
from cnntrain.text import network_name, shown_path
from cnntrain.training.components.device import find_device
from cnntrain.training.record import versions

STEPS, LEAST = 20, 200  # of the run whose memory is measured; and images of it, at least


def peak_memory(overrides: Sequence[str], batch_size: int) -> dict[str, int]:
    """Return the peak memory, in bytes, of a process that trains for a few steps, and of an idle one."""
    with tempfile.TemporaryDirectory() as folder:
        # Behind what was typed, so that it counts.
        short = ["epochs=1", f"limit={max(LEAST, STEPS * batch_size)}", f"out={folder}/run", "verbose=0"]
        training = f"from cnntrain.cli.main import run; run({['train', *overrides, *short]!r})"
        return {"training": peak_of(training), "importing torch alone": peak_of("import torch")}


def peak_of(code: str) -> int:
    """Return the largest memory, in bytes, that a process took which ran some code.

    It tells so itself, since what the system counts for a child begins with the memory of its parent.
    """
    telling = f"{code}; from cnntrain.runtime.memory import peak; print(peak())"
    done = subprocess.run([sys.executable, "-c", telling], capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.strip().rpartition("\n")[2].partition("Error: ")
        raise UserError(f"bench trains for a few steps, which failed: {reason[2] or reason[0]}")
    return int(done.stdout.split()[-1])


def measure(
    config: Config, overrides: Sequence[str], repeats: int, seconds: float, console: Console
) -> dict[str, Any]:
    """Measure everything, show it, and return it for the JSON file.

    Args:
        config: the configuration of a run, as plain types.
        overrides: what the configuration was composed from.
        repeats: rounds of each candidate; the median is reported.
        seconds: the seconds of a turn.
        console: where it is shown.
    """
    settings = BenchSettings.from_config({**config, "verbose": console.verbose})
    device = find_device(settings.device)
    seed_everything(settings.seed)
    built = build_components(config, None, device, console)
    data = read_data(config, None, device, console)
    settings = clipped(settings, built, data, console)
    found = build_candidates(settings, built, data)  # which tell what can't be measured
    memory = peak_memory(overrides, settings.engine.batch_size)
    own = next(candidate for candidate in found if isinstance(candidate, OwnLoop))
    begin = hardware.ProcessorTime.now()
    with console.bar(repeats, 0, "measuring", unit="round") as bar:
        for candidate in found:
            candidate.warm_up(seconds)
        for turn in range(repeats):
            for candidate in found[turn % len(found) :] + found[: turn % len(found)]:
                candidate.turn()
            bar.update()
        shares = own.shares(seconds)
    is_busy = hardware.is_loaded() or hardware.leave_too_few(begin, hardware.ProcessorTime.now(), ALL_THREADS)
    torch.set_num_threads(ALL_THREADS)
    rows = [row(candidate, found[0], found[-1]) for candidate in found]
    name = network_name(settings.engine.model.node, type(own.model).__name__)
    report = {
        "model": f"{name}, {sum(p.numel() for p in own.model.parameters()):,} parameters",
        "data": data.path,
        "batch_size": settings.engine.batch_size,
        "device": str(own.device),
        "machine_busy": is_busy,
        "repeats": repeats,
        "seconds": seconds,
        "rates": rows,
        "shares_of_a_step": shares,
        "peak_memory_bytes": memory,
        "overrides": list(overrides),
        "versions": versions(),
    }
    show(console, report, settings.data.called.words)
    return report


def row(candidate: Candidate, floor: Candidate, textbook: Candidate) -> dict[str, Any]:
    """Return the figures of a candidate: images per second, and the ratios to two others within each turn."""
    return {
        "name": candidate.name,
        "explanation": candidate.explanation,
        "images_per_second": statistics.median(candidate.rates),
        "slowest": min(candidate.rates),
        "fastest": max(candidate.rates),
        "ratio_to_floor": ratio(candidate, floor),
        "ratio_to_textbook": ratio(candidate, textbook),
    }


def ratio(candidate: Candidate, other: Candidate) -> float:
    """Return the median of the ratios within each turn."""
    pairs = zip(candidate.rates, other.rates, strict=True)
    return statistics.median(rate / beside for rate, beside in pairs)


def show(console: Console, report: dict[str, Any], words: str) -> None:
    """Print the report; ``words`` are what is learnt, such as ``images``."""
    about = f"{report['model']}, batch size {report['batch_size']}, {report['device']}; data {report['data']}"
    console.line(f"[bold]cnntrain {__version__}[/]  {{}}\n", Verbatim(about))
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("training")
    for heading in (f"{words}/s", "slowest", "fastest", "of the floor", "of the textbook"):
        table.add_column(heading, justify="right")
    for line in report["rates"]:
        rates = (f"{line[name]:,.0f}" for name in ("images_per_second", "slowest", "fastest"))
        ratios = (f"{line[name]:.2f}" for name in ("ratio_to_floor", "ratio_to_textbook"))
        table.add_row(line["name"], *rates, *ratios)
    console.table(table)
    console.line()
    for line in report["rates"]:
        console.line("[dim]{}: {}[/]", line["name"], Verbatim(line["explanation"]))
    shares = ", ".join(f"{name} {share:.0%}" for name, share in report["shares_of_a_step"].items())
    memory = report["peak_memory_bytes"]
    training, idle = memory["training"], memory["importing torch alone"]
    console.line(f"\na step of cnntrain: {shares}")
    console.line(
        f"peak memory of a run: {format_bytes(training)}, "
        f"{format_bytes(max(0, training - idle))} above a process that only imports torch"
    )
    console.line(
        f"[dim]median of {count(report['repeats'], 'round')} of {report['seconds']:g} s per method, "
        "interleaved[/]"
    )
    if report["machine_busy"]:
        console.warn(
            "other processes used the processor, which slows methods with many threads most: these ratios "
            "say little about a quiet machine"
        )


def bench(
    config: Config, overrides: Sequence[str], json: str | None, repeats: int, seconds: float, verbose: int
) -> None:
    """Run ``cnntrain bench``.

    Args:
        config: the configuration of a run, as plain types.
        overrides: those of the run.
        json: the file for all figures, ``-`` to print it; None for a new one under outputs/bench/.
        repeats: rounds of each way of training.
        seconds: the seconds of a turn.
        verbose: how much is printed.
    """
    target = json or shown_path(default_target())
    console = message_console(target, verbose=verbose)
    if not is_stdout(target):
        run_folder.make_folder(run_folder.typed_path(target).parent)
    report = measure(config, overrides, repeats, seconds, console)
    write(target, json_of(report), console)


def default_target() -> Path:
    """Return a new file under ``outputs/bench``."""
    now = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    return run_folder.OUTPUTS / "bench" / f"{now}.json"
