"""The sections of a classifier's report, and what stands above them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from torch import nn

from cnntrain.drawing.html import paragraph, table
from cnntrain.drawing.plots import Plots
from cnntrain.models.views import ReadsStepByStep
from cnntrain.runs.safe_csv import csv_of
from cnntrain.tasks.classification.metrics import ClassificationResult, wilson_interval
from cnntrain.tasks.classification.predictions import ImagePredictions
from cnntrain.tasks.classification.report import figures, sentences, translation
from cnntrain.tasks.classification.report.confusion_table import MOST_CLASSES, matrix_table
from cnntrain.tasks.classification.report.gallery import MOST_STREAMED, Gallery
from cnntrain.tasks.classification.report.steps import by_steps
from cnntrain.tasks.classification.robustness import SHIFTS, accuracy_when_shifted
from cnntrain.tasks.collector import evenly
from cnntrain.tasks.report import Evaluated, Section, asked
from cnntrain.text import format_loss

MISTAKES = "mistakes.csv"
MISTAKES_LISTED = 24


def headline(result: ClassificationResult, split: str, words: str) -> str:
    """Return the accuracy with the interval in which the true one lies, against chance."""
    low, high = wilson_interval(result.accuracy, result.examples)
    support = result.confusion.sum(dim=1)
    chance, most = 1 / len(support), int(support.max()) / max(1, result.examples)
    text = f"chance {chance:.4g}" if chance < 0.001 else f"chance {chance:.2%}"
    if most > 1.05 * chance:
        text += f" (always naming the most frequent class: {most:.2%})"
    top5 = "" if result.top5 is None else f"; top-5 accuracy {result.top5:.2%}"
    about = f"95% interval {low:.2%} to {high:.2%}; {text}; loss {format_loss(result.loss)}{top5}"
    if result.is_imbalanced:
        about += (
            f"; balanced accuracy {result.balanced_accuracy:.2%} and macro F1 {result.macro_f1:.2%}, where "
            "each class counts the same"
        )
    return (
        f'<p class="headline">{result.accuracy:.2%} <small>{split} accuracy, '
        f"{round(result.accuracy * result.examples):,} of {result.examples:,} {words}</small></p>\n"
        f'<div class="scale" role="img" aria-label="{escape(about)}">'
        f'<span style="left:{low:.2%};width:{high - low:.2%}"></span>'
        f'<span class="chance" style="left:{chance:.2%}"></span></div>\n<p>{escape(about)}</p>'
    )


def sections(seen: Evaluated, plots: Plots) -> Iterator[Section]:
    """Yield the sections of the page, in its order."""
    gallery = Gallery(seen) if seen.images.can_be_seen else None
    yield confusion(seen, gallery, plots)
    yield classes(seen)
    yield mistakes(seen, gallery)
    shifted = robustness(seen, plots) if gallery is not None else Section("robustness", "", "")
    # It stands beside the shifts where those are; else the tall maps would stand beside it alone.
    yield calibration(seen, plots, in_column=not shifted.content)
    yield shifted
    if isinstance(seen.model, ReadsStepByStep):
        yield by_steps(seen.model, seen, plots)


def confusion(seen: Evaluated, gallery: Gallery | None, plots: Plots) -> Section:
    """Return the confusion matrix: a table if it fits."""
    matrix, names = seen.result.confusion, seen.class_names
    text = "Rows are the true classes, columns the predicted ones."
    text += " Click a cell to see the images." if gallery is not None else ""
    figure, whole = figures.confusion(matrix.tolist(), names), ""
    if len(names) > MOST_CLASSES:
        text += f" Of {len(names)} classes these are the {MOST_CLASSES} with the most mistakes; below, all."
        whole = plots.draw("confusion", figure, "confusion matrix of all classes")
    else:
        plots.save("confusion", figure)
    cells = {} if gallery is None else gallery.cells
    content = paragraph(text) + matrix_table(matrix, names, cells) + whole
    if gallery is None:
        return Section("confusion", "Confusion matrix", content)
    style, data = gallery.style(), gallery.data(names)
    return Section("confusion", "Confusion matrix", content, style=style, data=data)


def classes(seen: Evaluated) -> Section:
    """Return the table of classes."""
    result: ClassificationResult = seen.result
    called = seen.images.called
    rows = [
        (row["class"], *(f"{row[name]:.2%}" for name in ("precision", "recall", "f1")), f"{row['support']:,}")
        for row in result.per_class(tuple(seen.class_names))
    ]
    text = (
        f"Precision: the share of the {called.words} predicted as this class that belong to it. Recall: the "
        "share of the class that is found. F1: their harmonic mean. Click a heading to sort."
    )
    text += f" Mean recall (balanced accuracy): {result.balanced_accuracy:.2%}; "
    text += f"mean F1 (macro F1): {result.macro_f1:.2%}."
    shown = table(("class", "precision", "recall", "F1", called.words), rows, sorts=True)
    return Section("classes", "Classes", paragraph(text) + shown)


def mistakes(seen: Evaluated, gallery: Gallery | None) -> Section:
    """Return the wrong predictions that the model is most confident about; all of them go into a file."""
    called = seen.images.called
    text = (
        "True class → predicted class, the probability that the model gives to the latter, and the "
        f"{called.word}'s file or number. mistakes.csv in the run folder lists all of them."
    )
    shown = paragraph(text) + (listed(seen) if gallery is None else gallery.show_mistakes(seen.class_names))
    if not seen.kept.mistakes(1):
        shown = paragraph(f"There are none: every {called.word} is recognised.")
    files = {MISTAKES: mistakes_csv(seen)}
    return Section("mistakes", "Most confident mistakes", shown, files=files)


def listed(seen: Evaluated) -> str:
    """Return the most confident mistakes as a table, of what can't be drawn."""
    predictions: ImagePredictions = seen.kept
    rows = [
        (
            seen.images.name(index),
            seen.class_names[int(predictions.labels[index])],
            seen.class_names[int(predictions.predicted[index])],
            f"{float(predictions.confidence[index]):.1%}",
        )
        for index in predictions.mistakes(MISTAKES_LISTED)
    ]
    return table((seen.images.called.word, "true class", "predicted class", "probability"), rows)


def mistakes_csv(seen: Evaluated) -> bytes:
    """Return all wrong predictions as a table, the most confident first: image, classes, probability."""
    rows: list[Sequence[object]] = [("image", "true_class", "predicted_class", "confidence")]
    predictions: ImagePredictions = seen.kept
    for index in predictions.mistakes(len(predictions.labels)):
        truth, said = (
            seen.class_names[int(those[index])] for those in (predictions.labels, predictions.predicted)
        )
        name = seen.images.entry(index)
        rows.append((name, truth, said, f"{float(predictions.confidence[index]):.4f}"))
    return csv_of(rows).encode("utf-8", "surrogateescape")  # names as the file system has them


def calibration(seen: Evaluated, plots: Plots, in_column: bool) -> Section:
    """Return the calibration curve."""
    predictions: ImagePredictions = seen.kept
    found = predictions.calibration()
    confidence, accuracy = (float(v.double().mean()) for v in (predictions.confidence, predictions.correct))
    words = "share of right answers against probability"
    drawn = plots.draw("calibration", figures.calibration(found, seen.images.called.words), words)
    text = (
        f"Expected calibration error {found.error:.2%} (Guo et al. 2017): the mean distance between "
        f"confidence and accuracy over the bins. {sentences.on_calibration(confidence, accuracy)} Bars "
        "below the dotted line are overconfident ones, bars above it underconfident ones."
    )
    return Section("calibration", "Calibration", drawn + paragraph(text), in_column)


def robustness(seen: Evaluated, plots: Plots) -> Section:
    """Return the accuracy on shifted images; if that takes too long, say how to have it."""
    name, title = "robustness", "Translated images"
    answer, why = asked(seen.model, lambda: accuracies(seen))
    if answer is None:
        return Section(name, title, paragraph(why))
    number, found = answer
    if not number:
        seconds = translation.SHIFT_SECONDS * seen.patience
        sentence = f"accuracy on translated images, which takes longer than {seconds:.0f} s here"
        if seen.to_wait:
            sentence += f"; {seen.to_wait} gives it ten times as long"
        return Section(name, title, "", left_out=f"Not on this page: {sentence}.")
    figure = figures.robustness(found, 1 / len(seen.class_names))
    drawn = plots.draw(name, figure, "accuracy against translation in pixels")
    sentence = ", ".join(f"{s} px {a:.1%}" for s, a in zip(SHIFTS, found, strict=True))
    has_convolutions = any(isinstance(module, nn.Conv2d) for module in seen.model.modules())
    shift = seen.augment.get("shift") or 0
    model = sentences.Translated("the model", found, has_convolutions, shift, number)
    text = (
        f"Accuracy on {how_many(seen, number)}, moved up, down, left and right, on black: {sentence}. "
        f"{sentences.on_translation([model])}"
    )
    return Section(name, title, drawn + paragraph(text))


def accuracies(seen: Evaluated) -> tuple[int, list[float]]:
    """Return how many images were shifted, 0 if it takes too long, and the accuracy for each shift."""
    places = evenly(most_shifted(seen), seen.images.count)
    images = seen.images.load(places).to(seen.device)
    labels = seen.kept.labels[places].to(seen.device)
    seconds = translation.SHIFT_SECONDS * seen.patience
    how = (seen.prepare, seen.precision)
    number = translation.images_in_time(seen.model, images, *how, seconds)
    if not number:
        return 0, []
    some = evenly(number, len(images)).to(seen.device)
    size = max(1, translation.VALUES // images[0].numel())
    batches = zip(images[some].split(size), labels[some].split(size), strict=True)
    return number, accuracy_when_shifted(seen.model, batches, *how)


def most_shifted(seen: Evaluated) -> int:
    """Return how many images are enough to shift."""
    return MOST_STREAMED if seen.images.are_streamed else translation.MOST_SHIFTED


def how_many(seen: Evaluated, number: int) -> str:
    """Describe which of the evaluated images were moved, and why not all of them."""
    available, split = seen.images.count, seen.split
    if number == available:
        return f"all {number:,} {split} images"
    seconds = translation.SHIFT_SECONDS * seen.patience
    why = (
        f"as many as {seconds:.0f} s allow"
        if number < min(most_shifted(seen), available)
        else "enough to tell"
    )
    return f"{number:,} of {available:,} {split} images ({why}, evenly spread)"
