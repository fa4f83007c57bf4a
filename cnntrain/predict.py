"""What a trained model makes of image files: a table, CSV or JSON, and the names of those it can't read."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.markup import escape
from torch import Tensor

from cnntrain.console import Console, count
from cnntrain.data.crops import central
from cnntrain.data.decode import Unreadable
from cnntrain.data.read import read_square
from cnntrain.output import screen_beside, write
from cnntrain.trained import Trained


@dataclass(frozen=True)
class Prediction:
    """What the model makes of a file.

    Args:
        file: as typed, or below the folder that was typed.
        classes: the likeliest, with their probabilities, the first one the prediction; empty if it failed.
        reason: why it could not be read.
    """

    file: Path
    classes: tuple[tuple[str, float], ...] = ()
    reason: str = ""


def predict(
    trained: Trained,
    files: Sequence[Path],
    config: dict[str, Any],
    csv_file: str | None,
    json_file: str | None,
) -> int:
    """Show what a model makes of image files, and return how many could not be read.

    Args:
        trained: the model.
        files: of images.
        config: with the keys ``top``, ``invert``, ``eval_batch_size`` and ``verbose``.
        csv_file: where to write a row for each file; ``-`` for standard output.
        json_file: where to write all as JSON, likewise.

    Raises:
        UserError: a file can't be written.
    """
    console = screen_beside(csv_file, json_file, verbose=config["verbose"])
    found, width = [], max(len(str(file)) for file in files)
    with console.bar(len(files), 0, "predicting", unit="image") as bar:
        for prediction in predictions(
            trained, files, config["top"], config["invert"], config["eval_batch_size"]
        ):
            found.append(prediction)
            bar.update()
            with bar.external_write_mode():
                show(console, prediction, width)
    failed = sum(bool(prediction.reason) for prediction in found)
    if csv_file is not None:
        write(csv_file, as_csv(found, min(config["top"], len(trained.class_names))), console)
    if json_file is not None:
        write(json_file, as_json(trained, found), console)
    if failed:
        console.warn(f"{count(failed, 'file')} of {len(files):,} could not be read")
    return failed


def predictions(
    trained: Trained, files: Sequence[Path], top: int, invert: bool, batch_size: int
) -> Iterator[Prediction]:
    """Yield what a model makes of each file, in order.

    Args:
        trained: the model.
        files: of images.
        top: how many of the likeliest classes.
        invert: turn dark on white into white on dark first, as handwritten digits are in MNIST.
        batch_size: images that the model sees at a time.
    """
    channels, size, _ = trained.shape
    top = min(top, len(trained.class_names))

    def read(file: Path) -> Tensor | str:
        try:
            whole = read_square(file, channels, trained.resize_size, trained.resize, invert, trained.decoding)
        except Unreadable as error:
            return str(error)
        return central(whole, size)[None]

    lots = [files[first : first + batch_size] for first in range(0, len(files), batch_size)]
    with ThreadPoolExecutor() as pool:
        reading: list[Future[Tensor | str]] = [pool.submit(read, file) for file in lots[0]] if lots else []
        for lot, following in zip(lots, [*lots[1:], []], strict=True):
            images = [future.result() for future in reading]
            reading = [pool.submit(read, file) for file in following]  # while the model is at it
            yield from judged(trained, lot, images, top)


def judged(
    trained: Trained, files: Sequence[Path], images: Sequence[Tensor | str], top: int
) -> Iterator[Prediction]:
    """Yield what a model makes of a batch of images, some of which may be the reason why there is none."""
    good = [image for image in images if isinstance(image, Tensor)]
    ranked: Iterator[Any] = iter(())
    if good:
        ordered = trained.predict(torch.cat(good)).sort(dim=1, descending=True, stable=True)
        ranked = iter(zip(ordered.indices[:, :top].tolist(), ordered.values[:, :top].tolist(), strict=True))
    for file, image in zip(files, images, strict=True):
        if isinstance(image, str):
            yield Prediction(file, reason=image)
            continue
        indices, values = next(ranked)
        names = (trained.class_names[index] for index in indices)
        yield Prediction(file, tuple(zip(names, values, strict=True)))


def show(console: Console, prediction: Prediction, width: int) -> None:
    """Print a line: the file, the class, and what else it might be."""
    name = f"{prediction.file!s:<{width}}"
    if prediction.reason:
        print(f"{prediction.file}: {prediction.reason}", file=sys.stderr)
        return
    (best, share), *others = prediction.classes
    rest = "".join(f"   [dim]{escape(other)} {chance:.2%}[/]" for other, chance in others)
    console.line(f"{escape(name)}  [bold]{escape(best)}[/] {share:7.2%}{rest}")


def as_csv(found: Sequence[Prediction], top: int) -> str:
    """Return a row for each file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [
        f"{name}{'' if number == 1 else f'_{number}'}"
        for number in range(1, top + 1)
        for name in ("class", "probability")
    ]
    writer.writerow(["file", *names, "error"])
    for prediction in found:
        values = [value for name, share in prediction.classes for value in (name, f"{share:.6g}")]
        values += [""] * (2 * top - len(values))
        writer.writerow([prediction.file, *values, prediction.reason])
    return text.getvalue()


def as_json(trained: Trained, found: Sequence[Prediction]) -> str:
    """Return all of it for programs."""
    good = [
        {"file": str(p.file), "classes": [{"class": name, "probability": share} for name, share in p.classes]}
        for p in found
        if not p.reason
    ]
    failed = [{"file": str(p.file), "reason": p.reason} for p in found if p.reason]
    report = {"checkpoint": str(trained.path), "predictions": good, "failed": failed}
    return json.dumps(report, indent=2, allow_nan=False) + "\n"
