"""The sections of a segmentation's report, and what stands above them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from cnntrain.drawing.html import panels, paragraph, table
from cnntrain.drawing.plots import Plots
from cnntrain.runs.safe_csv import csv_of
from cnntrain.runtime.console import count
from cnntrain.tasks.report import Evaluated, Section, asked
from cnntrain.tasks.segmentation.boundary import DISTANCE
from cnntrain.tasks.segmentation.metrics import SegmentationResult
from cnntrain.tasks.segmentation.predictions import MaskScores
from cnntrain.tasks.segmentation.report import borders, figures
from cnntrain.tasks.segmentation.report.gallery import STYLE, Gallery
from cnntrain.tasks.segmentation.report.matrix import MOST_CLASSES, matrix_table, shares_of, shown_classes
from cnntrain.text import format_loss, some

IMAGES = "images.csv"


def headline(result: SegmentationResult, split: str) -> str:
    """Return the mean IoU with its interval, against that of a model that always names one class."""
    low, high = result.miou_interval
    true = result.pixels[1]
    present = int((true > 0).sum())
    constant = float(true.max()) / max(1, int(true.sum())) / max(1, present)
    about = (
        f"95% interval {low:.2%} to {high:.2%} (bootstrap over images); always naming the most frequent "
        f"class: {constant:.2%}; Dice {result.dice:.2%}; boundary F1 at {DISTANCE} pixels "
        f"{result.boundary_f1:.2%}; pixel accuracy {result.pixel_accuracy:.2%}; "
        f"loss {format_loss(result.loss)}"
    )
    over = f"mean over {present} classes, {count(result.examples, 'image')}"
    return (
        f'<p class="headline">{result.miou:.2%} <small>{split} mIoU, {over}</small></p>\n'
        f'<div class="scale" role="img" aria-label="{escape(about)}">'
        f'<span style="left:{low:.2%};width:{high - low:.2%}"></span>'
        f'<span class="chance" style="left:{constant:.2%}"></span></div>\n<p>{escape(about)}</p>'
    )


def sections(seen: Evaluated, plots: Plots) -> Iterator[Section]:
    """Yield the sections of the page, in its order."""
    yield confusion(seen, plots)
    yield classes(seen, plots)
    yield images(seen)
    yield at_borders(seen, plots)


def confusion(seen: Evaluated, plots: Plots) -> Section:
    """Return the confusion matrix of pixels: a table if it fits."""
    matrix, names = seen.result.confusion, seen.class_names
    text = (
        "Rows are the true classes, columns the predicted ones. A cell shows the percentage of the row's "
        "pixels that get the column's class, so a large background does not hide the rest."
    )
    figure, whole = figures.confusion(shares_of(matrix).numpy(), names), ""
    if len(shown_classes(matrix)) == MOST_CLASSES < len(names):
        text += f" Of {len(names)} classes these are the {MOST_CLASSES} with most errors; below, all."
        whole = plots.draw("confusion", figure, "confusion matrix of all classes")
    else:
        plots.save("confusion", figure)
    return Section("confusion", "Confusion matrix", paragraph(text) + matrix_table(matrix, names) + whole)


def classes(seen: Evaluated, plots: Plots) -> Section:
    """Return IoU, Dice, boundary F1 and share of the pixels of each class: bars, and a table."""
    result: SegmentationResult = seen.result
    total = max(1, int(result.pixels[1].sum()))
    found = [row for row in result.per_class(tuple(seen.class_names)) if row["iou"] is not None]
    worst = sorted(found, key=lambda row: float(row["iou"]))[:MOST_CLASSES]
    drawn_rows = [row for row in found if row in worst]
    rows = [
        (
            row["class"],
            *("–" if row[name] is None else f"{row[name]:.2%}" for name in ("iou", "dice", "boundary_f1")),
            f"{row['pixels'] / total:.3%}",
        )
        for row in found
    ]
    text = (
        "IoU: the correct pixels of a class, divided by all pixels that have the class or are predicted to "
        "have it. Dice counts the correct pixels twice. Boundary F1: how much of the predicted and true "
        f"borders lies within {DISTANCE} pixels of each other (Csurka et al. 2013). Click a heading to sort."
    )
    if absent := result.absent(seen.class_names):
        text += f" No {seen.split} pixel has {some(absent)}: the means leave these classes out."
    if len(found) > len(drawn_rows):
        text += f" The bars show the {len(drawn_rows)} classes with the lowest IoU."
    names, iou, dice = ([row[name] for row in drawn_rows] for name in ("class", "iou", "dice"))
    figure = figures.bars(names, iou, dice, result.miou)
    bars = plots.draw("classes", figure, "IoU and Dice of each class")
    shown = table(("class", "IoU", "Dice", "boundary F1", "share of pixels"), rows, sorts=True)
    return Section("classes", "Classes", paragraph(text) + bars + shown)


def images(seen: Evaluated) -> Section:
    """Return the worst and the best images; the scores of all go into a file."""
    gallery = Gallery(seen)
    shown, why = asked(seen.model, lambda: (gallery.shown(gallery.worst), gallery.shown(gallery.best)))
    text = (
        "By the mean IoU over the classes that are in an image. images.csv in the run folder lists all "
        "images, the worst first."
    )
    content = paragraph(text)
    if shown is None:
        content += paragraph(why)
    else:
        worst, best = shown
        content += gallery.legend() + "<h3>Worst</h3>" + worst + (f"<h3>Best</h3>{best}" if best else "")
    return Section("images", "Worst and best images", content, style=STYLE, files={IMAGES: images_csv(seen)})


def images_csv(seen: Evaluated) -> bytes:
    """Return the scores of all images as a table, the worst first; those that are ignored entirely last."""
    mask_scores: MaskScores = seen.kept
    order = mask_scores.worst_first()
    scored = set(order)
    rows: list[Sequence[object]] = [("image", "miou", "pixel_accuracy", "pixels", "ignored_pixels")]
    for index in [*order, *(place for place in range(len(mask_scores.iou)) if place not in scored)]:
        name = seen.images.entry(index)
        right, counted, none = (
            int(those[index]) for those in (mask_scores.right, mask_scores.counted, mask_scores.ignored)
        )
        scores = (f"{float(mask_scores.iou[index]):.4f}", f"{right / counted:.4f}") if counted else ("", "")
        rows.append((name, *scores, counted, none))
    return csv_of(rows).encode("utf-8", "surrogateescape")  # names as the file system has them


def at_borders(seen: Evaluated, plots: Plots) -> Section:
    """Return where the wrong pixels lie: at the borders between classes, or far from them."""
    name, title = "borders", "Errors at borders"
    found, why = asked(seen.model, lambda: borders.by_distance(seen))
    if found is None:
        return Section(name, title, paragraph(why))
    result: SegmentationResult = seen.result
    number, all_of_them = found.images, seen.images.count
    which = f"all {number:,} images" if number == all_of_them else f"{number:,} of {all_of_them:,} images"
    text = f"Boundary F1 at {DISTANCE} pixels: {result.boundary_f1:.2%}. "
    if sum(found.wrong):
        drawn = plots.as_svg(
            "borders", figures.by_distance(found), "share of wrong pixels by distance from a border"
        )
        text += (
            f"{found.at_borders:.0%} of the wrong pixels of {which} lie within {DISTANCE} pixels of a true "
            f"border, as {found.pixels[0] / max(1, sum(found.pixels)):.0%} of all pixels do. "
            "If the first share is far larger than the second, outlines cost more than whole regions. "
            "Thin objects are all border."
        )
        return Section(name, title, panels([drawn, paragraph(text)]))
    return Section(name, title, paragraph(f"{text}No pixel of {which} is wrong."))
