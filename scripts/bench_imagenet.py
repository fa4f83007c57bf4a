"""How long an epoch of ``experiment=imagenet_resnet50`` would take here, estimated from measured steps.

    python scripts/bench_imagenet.py [--steps 7] [--batch-size 256] [--workers 8] [--gpus 1,8]

Writes made-up JPEGs in the shape and the layout of ImageNet-1k (1,000 classes, 500x375 pixels), trains on
them for some steps with the command itself, and reads from its run folder how many images a second the
network takes while it need not wait. Decoding is measured apart, with the same loader and no network, which
says how many workers keep up. Several GPUs are taken to train as many times as fast, which ResNet-50 comes
close to (Goyal et al. 2017, Accurate, Large Minibatch SGD): theirs is the least time.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cnntrain.data.augment.augment import Augment
from cnntrain.data.loader import Normalize, TrainLoader
from cnntrain.data.sources.folder import Folder
from cnntrain.data.streaming import StreamingDataset

IMAGES = 1_281_167  # of ImageNet-1k's training part
CLASSES, SIZE = 1000, (500, 375)  # about the mean width and height there
STORED, SIDE = 256, 224
FOR_EACH_CLASS = {"train": 2, "test": 1}


def write_images(root: Path) -> None:
    """Write smooth noise with fine grain, which compresses about as photographs do."""
    generator = np.random.default_rng(0)
    for part, count in FOR_EACH_CLASS.items():
        for label in range(CLASSES):
            folder = root / part / f"n{label:08}"
            folder.mkdir(parents=True)
            for index in range(count):
                rough = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
                smooth = np.asarray(Image.fromarray(rough).resize(SIZE, Image.Resampling.BICUBIC), np.int16)
                grain = generator.integers(-6, 7, smooth.shape, dtype=np.int16)
                image = Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8))
                image.save(folder / f"{index}.JPEG", quality=90)


def steps_a_second(root: Path, out: Path, steps: int, batch_size: int, workers: int) -> float:
    """Train by the command, and return the images a second of the network while it need not wait."""
    command = [sys.executable, "-m", "cnntrain", "train", "experiment=imagenet_resnet50", f"data.root={root}"]
    command += [f"out={out}", "epochs=1", f"batch_size={batch_size}", f"limit={steps * batch_size}"]
    command += [f"workers={workers}", "data.val_fraction=0", "data.cache=off", "report=false"]
    subprocess.run(command, check=True)
    with (out / "metrics.csv").open() as file:
        rate = float(next(csv.DictReader(file))["images_per_second"])
    return rate / (1 - float(json.loads((out / "summary.json").read_text())["loader_share"]))


def decoded_a_second(root: Path, batch_size: int, workers: int) -> float:
    """Return the images a second that the loader decodes, crops, mirrors and normalises, on the CPU."""
    whole = StreamingDataset(Folder(str(root), True, 3, STORED, "crop"), 3, STORED, "crop")
    whole.find_labels(0, lambda done: None)
    device = torch.device("cpu")
    augment, normalize = Augment(0, 0.5, 0, 0, crop=0.08), Normalize([0.5], [0.25], device)
    order = torch.arange(len(whole))
    loader = TrainLoader(whole.seen_at(SIDE), order, batch_size, 0, augment, normalize, device, workers)
    for _ in loader.epoch(0):  # starts the workers
        pass
    begin, seen = time.perf_counter(), 0
    for x, _ in loader.epoch(1):
        seen += len(x)
    return seen / (time.perf_counter() - begin)


def in_words(seconds: float) -> str:
    """Return a time as hours or minutes."""
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def main() -> None:
    """Measure, and print the estimate."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=7, help="at most as 2,000 images give (default 7)")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--gpus", default="1,8", help="numbers of them (default 1,8)")
    args = parser.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "the CPU"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "images")
        write_images(root)
        trained = steps_a_second(root, Path(folder, "run"), args.steps, args.batch_size, args.workers)
        decoded = decoded_a_second(root, args.batch_size, args.workers)
    each = decoded / max(1, args.workers)
    print(f"\n{device} trains {trained:,.1f} images/s; {args.workers} workers decode {decoded:,.0f} images/s")
    print(f"{'':>8}{'images/s':>10}{'an epoch':>12}{'90 epochs':>12}{'workers that keep up':>24}")
    for gpus in map(int, args.gpus.split(",")):
        rate = gpus * trained
        epoch = IMAGES / rate
        print(
            f"{gpus:>3} × {'GPU' if torch.cuda.is_available() else 'CPU'}{rate:>9,.1f}{in_words(epoch):>12}"
            f"{in_words(90 * epoch):>12}{math.ceil(rate / each):>24}"
        )


if __name__ == "__main__":
    main()
