"""What predictions become on the screen: a line for each file, and the counts of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cnntrain.inference.prediction import Prediction, folder_of
from cnntrain.runtime.console import Console, Verbatim, count, is_terminal
from cnntrain.text import columns, printable

WIDEST = 24  # columns of a class's name
NARROWEST = 12  # columns of a file's name, on however narrow a terminal
WIDTH = 7  # columns of a probability
MOST_COUNTS = 20  # classes that are listed with their number of images


class Lines:
    """The lines that predictions become on the screen, in columns.

    Files are named below the folder that holds them all, which the first line names. On a terminal a line
    stays within its width: it names as many classes as fit, and of a name that is too long the end.

    Args:
        console: where they are printed.
        files: all that are predicted.
        class_names: the class names of the model.
        top: how many classes each prediction has.
        value_format: how the value of a class is printed, see :class:`cnntrain.tasks.base.Task`.
        most: objects that an image can have, whose numbers are shown; 0: they are not counted.
    """

    def __init__(
        self,
        console: Console,
        files: Sequence[Path],
        class_names: Sequence[str],
        top: int,
        value_format: str,
        most: int = 0,
    ) -> None:
        self.console, self.class_names, self.value_format = console, class_names, value_format
        self.folder = folder_of(files)
        self.file_width = max(columns(self.name(file)) for file in files)
        self.class_width = min(WIDEST, max(columns(printable(name)) for name in class_names))
        self.others = top - 1
        self.count_width = columns(count(most, "object")) if most else 0
        self.times_width = columns(times(most)) if most else 0
        if is_terminal(console.screen.file):
            one = self.class_width + 1 + WIDTH + self.times_width  # columns of a class and its probability
            room = console.screen.width - 2 - one - (self.count_width + 2 if most else 0)
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
        parts: list[object] = [padded(end_of(self.name(prediction.file), self.file_width), self.file_width)]
        number, objects = "", Counter[str]()
        if prediction.objects is not None:
            number, objects = "  {}", Counter(named_in(prediction, self.class_names))
            parts.append(count(objects.total(), "object").rjust(self.count_width))
        shown = prediction.outputs[: 1 + self.others]
        for name, share in shown:
            number_of_them = times(objects[name]).rjust(self.times_width) if objects else ""
            parts += [self.padded_class(name) + number_of_them, f"{share:{WIDTH}{self.value_format}}"]
        best, rest = "  [bold]{}[/] {}" * len(shown[:1]), "   [dim]{} {}[/]" * len(shown[1:])
        self.console.line(f"{{}}{number}{best}{rest}", *(Verbatim(part) for part in parts))

    def padded_class(self, name: str) -> str:
        """Return a class's name in its column; of a name that is too long for a terminal, the end."""
        is_cut = is_terminal(self.console.screen.file)
        return padded(end_of(printable(name), self.class_width) if is_cut else name, self.class_width)


def times(number: int) -> str:
    """Return how often a class is found in an image, to stand after its name."""
    return f" ×{number:,}"


def end_of(text: str, width: int) -> str:
    """Return a text that takes no more columns than a width: of a longer one the end, after ``...``."""
    if columns(text) <= width:
        return text
    while columns(text) > width - 3:
        text = text[1:]
    return f"...{text}"


def padded(name: object, width: int) -> str:
    """Return a name with blanks after it, as wide as a column of the screen."""
    text = printable(name)
    return text + " " * max(0, width - columns(text))


def counts_of(found: Sequence[Prediction], class_names: Sequence[str]) -> str:
    """Describe how many images each class has, or how many objects, the commonest first."""
    counts = Counter(name for prediction in found for name in named_in(prediction, class_names))
    listed = [f"{printable(name)} {number:,}" for name, number in counts.most_common(MOST_COUNTS)]
    return ", ".join([*listed, *(["..."] if len(counts) > MOST_COUNTS else [])])


def named_in(prediction: Prediction, class_names: Sequence[str]) -> list[str]:
    """Return the class of each object in an image; that of the image, if it is not about objects."""
    if prediction.objects is None:
        return [name for name, _ in prediction.outputs[:1]]
    return [class_names[int(label)] for label in prediction.objects[:, 5].tolist()]
