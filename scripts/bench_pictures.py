"""Pictures a second from a folder of JPEGs: cnntrain against torchvision's reference pipeline, side by side.

    scripts/bench_pictures.py [--size 1024x768] [--pictures 600] [--workers 2] [--rounds 3]

Both make shuffled, augmented, normalised batches of 64 pictures of 224x224. The reference is PIL,
RandomResizedCrop, flip, ToTensor, Normalize and a DataLoader with as many workers. cnntrain streams (decodes
every picture in each epoch), and reads from memory (every epoch after the first). The pictures are made up.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from cnntrain.data.augment import Augment
from cnntrain.data.folder import Folder
from cnntrain.data.loader import Normalize, TrainLoader
from cnntrain.data.streamed import Streamed, read_all

SIDE, BATCH = 224, 64
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def write_pictures(root: Path, count: int, size: tuple[int, int]) -> None:
    """Write smooth noise with fine grain, which compresses about as photographs do, in two classes."""
    generator = np.random.default_rng(0)
    for index in range(count):
        rough = generator.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        smooth = np.asarray(Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
        grain = generator.integers(-6, 7, smooth.shape, dtype=np.int16)
        path = root / "train" / f"class{index % 2}" / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)
    for name in ("class0", "class1"):  # so that nothing is held out of the training part
        path = root / "test" / name / "0.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, "red" if name == "class0" else "blue").save(path)


def rate(batches: Iterable[Any]) -> float:
    """Return the pictures a second of an epoch, from the first batch asked for to the last."""
    begin, seen = time.perf_counter(), 0
    for x, _ in batches:
        seen += len(x)
    return seen / (time.perf_counter() - begin)


def contenders(root: Path, workers: int) -> dict[str, Callable[[int], float]]:
    """Return what is measured: each function is given the number of an epoch, and returns its rate."""
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
    streamed = Streamed(Folder(str(root), True, 3, SIDE), 3, SIDE)
    streamed.find_labels(0, lambda done: None)
    memory = read_all(streamed, workers, lambda done: None)
    device = torch.device("cpu")
    order, flip, normalize = torch.arange(len(streamed)), Augment(0, 0.5, 0, 0), Normalize(MEAN, STD, device)
    ours = TrainLoader(streamed, order, BATCH, 0, flip, normalize, device, workers)
    cached = TrainLoader(memory, order, BATCH, 0, flip, normalize, device, 0)
    return {
        "reference": lambda epoch: rate(reference),
        "cnntrain, streamed": lambda epoch: rate(ours.epoch(epoch)),
        "cnntrain, from memory": lambda epoch: rate(cached.epoch(epoch)),
    }


def main() -> None:
    """Measure in turns, and print medians and the medians of the ratios within a round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", default="1024x768", help="of the JPEGs, WIDTHxHEIGHT")
    parser.add_argument("--pictures", type=int, default=600)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), args.pictures, (width, height))
        measured = contenders(Path(folder), args.workers)
        for once in measured.values():  # starts the workers, and warms the file system's cache
            once(0)
        rounds = [
            {name: once(epoch) for name, once in measured.items()} for epoch in range(1, args.rounds + 1)
        ]
    print(f"{args.size} JPEGs, {args.workers} workers: images/s, and median of the ratios to the reference")
    for name in measured:
        ratio = statistics.median(of[name] / of["reference"] for of in rounds)
        print(f"{name:<24}{statistics.median(of[name] for of in rounds):>10,.0f}{ratio:>8.2f}")


if __name__ == "__main__":
    main()
