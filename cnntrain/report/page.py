"""``report.html``: a run in one file that needs no network and no server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from cnntrain.config.inputs import CALLED, IMAGES
from cnntrain.drawing.html import paragraph, section, table
from cnntrain.models.summary import Layer, in_digits, total_multiply_adds
from cnntrain.report.reproduce import Setting
from cnntrain.runs.web_page import web_page
from cnntrain.runtime.console import count
from cnntrain.tasks.report import Section

TEMPLATE = Path(__file__).with_name("run.html")  # with run.css and run.js beside it


@dataclass
class Contents:
    """The contents of the page.

    Args:
        name: the name of the run.
        state: the state in words, if the run is not finished.
        headline: how good the model is, as HTML; empty if there was nothing to evaluate on.
        epochs: the epochs in words.
        model: the model in words.
        data: the data in words: which images, and how many.
        findings: the findings of the training doctor: finding, evidence and suggested fix.
        sections: the sections in the order of the page.
    """

    name: str
    state: str
    headline: str
    epochs: str
    model: str
    data: str
    findings: Sequence[Mapping[str, Any]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)


def page(contents: Contents) -> str:
    """Return the page. Its last section stands below the column beside the feature maps."""
    there = [section for section in contents.sections if section.content]
    links = "".join(f'<a href="#{part.name}">{escape(part.title)}</a>' for part in there)
    *upper, last = (section(part.name, part.title, part.content) for part in there)
    in_column = [part.in_column for part in there[:-1]]
    wide = [part for part, is_beside in zip(upper, in_column, strict=True) if not is_beside]
    beside = "\n".join(part for part, is_beside in zip(upper, in_column, strict=True) if is_beside)
    body = [f"<h1>{escape(contents.name)}</h1>", headline(contents), f"<nav>{links}</nav>"]
    body += ["<main>", *wide, f'<div class="column">{beside}</div>', last, "</main>"]
    style = "".join(part.style for part in there)
    data = next((part.data for part in there if part.data), EMPTY)
    return web_page(TEMPLATE, contents.name, data, "\n".join(filter(None, body)), style)


EMPTY: dict[str, Any] = {"cells": {}, "images": [], "columns": 1, "names": []}


def headline(contents: Contents) -> str:
    """Return what comes first: how good the model is, and what it is."""
    lines = [f'<p class="notice">{escape(contents.state)}</p>'] if contents.state else []
    if contents.headline:
        lines.append(contents.headline)
    lines += [f"<p>{escape(contents.model)}; {escape(contents.epochs)}<br>{escape(contents.data)}</p>"]
    for finding in contents.findings:
        fix = finding.get("fix")
        text = f"<b>{escape(str(finding.get('finding', '')))}</b>: {escape(str(finding.get('evidence', '')))}"
        text += f"<br>suggested fix: {escape(str(fix))}" if fix else ""
        lines.append(f'<p class="notice">{text}</p>')
    return "\n".join(lines)


def layers_table(found: Sequence[Layer], inputs: str) -> str:
    """Return the table of layers of a network that gets such inputs, as in ``data.inputs``."""
    rows = [
        (
            layer.name or "model",
            layer.kind,
            "×".join(map(str, layer.output_shape)),
            f"{layer.parameters:,}",
            in_digits(layer.multiply_adds),
            "–" if layer.receptive_field is None else str(layer.receptive_field),
        )
        for layer in found
    ]
    headings = ("layer", "kind", "output", "parameters", "MACs", "receptive field")
    work = in_digits(total_multiply_adds(found))
    text = (
        f"{work} MACs (multiply-accumulate operations) per {CALLED[inputs].word}. The receptive field is "
        f"what one output sees, in {'pixels' if inputs == IMAGES else 'steps'}."
    )
    return table(headings, rows, words=2) + paragraph(text)


def configuration(settings: Sequence[Setting], command: str, left_out: Sequence[str]) -> str:
    """Return the configuration, what differs from the defaults first, and the command.

    Args:
        settings: every key.
        command: the command that repeats the run.
        left_out: what is not on the page, and how to have it.
    """
    changed = sum(setting.differs for setting in settings)
    rows = "".join(
        f"<tr{' class=differs' if s.differs else ''}><td>{escape(s.key)}</td>"
        f'<td class="long">{escape(s.value)}</td><td class="long">{escape(s.default)}</td></tr>'
        for s in sorted(settings, key=lambda setting: not setting.differs)
    )
    head = "<tr><th>key</th><th>value</th><th>default</th></tr>"
    text = f"Marked ●: what differs from the defaults, {count(changed, 'value')}. To make the run again:"
    return (
        f"{''.join(map(paragraph, left_out))}{paragraph(text)}<pre>{escape(command)}</pre>"
        f'<div class="scroll" tabindex="0"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    )
