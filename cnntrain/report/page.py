"""``report.html``: a run in one file that needs no network and no server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from cnntrain.models.summary import Layer, in_digits, total_multiply_adds
from cnntrain.report.gallery import Gallery
from cnntrain.report.html import facts, panels, paragraph, section, table
from cnntrain.report.reproduce import Setting
from cnntrain.runs.web_page import web_page
from cnntrain.runtime.console import count
from cnntrain.tasks.classification.confusion_table import MOST_CLASSES, matrix_table
from cnntrain.tasks.classification.metrics import ClassificationResult, wilson_interval
from cnntrain.tasks.classification.scores import SCORES
from cnntrain.text import loss_in_words

TEMPLATE = Path(__file__).with_name("run.html")  # with run.css and run.js beside it
TITLES = {
    "curves": "Curves",
    "confusion": "Confusion matrix",
    "classes": "Classes",
    "mistakes": "Most confident mistakes",
    "calibration": "Calibration",
    "robustness": "Translated images",
    "maps": "Feature maps",
    "filters": "Filters",
    "layers": "Layers",
    "environment": "Environment",
    "configuration": "Configuration",
}
BESIDE_MAPS = ("filters", "layers", "environment")  # which are tall


@dataclass
class Contents:
    """What the page says.

    Args:
        name: of the run.
        state: in words, if the run is not finished.
        split: ``test``, or ``validation`` of a run that is not finished.
        epochs: in words.
        model: in words.
        data: in words: which images, and how many.
        class_names: the name of each class.
        result: the evaluation; None if there was nothing to evaluate on.
        gallery: images of the evaluation.
        figures: by name, as SVG.
        notes: by the same names, what is to be said of a figure, or why there is none.
        layers: of the model.
        settings: the configuration.
        environment: names and values.
        command: that makes the run again.
        left_out: what is not on the page, and how to have it.
        findings: of the training doctor: finding, evidence and suggested fix.
    """

    name: str
    state: str
    split: str
    epochs: str
    model: str
    data: str
    class_names: Sequence[str]
    result: ClassificationResult | None
    gallery: Gallery | None
    figures: dict[str, str]
    notes: dict[str, str]
    layers: Sequence[Layer]
    settings: Sequence[Setting]
    environment: Mapping[str, str]
    command: str
    left_out: list[str] = field(default_factory=list)
    findings: Sequence[Mapping[str, Any]] = field(default_factory=list)


def page(contents: Contents) -> str:
    """Return the page."""
    sections = {
        "curves": curves(contents),
        "confusion": confusion(contents),
        "classes": classes(contents),
        "mistakes": mistakes(contents),
        "calibration": figure(contents, "calibration"),
        "robustness": figure(contents, "robustness"),
        "maps": figure(contents, "feature_maps"),
        "filters": figure(contents, "filters"),
        "layers": layers(contents),
        "environment": facts(contents.environment),
        "configuration": configuration(contents),
    }
    there = {name: inside for name, inside in sections.items() if inside}
    links = "".join(f'<a href="#{name}">{escape(TITLES[name])}</a>' for name in there)
    body = [f"<h1>{escape(contents.name)}</h1>", headline(contents), f"<nav>{links}</nav>"]
    parts = {name: section(name, TITLES[name], inside) for name, inside in there.items()}
    # Calibration stands beside the shifts where those are; else the tall maps would stand beside it alone.
    names = BESIDE_MAPS if "robustness" in parts else ("calibration", *BESIDE_MAPS)
    beside = "\n".join(parts.pop(name) for name in names if name in parts)
    last = parts.pop("configuration")
    body += ["<main>", *parts.values(), f'<div class="column">{beside}</div>', last, "</main>"]

    style = contents.gallery.style() if contents.gallery else ""
    data = contents.gallery.data(contents.class_names) if contents.gallery else EMPTY
    return web_page(TEMPLATE, contents.name, data, "\n".join(filter(None, body)), style)


EMPTY = {"cells": {}, "images": [], "columns": 1, "names": []}


def headline(contents: Contents) -> str:
    """Return what comes first: how good the model is, and what it is."""
    lines = [f'<p class="notice">{escape(contents.state)}</p>'] if contents.state else []
    if contents.result is not None:
        lines.append(accuracy(contents.result, contents.split))
    lines += [f"<p>{escape(contents.model)}; {escape(contents.epochs)}<br>{escape(contents.data)}</p>"]
    for finding in contents.findings:
        fix = finding.get("fix")
        told = f"<b>{escape(str(finding.get('finding', '')))}</b>: {escape(str(finding.get('evidence', '')))}"
        told += f"<br>suggested fix: {escape(str(fix))}" if fix else ""
        lines.append(f'<p class="notice">{told}</p>')
    return "\n".join(lines)


def accuracy(result: ClassificationResult, split: str) -> str:
    """Return the accuracy with the interval in which the true one lies, against chance."""
    low, high = wilson_interval(result.accuracy, result.examples)
    support = result.confusion.sum(dim=1)
    chance, most = 1 / len(support), int(support.max()) / max(1, result.examples)
    told = f"chance {chance:.4g}" if chance < 0.001 else f"chance {chance:.2%}"
    if most > 1.05 * chance:
        told += f" (always naming the most frequent class: {most:.2%})"
    top5 = "" if result.top5 is None else f"; top-5 accuracy {result.top5:.2%}"
    about = f"95% interval {low:.2%} to {high:.2%}; {told}; loss {loss_in_words(result.loss)}{top5}"
    if result.is_imbalanced:
        about += (
            f"; balanced accuracy {result.balanced_accuracy:.2%} and macro F1 {result.macro_f1:.2%}, where "
            "each class counts the same"
        )
    return (
        f'<p class="headline">{result.accuracy:.2%} <small>{split} accuracy, '
        f"{round(result.accuracy * result.examples):,} of {result.examples:,} images</small></p>\n"
        f'<div class="scale" role="img" aria-label="{escape(about)}">'
        f'<span style="left:{low:.2%};width:{high - low:.2%}"></span>'
        f'<span class="chance" style="left:{chance:.2%}"></span></div>\n<p>{escape(about)}</p>'
    )


def curves(contents: Contents) -> str:
    """Return the curves over the epochs."""
    names = (*(score.name for score in SCORES.tracked), "learning_rate")
    shown = panels(contents.figures[name] for name in names if name in contents.figures)
    return shown and shown + paragraph(contents.notes["curves"])


def confusion(contents: Contents) -> str:
    """Return the confusion matrix."""
    if contents.result is None or contents.gallery is None:
        return ""
    matrix, names = contents.result.confusion, contents.class_names
    text = "Rows are the true classes, columns the predicted ones. Click a cell to see the images."
    whole = ""
    if len(names) > MOST_CLASSES:
        text += f" Of {len(names)} classes these are the {MOST_CLASSES} with the most mistakes; below, all."
        whole = panels([contents.figures["confusion"]])
    return paragraph(text) + matrix_table(matrix, names, contents.gallery.cells) + whole


def mistakes(contents: Contents) -> str:
    """Return the wrong predictions that the model is most confident about."""
    if contents.gallery is None:
        return ""
    if not contents.gallery.mistakes:
        return paragraph("There are none: every image is recognised.")
    text = (
        "True class → predicted class, the probability that the model gives to the latter, and the image's "
        "file or number. mistakes.csv in the run folder lists all of them."
    )
    return paragraph(text) + contents.gallery.show_mistakes(contents.class_names)


def classes(contents: Contents) -> str:
    """Return the table of classes."""
    if contents.result is None:
        return ""
    each = contents.result.per_class(tuple(contents.class_names))
    rows = [
        (row["class"], *(f"{row[name]:.2%}" for name in ("precision", "recall", "f1")), f"{row['support']:,}")
        for row in each
    ]
    text = (
        "Precision: the share of the images predicted as this class that belong to it. Recall: the share "
        "of the class that is found. F1: their harmonic mean. Click a heading to sort."
    )
    text += f" Mean recall (balanced accuracy): {contents.result.balanced_accuracy:.2%}; "
    text += f"mean F1 (macro F1): {contents.result.macro_f1:.2%}."
    return paragraph(text) + table(("class", "precision", "recall", "F1", "images"), rows, sorts=True)


def figure(contents: Contents, name: str) -> str:
    """Return a figure with what is to be said of it, or why there is none."""
    drawn = panels([contents.figures[name]]) if name in contents.figures else ""
    return drawn + (paragraph(contents.notes[name]) if name in contents.notes else "")


def layers(contents: Contents) -> str:
    """Return the table of layers."""
    if not contents.layers:
        return paragraph(contents.notes["layers"]) if "layers" in contents.notes else ""
    rows = [
        (
            layer.name or "model",
            layer.kind,
            "×".join(map(str, layer.output_shape)),
            f"{layer.parameters:,}",
            in_digits(layer.multiply_adds),
            "–" if layer.receptive_field is None else str(layer.receptive_field),
        )
        for layer in contents.layers
    ]
    headings = ("layer", "kind", "output", "parameters", "MACs", "receptive field")
    work = in_digits(total_multiply_adds(contents.layers))
    text = (
        f"{work} MACs (multiply-accumulate operations) per image. The receptive field is what one output "
        "sees, in pixels."
    )
    return table(headings, rows, words=2) + paragraph(text)


def configuration(contents: Contents) -> str:
    """Return the configuration, what differs from the defaults first, and the command."""
    changed = sum(setting.differs for setting in contents.settings)
    rows = "".join(
        f"<tr{' class=differs' if s.differs else ''}><td>{escape(s.key)}</td>"
        f'<td class="long">{escape(s.value)}</td><td class="long">{escape(s.default)}</td></tr>'
        for s in sorted(contents.settings, key=lambda setting: not setting.differs)
    )
    head = "<tr><th>key</th><th>value</th><th>default</th></tr>"
    text = f"Marked ●: what differs from the defaults, {count(changed, 'value')}. To make the run again:"
    return (
        f"{''.join(map(paragraph, contents.left_out))}{paragraph(text)}<pre>{escape(contents.command)}</pre>"
        f'<div class="scroll" tabindex="0"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    )
