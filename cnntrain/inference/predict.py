"""What a trained model makes of image files: a table, CSV or JSON, and the names of those it can't read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cnntrain.config.schema import IMAGES
from cnntrain.config.sections import PredictSettings
from cnntrain.data.augment.crop import central
from cnntrain.data.resize import read_sized
from cnntrain.errors import UserError
from cnntrain.image_folder.opening import Unreadable
from cnntrain.inference.mask_files import new_folder
from cnntrain.inference.model import Trained
from cnntrain.inference.prediction import Prediction, as_csv, as_json, folder_of
from cnntrain.inference.segment import segmented
from cnntrain.inference.sequences.files import predictions as of_sequences
from cnntrain.runs.named_output import screen_beside, write
from cnntrain.runtime.console import Console, Whole, count, is_terminal
from cnntrain.runtime.hardware import cores
from cnntrain.text import columns, printable, shown_path

THREADS = 8  # that decode, at most
WIDEST = 24  # columns of a class's name
NARROWEST = 12  # columns of a file's name, on however narrow a terminal
WIDTH = 7  # columns of a probability
MOST_COUNTS = 20  # classes that are listed with their number of images
FAR = 0.3  # difference of means, in the range from black to white, from which on images look inverted


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
        files: of images.
        settings: what is shown and written of them.
        csv_file: where to write a row for each file; ``-`` for standard output.
        json_file: where to write all as JSON, likewise.

    Raises:
        UserError: a file can't be written, or a key is for a task of another kind.
    """
    console = screen_beside(csv_file, json_file, verbose=settings.verbose)
    top = min(settings.top, len(trained.class_names))
    labels_pixels = trained.task.labels_pixels
    if not labels_pixels:
        check_no_masks(trained, settings)
    if settings.tta:
        trained.model = trained.task.views(trained.model, settings.tta)
    found, lines = [], Lines(console, files, trained.class_names, top, trained.task.value_format)
    with ExitStack() as stack:
        if labels_pixels:
            folder = stack.enter_context(new_folder(settings.out, trained.class_names))
            stream = segmented(trained, files, top, settings.tile, settings.invert, folder)
        elif trained.inputs != IMAGES:
            stream = of_sequences(trained, files, top, settings.eval_batch_size)
        else:
            stream = predictions(trained, files, top, settings.invert, settings.eval_batch_size)
        lines.heading()
        bar = stack.enter_context(console.bar(len(files), 0, "predicting", unit="image"))
        for prediction in stream:
            found.append(prediction)
            bar.update()
            with bar.external_write_mode():
                lines.show(prediction)
    failed = sum(bool(prediction.reason) for prediction in found)
    if labels_pixels and failed < len(found):
        told = "[bold]{}[/]: masks and overlays in [bold]{}[/]"
        console.line(told, count(len(found) - failed, "image"), shown_path(folder))
    elif len(found) - failed > 1:
        console.line("[bold]{}[/]: {}", count(len(found) - failed, "image"), counts_of(found))
    warn_of_inverse(console, trained, found, settings.invert)
    if csv_file is not None:
        write(csv_file, as_csv(found, top, trained.task.named), console)
    if json_file is not None:
        write(json_file, as_json(trained, found), console)
    if failed:
        console.warn(f"{count(failed, 'file')} of {len(files):,} could not be read")
    return failed


def check_no_masks(trained: Trained, settings: PredictSettings) -> None:
    """Raise a UserError if a key is given that is for masks, which the task does not write."""
    for key, value in (("tile", settings.tile), ("out", settings.out)):
        if value is not None:
            task = type(trained.task).__name__
            raise UserError(f"{key}={value} is for models that label pixels, and this is one of {task}")


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
    channels, size = trained.shape[0], trained.shape[1:]
    top = min(top, len(trained.class_names))

    def read(file: Path) -> Tensor | str:
        try:
            whole = read_sized(file, channels, trained.resize_size, trained.resize, trained.decoding, invert)
        except Unreadable as error:
            return str(error)
        return central(whole, size)[None]

    lots = [files[first : first + batch_size] for first in range(0, len(files), batch_size)]
    with ThreadPoolExecutor(min(THREADS, cores())) as pool:
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
    decoded: Iterator[Any] = iter(())
    if good:
        decoded = iter(trained.task.decode(trained.predict(torch.cat(good)), trained.class_names, top))
    for file, image in zip(files, images, strict=True):
        if isinstance(image, str):
            yield Prediction(file, reason=image)
            continue
        mean = image.float().mean().item() / 255
        yield Prediction(file, next(decoded), mean=mean)


class Lines:
    """The lines that predictions become on the screen, in columns.

    Files are named below the folder that holds them all, which the first line names. On a terminal a line
    stays within its width: it names as many classes as fit, and of a name that is too long the end.

    Args:
        console: where they are printed.
        files: all that are predicted.
        class_names: of the model.
        top: how many classes each prediction has.
        value_format: how the value of a class is printed, see :class:`cnntrain.tasks.base.Task`.
    """

    def __init__(
        self,
        console: Console,
        files: Sequence[Path],
        class_names: Sequence[str],
        top: int,
        value_format: str,
    ) -> None:
        self.console, self.value_format = console, value_format
        self.folder = folder_of(files)
        self.file_width = max(columns(self.name(file)) for file in files)
        self.class_width = min(WIDEST, max(columns(printable(name)) for name in class_names))
        self.others = top - 1
        if is_terminal(console.screen.file):
            one = self.class_width + 1 + WIDTH  # columns of a class and its probability
            room = console.screen.width - 2 - one
            self.file_width = max(NARROWEST, min(self.file_width, room))
            self.others = max(0, min(self.others, (room - self.file_width) // (3 + one)))

    def name(self, file: Path) -> str:
        """Return what a file is called below the folder that holds them all."""
        return printable(file if self.folder is None else file.relative_to(self.folder))

    def heading(self) -> None:
        """Print the folder that holds all files, if there is one to name."""
        if self.folder is not None:
            self.console.line("[dim]in {}:[/]", printable(self.folder))

    def show(self, prediction: Prediction) -> None:
        """Print a line: the file, the class, and what else it might be."""
        if prediction.reason:
            self.console.warn(f"{printable(prediction.file)}: {printable(prediction.reason)}")
            return
        (best, share), *others = prediction.outputs
        file = end_of(self.name(prediction.file), self.file_width)
        parts: list[object] = [
            padded(file, self.file_width),
            self.padded_class(best),
            f"{share:{WIDTH}{self.value_format}}",
        ]
        for name, chance in others[: self.others]:
            parts += [self.padded_class(name), f"{chance:{WIDTH}{self.value_format}}"]
        rest = "   [dim]{} {}[/]" * len(others[: self.others])
        self.console.line(f"{{}}  [bold]{{}}[/] {{}}{rest}", *(Whole(part) for part in parts))

    def padded_class(self, name: str) -> str:
        """Return a class's name in its column; of a name that is too long for a terminal, the end."""
        is_cut = is_terminal(self.console.screen.file)
        return padded(end_of(printable(name), self.class_width) if is_cut else name, self.class_width)


def end_of(text: str, width: int) -> str:
    """Return a text that takes no more columns than a width: of a longer one the end, behind ``...``."""
    if columns(text) <= width:
        return text
    while columns(text) > width - 3:
        text = text[1:]
    return f"...{text}"


def padded(name: object, width: int) -> str:
    """Return a name with blanks behind it, as wide as a column of the screen."""
    text = printable(name)
    return text + " " * max(0, width - columns(text))


def counts_of(found: Sequence[Prediction]) -> str:
    """Return in words how many images each class has, the commonest first."""
    counts = Counter(prediction.outputs[0][0] for prediction in found if prediction.outputs)
    listed = [f"{printable(name)} {number:,}" for name, number in counts.most_common(MOST_COUNTS)]
    return ", ".join([*listed, *(["..."] if len(counts) > MOST_COUNTS else [])])


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
