"""Record what runs of many configurations come to, to show that a change of the code changes none of it.

    python scripts/record_runs.py before.json               # in a checkout of the old commit
    python scripts/record_runs.py after.json --against before.json

Each run trains a few steps. Its record is a hash of the weights in last.pt and best.pt, and metrics.csv and
summary.json without times and machine. Exit code 1 if a record differs from the earlier one.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
COMMON = (
    "limit=400",
    "batch_size=32",
    "epochs=2",
    "threads=1",
    "precision=fp32",
    "channels_last=false",
    "report=false",
)
CNN = ("model=cnn", "model.channels=[4,8]", "model.head=[16]")
MLP = ("model=mlp", "model.hidden=[16]")
CONFIGURATIONS: dict[str, tuple[str, ...]] = {
    "mlp, sgd": (*MLP, "optim=sgd"),
    "mlp, adam, accumulation, moving average": (*MLP, "accumulate=2", "ema=0.9", "grad_clip=1"),
    "mlp, rmsprop, one cycle": (*MLP, "optim=rmsprop", "schedule=onecycle"),
    "mlp, AdamW of torch, plateau": (
        *MLP,
        "optim._target_=torch.optim.AdamW",
        "schedule._target_=torch.optim.lr_scheduler.ReduceLROnPlateau",
    ),
    "cnn, sgd": (*CNN, "optim=sgd", "model.dropout=0.2"),
    "cnn, adam, augmentation": (*CNN, "augment=digits", "augment.erase=0.2"),
    "cnn, rmsprop, batch norm": (*CNN, "optim=rmsprop", "model.batch_norm=true"),
    "cnn, mixup and cutmix": (*CNN, "augment.mixup=0.2", "augment.cutmix=1", "criterion.label_smoothing=0.1"),
    "cnn, workers": (*CNN, "workers=2", "augment=digits"),
    "cnn, balanced classes, early stopping": (*CNN, "balance_classes=true", "early_stopping=1"),
    "cnn, channels last, other seed": (
        *CNN,
        "seed=7",
        "data.split_seed=3",
        "channels_last=true",
        "optim.weight_decay=0.01",
    ),
    "a folder of images": (*CNN, "data=folder", "data.root=images"),
    "torchvision, frozen": ("model=torchvision", "model.name=squeezenet1_1", "limit=64", "epochs=1"),
    "two processes": (*CNN, "augment=digits"),
    "a sweep": ("-m", *MLP, "optim=sgd,adam", "seed=0,1"),
}
OF_THE_MOMENT: tuple[str, ...] = (
    "seconds",
    "images_per_second",
    "loader_share",
    "train_seconds",
    "machine",
    "versions",
    "command",
)
OF_THE_MOMENT += ("git_commit", "platform", "device")


def main() -> int:
    """Record, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--against", type=Path)
    typed = parser.parse_args()
    before = json.loads(typed.against.read_text()) if typed.against else None
    with tempfile.TemporaryDirectory(prefix="cnntrain-record-") as folder:
        os.chdir(folder)
        write_images(Path("images"))
        records = {}
        for number, (name, arguments) in enumerate(CONFIGURATIONS.items()):
            train(name, arguments, f"run{number}")
            records[name] = recorded(Path(f"run{number}"))
            is_same = before is None or before.get(name) == records[name]
            print(f"{name:45} {digest(records[name])[:16]}{'' if is_same else '  DIFFERS'}", flush=True)
    typed.file.write_text(json.dumps(records, indent=1) + "\n")
    return int(before is not None and before != records)


def train(name: str, arguments: tuple[str, ...], out: str) -> None:
    """Run the command, in two processes for the configuration of that name."""
    command = [sys.executable, "-m", "cnntrain", "train", *COMMON, *arguments, f"out={out}"]
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ranks: list[dict[str, str]] = [{}]
    if name == "two processes":
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        ranks = [{**group, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    running = [
        subprocess.Popen(command, env={**settings, **rank}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for rank in ranks
    ]
    for process in running:
        _, errors = process.communicate()
        if process.returncode:
            sys.exit(f"{name}: exit code {process.returncode}\n{errors.decode()}")


def recorded(folder: Path) -> dict[str, Any]:
    """Return the record of each run below a folder."""
    return {
        str(summary.parent.relative_to(folder)): {
            "weights": {file.name: weights(file) for file in sorted(summary.parent.glob("checkpoints/*.pt"))},
            "metrics": rows(summary.parent / "metrics.csv"),
            "summary": lasting(json.loads(summary.read_text())),
        }
        for summary in sorted(folder.rglob("summary.json"))
        if (summary.parent / "metrics.csv").exists()
    }


def weights(file: Path) -> str:
    """Return a hash of the names and bytes of the weights in a checkpoint."""
    import torch

    found = hashlib.sha256()
    for name, tensor in sorted(torch.load(file, weights_only=True)["model"].items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return found.hexdigest()


def rows(file: Path) -> list[dict[str, str]]:
    """Return the lines of metrics.csv without the columns that time changes."""
    with file.open() as lines:
        return [
            {name: row[name] for name in row if name not in OF_THE_MOMENT} for row in csv.DictReader(lines)
        ]


def lasting(value: Any) -> Any:
    """Return a value of summary.json without what changes from one run to the next."""
    if isinstance(value, dict):
        return {name: lasting(one) for name, one in value.items() if name not in OF_THE_MOMENT}
    return [lasting(one) for one in value] if isinstance(value, list) else value


def digest(record: Any) -> str:
    """Return a hash of a record."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def write_images(folder: Path) -> None:
    """Write 300 digits that ship with cnntrain as PNG files, a folder for each class."""
    sys.path.insert(0, str(ROOT))
    from PIL import Image

    from cnntrain.data.sources import MNISTMini

    digits = MNISTMini(train=True)
    for number in range(300):
        image, label = digits.images[number], int(digits.labels[number])
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.squeeze().numpy()).save(folder / str(label) / f"{number}.png")


if __name__ == "__main__":
    sys.exit(main())
