"""``cnntrain explain loader``: how long each step waits for its batch, by DataLoader and from memory."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from torch.utils.data import DataLoader

from cnntrain import loop
from cnntrain.bench.textbook.datasets import TextbookClasses
from cnntrain.compute.wait_time import Stopwatch
from cnntrain.data.images import InMemoryDataset
from cnntrain.drawing.style import COLOURS, styled
from cnntrain.errors import UserError
from cnntrain.explain import figures, sentences
from cnntrain.explain.setup import TrainingSetup
from cnntrain.explain.terminal import rows, words
from cnntrain.language.translation import tr
from cnntrain.runtime.console import Console
from cnntrain.tasks.base import Batch
from cnntrain.text import shown_path

STEPS = 120  # of each pipeline, at most
WARM = 10  # steps at the beginning that are not counted: workers start, and torch prepares
DRAWN = 12  # steps of the timeline
WORKERS = (0, 2, 4)


class EveryStep(Stopwatch):
    """The measure of waiting that training has, of every step on a GPU too."""

    SAMPLED = 1


@dataclass(frozen=True)
class Timed:
    """The seconds of some steps in a row.

    Args:
        waited: for the batch, of each step.
        worked: on it, by the five steps.
    """

    waited: list[float]
    worked: list[float]

    @property
    def steady(self) -> Timed:
        """The steps after those that warm up."""
        begin = min(WARM, len(self.waited) // 2)
        return Timed(self.waited[begin:], self.worked[begin:])

    @property
    def share(self) -> float:
        """Share of the time that was waited."""
        total = sum(self.waited) + sum(self.worked)
        return sum(self.waited) / total if total else 0.0


def loader(build: Callable[[], TrainingSetup], console: Console, folder: Path) -> None:
    """Train on the batches of several pipelines, and measure how long each step waits for its batch.

    Args:
        build: puts together a run before its first step.
        console: the console to print to.
        folder: the folder for the figure.

    Raises:
        UserError: the images are not in memory.
    """
    parts = build()
    images = parts.data.train
    if not isinstance(images, InMemoryDataset):
        raise UserError("explain loader needs images in memory, and these are streamed: leave data.cache out")
    size = parts.batches.batches.batch_size
    steps = min(STEPS, len(parts.batches))
    found: dict[str, Timed] = {}
    with closing(parts.batches), console.bar(1 + len(WORKERS), 0, tr("measuring"), unit="pipeline") as bar:
        take(parts, parts.batches.made(0, 0), min(WARM, steps))
        dataset = TextbookClasses(images, size * steps, parts.settings.data.mean, parts.settings.data.std)
        for workers in WORKERS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch's, of more workers than cores: that is shown here
                batches = DataLoader(dataset, batch_size=size, shuffle=True, num_workers=workers)
                found[tr("DataLoader, num_workers={workers}", workers=workers)] = take(
                    parts, ((x.to(parts.device), y.to(parts.device)) for x, y in batches), steps
                )
            bar.update()
        found[tr("cnntrain, in memory")] = take(parts, parts.batches.made(0, 0), steps)
        bar.update()
    conclude(console, parts, found, size)
    path = folder / "loader.png"
    figures.save(drawn(found), path)
    console.line(tr("figure: [bold]{}[/]"), shown_path(path))


def take(parts: TrainingSetup, batches: Iterator[Batch], steps: int) -> Timed:
    """Train on some batches, and time each step."""
    watch = EveryStep(parts.device)
    noted: list[tuple[float, float]] = []  # what the stopwatch had counted before each step

    def noting() -> Iterator[Batch]:
        for batch in watch.timed(itertools.islice(batches, steps)):
            noted.append((watch.waited, watch.worked))
            yield batch

    loop.train_epoch(
        parts.model,
        parts.task.collate(noting()),
        parts.criterion,
        parts.precision.wrap(parts.optimizer),
        precision=parts.precision,
        metrics=parts.task.running_mean(parts.device),
    )
    noted.append((watch.waited, watch.worked))
    waited, worked = zip(*noted, strict=True)
    return Timed(
        *([after - before for before, after in itertools.pairwise(side)] for side in (waited, worked))
    )


def conclude(console: Console, parts: TrainingSetup, found: Mapping[str, Timed], size: int) -> None:
    """Show the pipelines side by side, and what follows."""
    words(
        console,
        tr(
            "[bold]The same epoch by several pipelines[/]: {steps} steps of {size} images each, on {device} "
            "with {cores} CPU cores\n",
            steps=len(next(iter(found.values())).waited),
            size=size,
            device=parts.device,
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        ),
    )
    lines = []
    for name, timed in found.items():
        steady = timed.steady
        number = len(steady.waited)
        waited, worked = sum(steady.waited), sum(steady.worked)
        lines.append(
            (
                name,
                f"{1000 * timed.waited[0]:.1f} ms",
                f"{1000 * waited / number:.2f} ms",
                f"{1000 * worked / number:.2f} ms",
                f"{steady.share:.0%}",
                f"{number * size / max(1e-9, waited + worked):,.0f}",
            )
        )
    headings = (
        tr("pipeline"),
        tr("first batch"),
        tr("wait"),
        tr("work"),
        tr("waited"),
        tr("images/s"),
    )
    rows(console, headings, lines)
    shares = {name: timed.steady.share for name, timed in found.items()}
    words(
        console,
        tr(
            "\nA Dataset gives one example: here a PIL image, which torchvision's transforms turn into a "
            "normalised tensor. A DataLoader shuffles, makes batches, and has them made ahead by worker "
            "processes. cnntrain keeps the bytes in memory and makes a whole batch in a few operations on "
            "the device. wait: for the batch, per step; work: the five steps of training. The first batch, "
            "for which the workers start, and the {warm} first steps do not count.",
            warm=WARM,
        )
        + " "
        + sentences.on_waiting(shares),
    )
    words(
        console,
        tr(
            "[dim]The GPU must not wait for the CPU: each run of cnntrain train measures this "
            "share in the same way, and reports it at its end.[/]"
        ),
    )


@styled
def drawn(found: Mapping[str, Timed]) -> Figure:
    """Return a timeline for each pipeline: when a step waits for its batch, and when it works on it."""
    figure = Figure(figsize=(10, 0.6 + 1.05 * len(found)))
    axes = figure.add_subplot()
    parts = {"mark": tr("waits for the batch"), "curve": tr("the five steps")}
    for row, timed in enumerate(found.values()):
        middle = max(0, (len(timed.waited) - DRAWN) // 2)
        at = 0.0
        for step in range(middle, min(len(timed.waited), middle + DRAWN)):
            for colour, seconds in (("mark", timed.waited[step]), ("curve", timed.worked[step])):
                axes.barh(
                    row,
                    1000 * seconds,
                    left=at,
                    height=0.55,
                    color=COLOURS[colour],
                    label=parts.pop(colour, ""),
                )
                at += 1000 * seconds
            axes.plot([at, at], [row - 0.38, row + 0.38], color="white", linewidth=0.8)
        axes.text(at, row, f"  {timed.steady.share:.0%}", va="center", fontsize=9, color=COLOURS["mark"])
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set_xlim(left=0)
    axes.set_xlabel(tr("milliseconds, of {steps} steps; on the right the share that is waited", steps=DRAWN))
    axes.grid(visible=False, axis="y")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2)
    return figure
