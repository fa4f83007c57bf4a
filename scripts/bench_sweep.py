"""Time a sweep of 16 short runs against 16 processes of the loop that tutorials show, one after another.

    python scripts/bench_sweep.py                # three rounds of each, some three minutes each

Each job trains MLP(784, 128, 10) by Adam in batches of 32, with a seed of its own, for two epochs of the
digits that cnntrain brings. Times are of whole processes, from typing to the prompt; every round runs each
contender once, and ratios are those within a round. An idle machine gives the steadiest figures. Needs
`pip install '.[joblib]'`.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

JOBS = 16
EPOCHS = 2
MINI = Path(__file__).parents[1] / "cnntrain" / "data" / "mnist_mini"
SWEEP = (
    *("model=mlp", "optim=adam", "optim.lr=1e-3", f"epochs={EPOCHS}", "batch_size=32", "device=cpu"),
    "report=false",  # since the textbook draws nothing
)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="rounds (default 3)")
    parser.add_argument("--job", type=int, help=argparse.SUPPRESS)  # what this script calls itself with
    arguments = parser.parse_args()
    if arguments.job is not None:
        textbook(arguments.job)
        return

    contenders: dict[str, Callable[[], None]] = {
        "16 textbook processes": textbook_processes,
        "launcher=local": lambda: sweep("local"),
        "launcher=joblib": lambda: sweep("joblib"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(1, arguments.repeats + 1):
        for name, run in contenders.items():
            seconds[name].append(timed(run))
            print(f"round {number}/{arguments.repeats}  {name}: {seconds[name][-1]:.1f} s", flush=True)

    print(
        f"\n{'median of ' + str(arguments.repeats):24}{'seconds':>9}{'min–max':>14}{'launcher=joblib is':>22}"
    )
    for name, times in seconds.items():
        span = f"{min(times):.1f}–{max(times):.1f}"
        # Within a round, since what else the machine does changes from round to round.
        ratios = [time / joblib for time, joblib in zip(times, seconds["launcher=joblib"], strict=True)]
        ratio = statistics.median(ratios)
        print(f"{name:24}{statistics.median(times):9.1f}{span:>14}{ratio:15.2f}× as fast")


def timed(run: Callable[[], None]) -> float:
    """Return how long something takes, in an empty folder that is gone afterwards."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for name in MINI.glob("*.gz"):  # as torchvision lays them out
            target = Path(folder, "data", "MNIST", "raw", name.stem)
            target.parent.mkdir(parents=True, exist_ok=True)
            with gzip.open(name) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
        os.environ["CNNTRAIN_CACHE"] = str(Path(folder, "cache"))  # empty: a first sweep
        os.chdir(folder)
        begin = time.perf_counter()
        run()
        seconds = time.perf_counter() - begin
        os.chdir(here)
    return seconds


def textbook_processes() -> None:
    """One Python process for each seed, one after another."""
    for seed in range(JOBS):
        run_python(str(Path(__file__).resolve()), f"--job={seed}")


def sweep(launcher: str) -> None:
    """The same as one sweep of cnntrain's."""
    run_python(
        "-m", "cnntrain", "train", "-m", *SWEEP, f"seed=range({JOBS})", f"launcher={launcher}", "out=sweep"
    )


def run_python(*words: str) -> None:
    """Run Python until it ends; what it says is only shown if it fails."""
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr}")


def textbook(seed: int) -> None:
    """Train as the tutorials do: torchvision's transforms, a DataLoader, a test after every epoch."""
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision.datasets import MNIST
    from torchvision.transforms import Compose, Normalize, ToTensor

    torch.manual_seed(seed)
    transform = Compose([ToTensor(), Normalize((0.1307,), (0.3081,))])
    train = DataLoader(MNIST("data", train=True, transform=transform), batch_size=32, shuffle=True)
    test = DataLoader(MNIST("data", train=False, transform=transform), batch_size=1000)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(1, EPOCHS + 1):
        for x, y in train:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        with torch.no_grad():
            correct = sum(int((model(x).argmax(1) == y).sum()) for x, y in test)
        print(f"epoch {epoch}: {correct} right")


if __name__ == "__main__":
    main()
