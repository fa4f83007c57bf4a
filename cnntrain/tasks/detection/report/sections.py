"""The sections of a detection's report, and what stands above them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape

from torch import Tensor

from cnntrain.drawing.html import panels, paragraph, table
from cnntrain.drawing.plots import Plots
from cnntrain.runs.safe_csv import csv_of
from cnntrain.runtime.console import count
from cnntrain.tasks.detection.matching import IOU, THRESHOLDS, UNCOUNTED, Matches
from cnntrain.tasks.detection.metrics import DetectionResult
from cnntrain.tasks.detection.report import figures
from cnntrain.tasks.detection.report.gallery import STYLE, gallery
from cnntrain.tasks.report import Evaluated, Section
from cnntrain.text import format_loss, some

WORST, BEST = 12, 4  # images
MOST_CLASSES = 40  # of the bars
IMAGES = "images.csv"
SIZES = {"small": "below 32²", "medium": "32² to 96²", "large": "from 96²"}


def headline(seen: Evaluated) -> str:
    """Return the AP, and below it the other numbers."""
    result: DetectionResult = seen.result
    about = (
        f"AP50 {result.ap50:.2%}; AP75 {result.number('ap75'):.2%}; recall with 100 boxes an image "
        f"{result.number('ar100'):.2%}; loss {format_loss(result.loss)}"
    )
    objects = count(len(result.matches.object_label), "object")
    over = f"{objects} in {count(result.examples, 'image')}"
    return (
        f'<p class="headline">{result.ap:.2%} <small>{escape(seen.split)} AP, {over}</small></p>\n'
        f"<p>{escape(about)}</p>"
    )


def sections(seen: Evaluated, plots: Plots, chosen: bool) -> Iterator[Section]:
    """Yield the sections of the page, in its order.

    Args:
        seen: the evaluation.
        plots: draws and saves figures.
        chosen: whether validation chose the lowest score of boxes that are shown.
    """
    matches, score = seen.result.matches, seen.result.threshold
    yield curves(seen, plots, chosen)
    yield classes(seen, plots)
    yield errors(seen, score)
    yield confusion(seen, plots, score)
    yield images(seen, matches, score)


def curves(seen: Evaluated, plots: Plots, chosen: bool) -> Section:
    """Return precision by recall, and both by the score, with the lowest score of boxes that are shown."""
    result: DetectionResult = seen.result
    thresholds, whole = curves_by_score(result.matches)
    by_recall = plots.as_svg(
        "precision_recall",
        figures.precision_recall(result.compared.precision),
        "precision at each recall, at three IoUs",
    )
    by_score = plots.as_svg(
        "scores", figures.by_score(thresholds, whole, result.threshold), "precision, recall and F1 by score"
    )
    here = {name: f"{value:.2%}" for name, value in result.at_threshold.items()}
    why = (
        "The score has the highest F1 on the validation images of the best epoch."
        if chosen
        else "The score is the default: no validation images have chosen another."
    )
    text = (
        f"Boxes with a score of at least {result.threshold:.2f} have precision {here['precision']}, recall "
        f"{here['recall']} and F1 {here['f1']}, at an IoU of {IOU} with an object of their class. {why} "
        "predict and exported models show these boxes. AP is the mean area below curves such as those to "
        "the left, over the classes and over ten IoUs from 0.5 to 0.95 (COCO)."
    )
    return Section("precision", "Precision and recall", panels([by_recall, by_score]) + paragraph(text))


def curves_by_score(matches: Matches) -> tuple[list[float], dict[str, Tensor]]:
    """Return scores, and precision, recall and F1 of the boxes with at least each, by name, float64 (T,).

    The scores end where the boxes end: no boxes have no precision. There is none at all without a box.
    """
    counted = matches.score[matches.kind != UNCOUNTED]
    surest = float(counted.max()) if len(counted) else 0.0
    thresholds = [score for score in THRESHOLDS if score <= surest]
    precision, recall = matches.curves(thresholds)
    return thresholds, {"precision": precision, "recall": recall, "F1": matches.f1(thresholds)}


def classes(seen: Evaluated, plots: Plots) -> Section:
    """Return the AP of each class, and of objects by their size."""
    result: DetectionResult = seen.result
    found = [row for row in result.per_class(seen.class_names) if row["ap"] is not None]
    absent = [row["class"] for row in result.per_class(seen.class_names) if row["ap"] is None]
    worst = sorted(found, key=lambda row: float(row["ap"]))[:MOST_CLASSES]
    drawn = [row for row in found if row in worst]
    figure = figures.bars([row["class"] for row in drawn], [row["ap"] for row in drawn], result.ap)
    bars = plots.draw("classes", figure, "AP of each class")
    text = "The dotted line is the mean."
    if absent:
        text += f" No {seen.split} image has {some(absent)}: the mean leaves these classes out."
    if len(found) > len(drawn):
        text += f" The bars show the {len(drawn)} classes with the lowest AP."
    rows = [(row["class"], f"{row['ap']:.2%}", f"{row['objects']:,}") for row in found]
    sizes = [
        (f"{name}, {pixels} pixels", *map(in_percent, (numbers[f"ap_{name}"], numbers[f"ar_{name}"])))
        for numbers in [result.compared.numbers]
        for name, pixels in SIZES.items()
    ]
    shown = table(("class", "AP", "objects"), rows, sorts=True) + table(("objects", "AP", "recall"), sizes)
    return Section("classes", "Classes and sizes", bars + paragraph(text) + shown)


def in_percent(value: float) -> str:
    """Return a number of COCO's as text."""
    return "–" if math.isnan(value) else f"{value:.2%}"


def errors(seen: Evaluated, score: float) -> Section:
    """Return how many boxes are wrong, by what is wrong with them."""
    counts = seen.result.matches.errors(score)
    meaning = {
        "missed": f"objects without a box of their class at IoU {IOU}",
        "duplicate": "a more confident box has found the object already",
        "mislocated": f"the class is right, the IoU below {IOU}",
        "confused": "the box is right, the class is not",
        "background": "there is no object",
    }
    rows = [(name, words, f"{counts[name]:,}") for name, words in meaning.items()]
    text = f"Among the boxes with a score of at least {score:.2f} (Bolya et al. 2020, TIDE)."
    return Section(
        "errors", "Errors by kind", table(("error", "what it is", "number"), rows, words=2) + paragraph(text)
    )


def confusion(seen: Evaluated, plots: Plots, score: float) -> Section:
    """Return the confusion matrix with background."""
    matrix = seen.result.matches.confusion(score, len(seen.class_names)).numpy()
    figure = figures.confusion(matrix, [*seen.class_names, "background"])
    text = (
        "Rows are the classes of objects, columns those of boxes. The last row counts boxes where no object "
        "is, the last column objects that are missed."
    )
    drawn = plots.draw("confusion", figure, "confusion matrix of objects and boxes")
    return Section("confusion", "Confusion matrix", drawn + paragraph(text))


def images(seen: Evaluated, matches: Matches, score: float) -> Section:
    """Return the images with most errors, and some with none; the errors of all go into a file."""
    count = seen.result.examples
    missed, wrong = matches.errors_by_image(score, count)
    order = (missed + wrong).argsort(descending=True, stable=True).tolist()
    worst = [index for index in order[:WORST] if missed[index] + wrong[index] > 0]
    clean = [index for index in order if missed[index] + wrong[index] == 0]
    best = clean[:: max(1, len(clean) // BEST)][:BEST]
    captions = [f"missed {int(missed[index])}, wrong {int(wrong[index])}" for index in worst]
    content = paragraph(
        f"Dashed: the objects; solid: boxes with a score of at least {score:.2f}. images.csv in the run "
        f"folder lists "
        "all images, those with most errors first."
    )
    content += gallery(seen, worst, score, captions)
    if best:
        content += "<h3>Without errors</h3>" + gallery(seen, best, score, ["no error"] * len(best))
    rows: list[tuple[object, ...]] = [("image", "missed", "wrong")]
    for index in order:
        name = seen.images.entry(index)
        rows.append((name, int(missed[index]), int(wrong[index])))
    files = {IMAGES: csv_of(rows).encode("utf-8", "surrogateescape")}
    return Section("images", "Images with most errors", content, style=STYLE, files=files)
