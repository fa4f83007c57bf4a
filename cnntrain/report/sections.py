"""How a run's report is made: ``report.html`` and the figures in ``plots/``, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from cnntrain.config.schema import input_shape
from cnntrain.data.streaming import StreamingDataset
from cnntrain.errors import in_words
from cnntrain.models import summary as summaries
from cnntrain.report import figures, model_views, style
from cnntrain.report.data import NUMBERED, Evaluated, Shown, data_of, environment, epochs_of, unfinished
from cnntrain.report.gallery import MOST_STREAMED, Gallery, examples, images_of
from cnntrain.report.page import Contents, page
from cnntrain.report.reproduce import command_of, settings
from cnntrain.runs.checkpoint import write_atomically
from cnntrain.runs.safe_csv import csv_of
from cnntrain.runtime.console import Console, bytes_in_words, count
from cnntrain.tasks.classification.confusion_table import MOST_CLASSES
from cnntrain.tasks.classification.robustness import SHIFTS, accuracy_when_shifted
from cnntrain.tasks.classification.scores import SCORES
from cnntrain.tasks.scores import TRAIN, VAL, VAL_LOSS
from cnntrain.text import argument, encoded, network_name
from cnntrain.training import sentences
from cnntrain.training.doctor.diagnostics import evenly

PAGE, PLOTS, MISTAKES = "report.html", "plots", "mistakes.csv"
FOLLOWED = 3  # images whose feature maps are shown
T = TypeVar("T")


def write_report(run: Shown, console: Console) -> Path:
    """Write ``report.html`` and ``plots/`` into the folder of a run, and return where the page is.

    Raises:
        OSError: they can't be written.
    """
    work = Drawing(run)
    with console.bar(len(work.steps), 0, "report", unit="figure") as bar:
        for step in work.steps:
            step()
            bar.update()
    target = run.folder / PAGE
    write_atomically(target, encoded(page(work.contents)))
    return target


class Drawing:
    """A report under way: each step adds to what the page says, and to ``plots/``.

    What is asked of a model may fail, since the model may be the user's own; the report then says so.
    """

    def __init__(self, run: Shown) -> None:
        self.run = run
        summary: Mapping[str, Any] = run.summary or {}
        evaluated = run.evaluated
        name = network_name(run.config["model"], type(run.model).__name__)
        parameters = sum(p.numel() for p in run.model.parameters())
        size = bytes_in_words(4 * parameters)
        self.contents = Contents(
            name=run.folder.absolute().name,
            state="" if run.summary else unfinished(run),
            split=evaluated.split if evaluated else "",
            epochs=epochs_of(run),
            model=f"{name}, {parameters:,} parameters ({size} as fp32)",
            data=data_of(run),
            class_names=run.class_names,
            result=evaluated.result if evaluated else None,
            gallery=None,
            figures={},
            notes={},
            layers=[],
            settings=settings(run.config, summary.get("command", "")),
            environment=environment(run),
            command=command_of(run.config) or summary.get("command", "") or "a group's file is not here",
            findings=summary.get("findings") or [],
        )
        self.steps = [self.curves, self.layers, self.filters]
        if evaluated is not None:
            self.steps += [self.images, self.calibration, self.robustness, self.feature_maps]

    def draw(self, name: str, figure: Any, words: str) -> None:
        """Put a figure into the page and into ``plots/``."""
        self.contents.figures[name] = style.svg(figure, words)
        self.save(name, figure)

    def save(self, name: str, figure: Any) -> None:
        """Put a figure into ``plots/``."""
        folder = self.run.folder / PLOTS
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.png").write_bytes(style.png(figure))

    def asked(self, name: str, work: Callable[[], T]) -> T | None:
        """Return what a model answers; None, with a note on the page, if it can't be asked that."""
        try:
            return work()
        except Exception as error:  # whatever a network of the user's may raise
            self.contents.notes[name] = (
                f"This can't be shown for {type(self.run.model).__name__}: {in_words(error)}"
            )
            return None

    def curves(self) -> None:
        """Draw the scores and the learning rate."""
        history = self.run.history
        if not history:
            return
        for name, figure in figures.curves(history, self.run.best, SCORES).items():
            self.draw(name, figure, f"{name.replace('_', ' ')} after each epoch")
        last = history[-1]
        told = f"training {SCORES.in_words(last, TRAIN)}"
        if last[VAL_LOSS.name] is not None:
            told += f"; validation {SCORES.in_words(last, VAL)}"
        self.contents.notes["curves"] = (
            f"After epoch {last['epoch']}: {told}. {sentences.on_curves(history)} Training figures are means "
            "over the epoch, each batch before its own update, with augmentation and dropout if there are "
            "any; validation comes after the epoch, and the learning rate is that of its last step."
        )

    def layers(self) -> None:
        """List the layers."""
        shape = input_shape(self.run.config["data"])
        self.contents.layers = self.asked("layers", lambda: summaries.layers(self.run.model, shape)) or []

    def filters(self) -> None:
        """Draw the filters of the first layer."""
        found = model_views.first_filters(self.run.model, input_shape(self.run.config["data"]))
        if found is None:
            self.contents.notes["filters"] = "No layer takes the image itself as a Conv2d or Linear would."
            return
        number, layer = len(found.weights), f"{found.layer or 'the model'} ({found.kind})"
        self.draw("filters", figures.filters(found), f"{number} filters of the layer {layer}")
        each = "unit: its weight for each pixel" if found.kind == "Linear" else "filter"
        has_colours = found.weights.shape[1] == 3
        colours = "in their colours" if has_colours else "red where brightness adds, blue where it takes away"
        self.contents.notes["filters"] = (
            f"The first layer, {layer}: {number} of {found.total}, a square for each {each}; {colours}."
        )

    def images(self) -> None:
        """Choose the images behind the confusion matrix, and draw it; the page has a table if it fits."""
        done = self.evaluated
        self.contents.gallery = Gallery(done, self.run.config["data"]["image_size"])
        write_atomically(self.run.folder / MISTAKES, mistakes_csv(done, self.run.class_names))
        figure = figures.confusion(done.result.confusion.tolist(), self.run.class_names)
        if len(self.run.class_names) > MOST_CLASSES:
            self.draw("confusion", figure, "confusion matrix of all classes")
        else:
            self.save("confusion", figure)

    def calibration(self) -> None:
        """Draw the calibration curve."""
        verdicts = self.evaluated.verdicts
        found = verdicts.calibration()
        confidence, accuracy = (float(v.double().mean()) for v in (verdicts.confidence, verdicts.correct))
        self.draw("calibration", figures.calibration(found), "share of right answers against probability")
        self.contents.notes["calibration"] = (
            f"Expected calibration error {found.error:.2%} (Guo et al. 2017): the mean distance between "
            f"confidence and accuracy over the bins. {sentences.on_calibration(confidence, accuracy)} Bars "
            "below the dotted line are overconfident ones, bars above it underconfident ones."
        )

    def accuracy_when_shifted(self) -> tuple[int, list[float]]:
        """Return how many images were shifted, 0 if it takes too long, and the accuracy for each shift."""
        run, done = self.run, self.evaluated
        device = run.normalize.mean.device
        most = MOST_STREAMED if isinstance(done.dataset, StreamingDataset) else model_views.MOST_SHIFTED
        places = evenly(most, len(done.indices))
        images = images_of(done.dataset, done.indices[places]).to(device)
        labels = done.verdicts.labels[places].to(device)
        seconds = model_views.SHIFT_SECONDS * run.patience
        model = (run.normalize, run.precision)
        number = model_views.images_in_time(run.model, images, *model, seconds)
        if not number:
            return 0, []
        some = evenly(number, len(images)).to(device)
        size = max(1, model_views.VALUES // images[0].numel())
        batches = zip(images[some].split(size), labels[some].split(size), strict=True)
        return number, accuracy_when_shifted(run.model, batches, *model)

    def robustness(self) -> None:
        """Draw the accuracy on shifted images."""
        number, found = self.asked("robustness", self.accuracy_when_shifted) or (0, [])
        if not number:
            if "robustness" not in self.contents.notes:
                seconds = model_views.SHIFT_SECONDS * self.run.patience
                told = f"accuracy on translated images, which takes longer than {seconds:.0f} s here"
                if self.run.patience == 1:
                    told += f"; cnntrain report {argument(self.run.folder)} gives it ten times as long"
                self.contents.left_out.append(f"Not on this page: {told}.")
            return
        chance = 1 / len(self.run.class_names)
        self.draw("robustness", figures.robustness(found, chance), "accuracy against translation in pixels")
        told = ", ".join(f"{s} px {a:.1%}" for s, a in zip(SHIFTS, found, strict=True))
        has_convolutions = any(isinstance(module, nn.Conv2d) for module in self.run.model.modules())
        shift = self.run.config["augment"].get("shift") or 0
        model = sentences.Translated("the model", found, has_convolutions, shift, number)
        self.contents.notes["robustness"] = (
            f"Accuracy on {self.how_many(number)}, moved up, down, left and right, on black: {told}. "
            f"{sentences.on_translation([model])}"
        )

    def how_many(self, number: int) -> str:
        """Say which of the evaluated images were moved, and why not all of them."""
        available, split = len(self.evaluated.indices), self.evaluated.split
        if number == available:
            return f"all {number:,} {split} images"
        most = (
            MOST_STREAMED
            if isinstance(self.evaluated.dataset, StreamingDataset)
            else model_views.MOST_SHIFTED
        )
        seconds = model_views.SHIFT_SECONDS * self.run.patience
        why = f"as many as {seconds:.0f} s allow" if number < min(most, available) else "enough to tell"
        return f"{number:,} of {available:,} {split} images ({why}, evenly spread)"

    def feature_maps(self) -> None:
        """Draw what the layers make of a few images."""
        run, done = self.run, self.evaluated
        device = run.normalize.mean.device
        chosen = examples(done.verdicts, FOLLOWED)
        images = images_of(done.dataset, done.indices[chosen])
        maps = self.asked("feature_maps", lambda: model_views.feature_maps(
            run.model, run.normalize(images.to(device)), run.precision))  # fmt: skip
        if not maps:
            return
        colours = images[:, : 3 if images.shape[1] >= 3 else 1].permute(0, 2, 3, 1).numpy()
        names = ", ".join(run.class_names[int(done.verdicts.labels[index])] for index in chosen)
        words = "what layers make of some images"
        self.draw("feature_maps", figures.feature_maps(colours, maps), words)
        self.contents.notes["feature_maps"] = (
            f"{count(len(chosen), 'image')} ({names}) on the way through {model_views.which(maps)}: "
            f"up to {model_views.MOST_MAPS} maps of each, bright where it responds most; squares are values."
        )

    @property
    def evaluated(self) -> Evaluated:
        """The evaluation, in the steps that are taken only if there is one."""
        assert self.run.evaluated is not None
        return self.run.evaluated


def mistakes_csv(done: Evaluated, class_names: Sequence[str]) -> bytes:
    """Return all wrong predictions as a table, the most confident first: image, classes, probability."""
    rows: list[Sequence[object]] = [("image", "true_class", "predicted_class", "confidence")]
    verdicts = done.verdicts
    for index in verdicts.mistakes(len(verdicts.labels)):
        truth, said = (class_names[int(classes[index])] for classes in (verdicts.labels, verdicts.predicted))
        name = done.name_of(index).removeprefix(NUMBERED if done.files is None else "")
        rows.append((name, truth, said, f"{float(verdicts.confidence[index]):.4f}"))
    return csv_of(rows).encode("utf-8", "surrogateescape")  # names as the file system has them
