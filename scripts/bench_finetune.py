"""Show what a pretrained start is worth: a CNN that knows the digits 0 to 4 learns 5 to 9 from few examples.

    python scripts/bench_finetune.py                # 10 examples a class, 10 seeds; about two minutes

One CNN learns the shipped digits 0 to 4. Then, for each seed, a few examples of each digit from 5 to 9 are
drawn, and the same network learns them for the same number of steps: from nothing, from the weights of the
first with the same settings, and so that its new head learns faster than the rest. Accuracy is that on all
test digits from 5 to 9, of the last epoch; nothing is chosen by it. Every training is an ordinary
`cnntrain train data=folder`.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path

import torch
from PIL import Image

from cnntrain.cli.main import run
from cnntrain.compare.statistics import Summary, paired_p, summarize
from cnntrain.data.sources.builtin import MNISTMini

KNOWN, NEW = range(5), range(5, 10)
COMMON = ("data=folder", "model=cnn", "augment=digits", "precision=fp32", "threads=1", "channels_last=false")
QUIET = ("device=cpu", "report=false", "doctor=false", "data.val_fraction=0", "verbose=0")
CONTENDERS = {
    "from nothing": (),
    "init_from=RUN": ("init_from=known/run",),
    "init_from=RUN optim.lr=3e-4 lr_scale={head:10}": (
        *("init_from=known/run", "optim.lr=3e-4", "lr_scale={head:10}"),
    ),
}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=10, metavar="N", help="of each class (default 10)")
    parser.add_argument("--seeds", type=int, default=10, metavar="N", help="draws of them (default 10)")
    parser.add_argument("--epochs", type=int, default=30, metavar="N", help="of each training (default 30)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found = measure(arguments.examples, arguments.seeds, arguments.epochs)
    nothing = found["from nothing"]
    print(f"\n{arguments.examples} examples of each digit from 5 to 9, {arguments.seeds} draws of them")
    print(f"{'':48}{'test accuracy, 95% interval':>28}{'gain':>16}{'p':>9}")
    for name, accuracies in found.items():
        mean = summarize(accuracies)
        line = f"{name:48}{mean.mean:19.1%} ± {half_percent(mean):.1f}"
        if accuracies is not nothing:
            gain = summarize([a - b for a, b in zip(accuracies, nothing, strict=True)])
            p = paired_p(accuracies, nothing)
            line += f"{100 * gain.mean:+14.1f} ± {half_percent(gain):.1f}{p:9.1g}"
        print(line)


def half_percent(summary: Summary) -> float:
    """Return half the width of an interval, in percent points."""
    low, high = summary.interval or (0.0, 0.0)
    return 50 * (high - low)


def measure(examples: int, seeds: int, epochs: int) -> dict[str, list[float]]:
    """Return the test accuracies of each contender, one for each seed."""
    train, test = MNISTMini(train=True), MNISTMini(train=False)
    write_images(train, Path("known/train"), {digit: every(train, digit) for digit in KNOWN})
    write_images(test, Path("known/test"), {digit: every(test, digit) for digit in KNOWN})
    first = accuracy("known/run", "data.root=known", "epochs=10", "seed=0")
    print(f"a CNN that knows 0 to 4: {first:.1%} of their test digits", flush=True)
    found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for seed in range(seeds):
        drawn = Path(f"new-{seed}")
        generator = torch.Generator().manual_seed(seed)
        few = {}
        for digit in NEW:
            indices = every(train, digit)
            few[digit] = indices[torch.randperm(len(indices), generator=generator)[:examples]]
        write_images(train, drawn / "train", few)
        write_images(test, drawn / "test", {digit: every(test, digit) for digit in NEW})
        for number, (name, own) in enumerate(CONTENDERS.items()):
            how = (f"data.root={drawn}", f"epochs={epochs}", "batch_size=10", f"seed={seed}", *own)
            found[name].append(accuracy(f"{drawn}/run-{number}", *how))
            print(f"seed {seed}  {name}: {found[name][-1]:.1%}", flush=True)
    return found


def accuracy(folder: str, *overrides: str) -> float:
    """Train, and return the accuracy on the test part."""
    run(["train", *COMMON, *QUIET, f"out={folder}", *overrides])
    return float(json.loads(Path(folder, "summary.json").read_text())["test"]["accuracy"])


def every(images: MNISTMini, digit: int) -> torch.Tensor:
    """Return the indices of a digit's images."""
    return (images.labels == digit).nonzero().flatten()


def write_images(images: MNISTMini, folder: Path, indices: dict[int, torch.Tensor]) -> None:
    """Write images as PNG, a folder for each class."""
    for digit, own in indices.items():
        (folder / str(digit)).mkdir(parents=True)
        for index in own.tolist():
            Image.fromarray(images.images[index, 0].numpy()).save(folder / str(digit) / f"{index}.png")


if __name__ == "__main__":
    main()
