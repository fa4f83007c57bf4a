"""What a trained model makes of image files: a table, CSV or JSON, and the names of those it can't read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnntrain.config.inputs import IMAGES
from cnntrain.config.keys import AUTO
from cnntrain.config.sections import PredictSettings
from cnntrain.data.augment.crop import central
from cnntrain.data.image_file import read_sized
from cnntrain.errors import UserError
from cnntrain.image_folder.opening import UnreadableImage
from cnntrain.inference.image_files import in_batches
from cnntrain.inference.mask_files import new_folder
from cnntrain.inference.model import Trained
from cnntrain.inference.objects import results
from cnntrain.inference.objects.finding import Finder, found_objects
from cnntrain.inference.objects.object_files import LABELS, Writer
from cnntrain.inference.prediction import Prediction, as_csv, as_json
from cnntrain.inference.prediction_lines import Lines, counts_of
from cnntrain.inference.segment import segmented
from cnntrain.inference.sequences.files import predictions as of_sequences
from cnntrain.runs.named_output import message_console, write
from cnntrain.runtime.console import Console, count
from cnntrain.tasks.boxes import BoxTask
from cnntrain.text import shown, shown_path

FAR = 0.3  # difference of means, in the range from black to white, above which images look inverted


PIXELS, OBJECTS = "label pixels", "find objects"  # what some kinds of models do
# The keys that are for such models alone.
FOR = {"tile": (PIXELS,), "out": (PIXELS, OBJECTS), **dict.fromkeys(("score", "nms", "most"), (OBJECTS,))}


def predict(
    trained: Trained,
    files: Sequence[Path],
    settings: PredictSettings,
    csv_file: str | None,
    json_file: str | None,
) -> int:
    """Show what a model makes of image files, and return how many could not be read.

    Args:
        trained: the model.
        files: the files of images.
        settings: what is shown and written of them.
        csv_file: where to write a row for each file, or for each object; ``-`` for standard output.
        json_file: where to write all as JSON, likewise.

    Raises:
        UserError: a file can't be written, or a key is for a task of another kind.
    """
    console = message_console(csv_file, json_file, verbose=settings.verbose)
    task, names = trained.task, trained.class_names
    finds_boxes = isinstance(task, BoxTask)
    check_keys(trained, settings)
    top = min(settings.top, len(names))
    if settings.tta:
        trained.model = task.views(trained.model, settings.tta)
    found = []
    lines = Lines(console, files, names, top, task.value_format, settings.most if finds_boxes else 0)
    with ExitStack() as stack:
        stream, folder = opened(trained, files, top, settings, stack)
        lines.heading()
        if isinstance(task, BoxTask) and settings.score == AUTO:
            console.line("[dim]boxes with a score of at least {}[/]", f"{task.threshold:.2f}")
        bar = stack.enter_context(console.bar(len(files), 0, "predicting", unit="image"))
        for prediction in stream:
            found.append(prediction)
            bar.update()
            with bar.external_write_mode():
                lines.show(prediction)
    failed = sum(bool(prediction.reason) for prediction in found)
    print_counts(console, found, len(found) - failed, trained, folder)
    warn_of_inverse(console, trained, found, settings.invert)
    if csv_file is not None:
        text = results.as_csv(found, names) if finds_boxes else as_csv(found, top, task.named)
        write(csv_file, text, console)
    if json_file is not None:
        text = results.as_json(found, names) if finds_boxes else as_json(trained, found)
        write(json_file, text, console)
    if failed:
        console.warn(f"{count(failed, 'file')} of {len(files):,} could not be read")
    return failed


def check_keys(trained: Trained, settings: PredictSettings) -> None:
    """Raise a UserError if a key was typed that is for a task of another kind."""
    task = trained.task
    does = {PIXELS: task.labels_pixels, OBJECTS: isinstance(task, BoxTask)}
    for key, kinds in FOR.items():
        value = getattr(settings, key)
        if value is not None and key in settings.typed and not any(does[kind] for kind in kinds):
            raise UserError(
                f"{key}={shown(value)} is for models that {' or '.join(kinds)}, and this is one of "
                f"{type(task).__name__}"
            )


def opened(
    trained: Trained, files: Sequence[Path], top: int, settings: PredictSettings, stack: ExitStack
) -> tuple[Iterator[Prediction], Path | None]:
    """Return the predictions, one by one, and the folder that they are drawn into, if they are.

    Args:
        trained: the model.
        files: the files of images.
        top: how many classes are named.
        settings: what is shown and written of them.
        stack: closes the folder.
    """
    names, invert = trained.class_names, settings.invert
    if trained.task.labels_pixels:
        folder = stack.enter_context(new_folder(settings.out, names))
        return segmented(trained, files, top, settings.tile, invert, folder), folder
    if isinstance(trained.task, BoxTask):
        score = trained.task.threshold if settings.score == AUTO else float(settings.score)
        find = partial(trained.task.boxes, score=score, nms=settings.nms, most=settings.most)
        folder = stack.enter_context(new_folder(settings.out, names, LABELS))
        finder = Finder(trained, find, invert)
        return found_objects(finder, files, top, settings.eval_batch_size, Writer(folder, names)), folder
    if trained.inputs != IMAGES:
        return of_sequences(trained, files, top, settings.eval_batch_size), None
    return predictions(trained, files, top, invert, settings.eval_batch_size), None


def print_counts(
    console: Console,
    found: Sequence[Prediction],
    good: int,
    trained: Trained,
    folder: Path | None,
) -> None:
    """Print how many files have which class, and where they are drawn.

    Args:
        console: where it is printed.
        found: the predictions of all files.
        good: how many of them could be read.
        trained: the model.
        folder: the folder of the drawings; None: there are none.
    """
    word = trained.task.called.word
    has_objects = any(prediction.objects is not None for prediction in found)
    if folder is not None and good:
        kinds = "labels" if has_objects else "masks"
        text = f"[bold]{{}}[/]: {kinds} and overlays in [bold]{{}}[/]"
        console.line(text, count(good, word), shown_path(folder))
    if has_objects and good > 1:
        objects = sum(len(p.objects) for p in found if p.objects is not None)
        counts = counts_of(found, trained.class_names)
        console.line("[bold]{}[/]{}", count(objects, "object"), f": {counts}" if counts else "")
    elif folder is None and good > 1:
        console.line("[bold]{}[/]: {}", count(good, word), counts_of(found, trained.class_names))


def predictions(
    trained: Trained, files: Sequence[Path], top: int, invert: bool, batch_size: int
) -> Iterator[Prediction]:
    """Yield what a model makes of each file, in order.

    Args:
        trained: the model.
        files: the files of images.
        top: how many of the likeliest classes.
        invert: turn dark on white into white on dark first, as handwritten digits are in MNIST.
        batch_size: images that the model sees at a time.
    """
    channels, size = trained.shape[0], trained.shape[1:]
    top = min(top, len(trained.class_names))

    def read(file: Path) -> Tensor | str:
        try:
            whole = read_sized(file, channels, trained.resize_size, trained.resize, trained.decoding, invert)
        except UnreadableImage as error:
            return str(error)
        return central(whole, size)[None]

    for batch, images in in_batches(files, batch_size, read):
        yield from predict_batch(trained, batch, images, top)


def predict_batch(
    trained: Trained, files: Sequence[Path], images: Sequence[Tensor | str], top: int
) -> Iterator[Prediction]:
    """Yield what a model makes of images; a text in place of one says why it can't be read."""
    good = [image for image in images if isinstance(image, Tensor)]
    decoded: Iterator[Any] = iter(())
    if good:
        decoded = iter(trained.task.decode(trained.predict(torch.cat(good)), trained.class_names, top))
    for file, image in zip(files, images, strict=True):
        if isinstance(image, str):
            yield Prediction(file, reason=image)
            continue
        mean = image.float().mean().item() / 255
        yield Prediction(file, next(decoded), mean=mean)


def warn_of_inverse(
    console: Console, trained: Trained, found: Sequence[Prediction], is_inverted: bool
) -> None:
    """Warn of grey images that look like the training images only once black and white are exchanged."""
    if trained.shape[0] != 1 or trained.inputs != IMAGES:
        return
    usual = trained.normalization["mean"][0]
    means = [prediction.mean for prediction in found if not prediction.reason]
    odd = [m for m in means if abs(m - usual) > FAR and abs(1 - m - usual) < abs(m - usual) / 2]
    if not odd:
        return
    mean = sum(odd) / len(odd)
    advice = "leave invert=true out" if is_inverted else "invert=true turns dark on white into white on dark"
    console.warn(
        f"{count(len(odd), 'image')} of {len(means):,} unlike the training images: mean {mean:.2f}, training "
        f"{usual:.2f} (0 black, 1 white), {1 - mean:.2f} if inverted; {advice}"
    )
