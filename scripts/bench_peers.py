"""Measure cnntrain against the tools that people would use instead, on the CPU and the complete MNIST.

    python scripts/bench_peers.py --root DIR                      # images per second of training
    python scripts/bench_peers.py --root DIR --to-99 --seeds 10   # seconds to 99 % of the test images

DIR holds MNIST/raw, as torchvision lays it out. `pip install '.[bench]'` brings the other tools; one that is
not installed is named and left out. Each measurement is a process of its own, and every round measures each
tool once, so that a machine that slows down slows all of them. Idle machines give the steadiest figures.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import functools
import importlib.metadata
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import bench_tables
from bench_tables import BATCH_SIZES, EXAMPLE, TOOLS

TRAINING_IMAGES = 60_000
FILES = [f"{part}-ubyte" for p in ("train", "t10k") for part in (f"{p}-images-idx3", f"{p}-labels-idx1")]


class Failed(Exception):
    """A measurement that came to nothing; the text is the last line that its process wrote."""


class Parser(argparse.ArgumentParser):
    """Tells wrong input in one line."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f"bench_peers: {message}\n")


def main() -> int:
    """Measure what the command line asks for, print it and return the exit code."""
    arguments = parsed()
    if arguments.contender:
        return contend(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what `timeout` sends ends all processes
    report: dict[str, Any] = {"machine": machine(), "results": [], "failed": {}}
    code = 0
    try:
        measure = measure_times if arguments.to_99 else measure_speeds
        measure(arguments, report)
    except KeyboardInterrupt:
        say("\nbench_peers: interrupted")
        code = 128 + signal.SIGINT
    if report["results"]:
        show(report, arguments.markdown)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return code or int(bool(report["failed"]))


def parsed() -> argparse.Namespace:
    """Return the command line's arguments, once nothing in them can fail after minutes of measuring."""
    parser = Parser("bench_peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--root", type=Path, required=True, metavar="DIR", help="folder that holds MNIST/raw")
    add("--repeats", type=positive, default=3, metavar="N", help="rounds (default 3; some 3 minutes each)")
    add("--images", type=positive, default=9600, metavar="N", help="training images (default 9600)")
    add("--only", nargs="+", choices=TOOLS, default=list(TOOLS), metavar="TOOL", help=", ".join(TOOLS))
    add("--to-99", action="store_true", help="time the MNIST example and cnntrain to 99 %% instead")
    add("--seeds", type=positive, default=1, metavar="N", help="with --to-99: cnntrain with seed=0..N-1")
    add("--example-epochs", type=positive, default=14, metavar="N", help="with --to-99: its most epochs")
    add("--markdown", action="store_true", help="print the table as Markdown")
    add("--json", type=Path, metavar="FILE", help="write all that was measured to FILE")
    add("--contender", help=argparse.SUPPRESS)  # what this script calls itself with
    add("--model", choices=BATCH_SIZES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()

    for file in (arguments.root / "MNIST" / "raw" / name for name in FILES):
        if not file.is_file():
            parser.error(f"{file} is missing: --root takes the folder that holds the complete MNIST")
    if arguments.images > TRAINING_IMAGES:
        parser.error(f"--images {arguments.images}: MNIST has {TRAINING_IMAGES:,} for training")
    if arguments.json and (arguments.json.is_dir() or not arguments.json.parent.is_dir()):
        parser.error(f"--json {arguments.json}: name a file in a folder that exists")
    arguments.root = arguments.root.resolve()  # the processes run in folders of their own
    return arguments


def positive(text: str) -> int:
    """Return a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)


def measure_speeds(arguments: argparse.Namespace, report: dict[str, Any]) -> None:
    """Measure round after round. The report grows with each measurement, so that Ctrl-C loses none."""
    missing = [name for name in arguments.only if importlib.util.find_spec(TOOLS[name].module) is None]
    for module in sorted({TOOLS[name].module for name in missing}):
        say(f"{module} is not installed and left out: pip install {'.' if module == 'cnntrain' else module}")
    present = [name for name in TOOLS if name in arguments.only and name not in missing]
    rounds: list[dict[tuple[str, str], float]] = []
    report.update(images=arguments.images, not_installed=missing)
    for number in range(1, arguments.repeats + 1):
        rounds.append({})
        # Every second round goes backwards, so that what grows or fades within a round favours nobody.
        for model, name in [(m, n) for m in BATCH_SIZES for n in present][:: 1 if number % 2 else -1]:
            run = functools.partial(speed_of, name, model, arguments)
            speed = tried(
                run, f"round {number}/{arguments.repeats}  {model}  {TOOLS[name].label}", report["failed"]
            )
            if speed is not None:
                say(f"{speed:,.0f} images/s")
                rounds[-1][model, name] = speed
                report.update(rounds=number, results=bench_tables.summarise(rounds))


def speed_of(name: str, model: str, arguments: argparse.Namespace) -> float:
    """Return a contender's images per second in the second of two epochs."""
    if not TOOLS[name].overrides:
        words = [f"--contender={name}", f"--model={model}", f"--images={arguments.images}"]
        return float(in_process(words, arguments.root)["images_per_second"])
    # No validation set, since the others have none. All else is as cnntrain does it by default.
    words = ["data=mnist", "data.val_fraction=0", f"model={model}", "optim=adam", "optim.lr=1e-3", "epochs=2"]
    words += [f"batch_size={BATCH_SIZES[model]}", f"limit={arguments.images}", *TOOLS[name].overrides]
    return float(cnntrain(words, arguments.root)["images_per_second"])


def measure_times(arguments: argparse.Namespace, report: dict[str, Any]) -> None:
    """Time whole processes, from start to end: the example once, cnntrain once with each seed."""
    words = ["--contender=example", f"--example-epochs={arguments.example_epochs}"]
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        EXAMPLE: functools.partial(in_process, words, arguments.root)
    }
    for seed in range(arguments.seeds):
        words = ["experiment=mnist99", f"seed={seed}"]
        runs[f"cnntrain seed={seed}"] = functools.partial(cnntrain, words, arguments.root)
    for name, run in runs.items():
        result = tried(run, name, report["failed"])
        if result is not None:
            say(f"{result['accuracy']:.2%} after {result['seconds']:.1f} s")
            report["results"].append({"run": name, **result})
            report["comparison"] = bench_tables.compare(report["results"])


def tried(run: Callable[[], Any], name: str, failed: dict[str, str]) -> Any:
    """Return what a measurement gives, or None if it failed, which is said and noted."""
    say(f"{name}: ", end="")
    try:
        return run()
    except Failed as error:
        say(f"failed: {error}")
        failed[name] = str(error)
        return None


def in_process(words: Sequence[str], root: Path) -> dict[str, Any]:
    """Call this script for one contender and return what it measured, with the seconds it took in all."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [str(Path(__file__).resolve()), f"--root={root}", *words]
        seconds, output = finished(command, root, folder)
        return {**json.loads(output.splitlines()[-1]), "seconds": seconds}


def cnntrain(words: Sequence[str], root: Path) -> dict[str, Any]:
    """Call `cnntrain train` and return what its run folder tells, with the seconds it took in all."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # The others draw no report.
        command = ["-m", "cnntrain", "train", *words, "device=cpu", "report=false", "out=run"]
        seconds, _ = finished(command, root, folder)
        with Path(folder, "run", "metrics.csv").open() as file:
            epochs = list(csv.DictReader(file))
        summary = json.loads(Path(folder, "run", "summary.json").read_text())
        return {
            "epochs": len(epochs),
            "accuracy": summary["test"]["accuracy"],
            "images_per_second": float(epochs[-1]["images_per_second"]),
            "seconds": seconds,
        }


def finished(command: Sequence[str], root: Path, folder: str) -> tuple[float, str]:
    """Run Python in a folder until it ends; return the seconds that took and what it printed."""
    environment = {
        **os.environ,
        "CNNTRAIN_DATA_ROOT": str(root),  # by the environment, since data.root=DIR would need quoting
        "CNNTRAIN_CACHE": folder,  # empty, so that each run pays for what a first run does
        "KERAS_BACKEND": "torch",
        "KERAS_TORCH_DEVICE": "cpu",
        "KERAS_HOME": folder,  # whose keras.json else decides about the order of dimensions
    }
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment,
        process_group=0,  # a group of its own, so that its workers end with it
    ) as process:
        try:
            output, errors = process.communicate()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    seconds = time.perf_counter() - begin
    if process.returncode:
        lines = [f"exit code {process.returncode}", *filter(None, map(str.strip, errors.splitlines()))]
        raise Failed(lines[-1])
    return seconds, output


def contend(arguments: argparse.Namespace) -> int:
    """Be the process of one contender: train, and print what was measured as a line of JSON."""
    import peers  # and torch with it, which nothing else here needs
    import peers_example

    if arguments.contender == "example":
        result = peers_example.mnist_example(arguments.root, arguments.example_epochs)
    else:
        speed = peers.images_per_second(
            arguments.contender, arguments.model, arguments.root, arguments.images
        )
        result = {"images_per_second": speed}
    print(f"\n{json.dumps(result)}")
    return 0


def machine() -> dict[str, Any]:
    """Return what the figures depend on, how busy the machine is beforehand among it."""
    versions = {}
    for package in ("torch", *sorted({tool.module for tool in TOOLS.values()})):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": versions,
    }


def show(report: dict[str, Any], as_markdown: bool) -> None:
    """Print the table, and below it what the figures depend on."""
    facts = report["machine"]
    closing = [
        f"{facts['cores']} cores (load {facts['load_before']} before), Python {facts['python']}, "
        + ", ".join(f"{package} {version}" for package, version in facts["versions"].items())
    ]
    if "comparison" in report:
        rows = bench_tables.goal_rows(report["results"])
        closing.insert(0, bench_tables.goal_line(report["comparison"]))
    else:
        rows = bench_tables.throughput_rows(report["results"])
        closing.insert(0, f"{report['images']:,} training images; rounds: {report['rounds']}")
    bench_tables.show(rows, closing, as_markdown)


def say(text: str, end: str = "\n") -> None:
    """Print what is going on, to standard error."""
    print(text, end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
