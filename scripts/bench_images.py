"""Images a second from a folder of JPEGs: cnntrain against torchvision's reference pipeline, side by side.

    scripts/bench_images.py [--size 500x375] [--images 2000] [--workers 2] [--rounds 5]

All make shuffled batches of 64 images of 224x224, each a random part that is scaled, then mirrored or not
and normalised. The reference is PIL, RandomResizedCrop, RandomHorizontalFlip, ToTensor, Normalize and a
DataLoader with as many workers. cnntrain decodes every image in each epoch (streamed), or gathers what the
epoch before has decoded (cached); the parts are drawn from images of 256x256, or as large as smaller files
are. Beside workers the main process computes with one thread, else with all. The images are made up. Rounds
are interleaved. On a machine that is busy with other work, the processor's time for each image, of
all processes together, says more than the images a second. Memory is kept for all, as in the command.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from multiprocessing import active_children
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from cnntrain.data.augment.augment import Augment
from cnntrain.data.loader import Normalize, TrainLoader
from cnntrain.data.sources.folder import Folder
from cnntrain.data.streaming import StreamingDataset, read_all
from cnntrain.runtime import memory

SIDE, STORED, BATCH = 224, 256, 64  # smaller files are stored as they are
REFERENCE = "reference"
DISTINCT = 200  # images; more are links to them
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def write_images(root: Path, count: int, size: tuple[int, int]) -> None:
    """Write smooth noise with fine grain, which compresses about as photographs do, in two classes."""
    generator = np.random.default_rng(0)
    for index in range(count):
        path = root / "train" / f"class{index % 2}" / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        if index >= DISTINCT:
            path.hardlink_to(root / "train" / f"class{index % 2}" / f"{index % DISTINCT:05}.jpg")
            continue
        rough = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        grain = generator.integers(-6, 7, smooth.shape, dtype=np.int16)
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)
    for name in ("class0", "class1"):  # so that nothing is held out of the training part
        path = root / "test" / name / "0.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "red" if name == "class0" else "blue").save(path)


class Measured(NamedTuple):
    """What an epoch came to: images a second, and seconds of processor for each image."""

    rate: float
    work: float


def epoch_of(batches: Iterable[Any], threads: int) -> Measured:
    """Go through an epoch, from the first batch asked for to the last, this process with some threads."""
    torch.set_num_threads(threads)
    begin, before, seen = time.perf_counter(), processor_seconds(), 0
    for x, _ in batches:
        seen += len(x)
    return Measured(seen / (time.perf_counter() - begin), (processor_seconds() - before) / seen)


def processor_seconds() -> float:
    """Return the processor's time that this process and its workers have taken; nan but on Linux."""
    try:
        stats = [Path(f"/proc/{child.pid}/stat").read_text() for child in active_children()]
    except OSError:
        return float("nan")
    ticks = sum(int(field) for stat in stats for field in stat.rpartition(")")[2].split()[11:13])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def contenders(root: Path, stored: int, workers: int) -> dict[str, Callable[[int], Measured]]:
    """Return what is measured: each function is given the number of an epoch, and goes through it.

    Args:
        root: folder of the images.
        stored: side of the images from which cnntrain draws parts, in pixels.
        workers: of each contender.
    """
    steps = [
        transforms.RandomResizedCrop(SIDE),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
    ]
    reference: DataLoader[Any] = DataLoader(
        datasets.ImageFolder(str(root / "train"), transforms.Compose(steps)),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    whole = StreamingDataset(Folder(str(root), True, 3, stored, "crop"), 3, stored, "crop")
    whole.find_labels(0, lambda done: None)
    streamed, cached = whole.seen_at(SIDE), read_all(whole, workers, lambda done: None).seen_at(SIDE)
    threads = torch.get_num_threads()
    device, order = torch.device("cpu"), torch.arange(len(whole))
    augment, normalize = Augment(0, 0.5, 0, 0, crop=0.08), Normalize(MEAN, STD, device)
    ours = TrainLoader(streamed, order, BATCH, 0, augment, normalize, device, workers)
    again = TrainLoader(cached, order, BATCH, 0, augment, normalize, device, 0)
    return {
        REFERENCE: lambda epoch: epoch_of(reference, 1),
        "cnntrain, streamed": lambda epoch: epoch_of(ours.epoch(epoch), 1),
        "cnntrain, cached": lambda epoch: epoch_of(again.epoch(epoch), threads),
    }


def main() -> None:
    """Measure in turns, and print medians and the medians of the ratios within a round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="500x375", help="of the JPEGs, WIDTHxHEIGHT")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    memory.keep()
    width, height = (int(side) for side in args.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder), args.images, (width, height))
        measured = contenders(Path(folder), min(STORED, width, height), args.workers)
        for once in measured.values():  # starts the workers, and warms the file system's cache
            once(0)
        rounds = [
            {name: once(epoch) for name, once in measured.items()} for epoch in range(1, args.rounds + 1)
        ]
    print(f"{args.size} JPEGs, {args.workers} workers; ratios: of a round")
    print(f"{'':<20}{'images/s':>10}{'ratio':>8}{'least':>8}{'most':>8}{'ms of CPU':>12}{'ratio':>8}")
    for name in measured:
        ratios = [of[name].rate / of[REFERENCE].rate for of in rounds]
        less = statistics.median(of[REFERENCE].work / of[name].work for of in rounds)
        rate, work = (
            statistics.median(getattr(of[name], what) for of in rounds) for what in ("rate", "work")
        )
        print(
            f"{name:<20}{rate:>10,.0f}{statistics.median(ratios):>8.2f}{min(ratios):>8.2f}"
            f"{max(ratios):>8.2f}{1e3 * work:>12.2f}{less:>8.2f}"
        )


if __name__ == "__main__":
    main()
