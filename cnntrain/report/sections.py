"""How a run's report is made: ``report.html`` and the figures in ``plots/``, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from cnntrain.config.inputs import IMAGES
from cnntrain.drawing.html import facts, panels, paragraph
from cnntrain.drawing.plots import Plots
from cnntrain.models import summary as summaries
from cnntrain.models.views import HasAttention, ReadsStepByStep
from cnntrain.report import figures, model_views
from cnntrain.report.data import ReportedRun, data_of, environment, epochs_of, unfinished
from cnntrain.report.page import Contents, configuration, layers_table, page
from cnntrain.report.reproduce import command_of, settings
from cnntrain.runs.atomic import write_atomically
from cnntrain.runtime.console import Console, count, format_bytes
from cnntrain.tasks.report import Evaluated, Section, asked
from cnntrain.tasks.scores import TRAIN, VAL, VAL_LOSS
from cnntrain.text import encoded, network_name
from cnntrain.training import sentences

PAGE, PLOTS = "report.html", "plots"
FOLLOWED = 3  # images whose feature maps are shown


def write_report(run: ReportedRun, console: Console) -> Path:
    """Write ``report.html`` and ``plots/`` into the folder of a run, and return where the page is.

    Raises:
        OSError: they can't be written.
    """
    contents, plots = contents_of(run), Plots(run.folder / PLOTS)
    for section in console.followed(sections(run, plots), "report", unit="section"):
        contents.sections.append(section)
        for name, content in section.files.items():
            write_atomically(run.folder / name, content)
    contents.sections.append(last_section(run, [s.left_out for s in contents.sections if s.left_out]))
    target = run.folder / PAGE
    write_atomically(target, encoded(page(contents)))
    return target


def contents_of(run: ReportedRun) -> Contents:
    """Return what stands above the sections."""
    summary: Mapping[str, Any] = run.summary or {}
    name = network_name(run.settings.model, type(run.model).__name__)
    parameters = sum(p.numel() for p in run.model.parameters())
    size = format_bytes(4 * parameters)
    return Contents(
        name=run.folder.absolute().name,
        state="" if run.summary else unfinished(run),
        headline="" if run.evaluated is None else run.task.headline(run.evaluated),
        epochs=epochs_of(run),
        model=f"{name}, {parameters:,} parameters ({size} as fp32)",
        data=data_of(run.settings.data, run.sizes, len(run.class_names)),
        findings=summary.get("findings") or [],
    )


def sections(run: ReportedRun, plots: Plots) -> Iterator[Section]:
    """Yield the sections of the page in its order: those of every run, and between them those of the task."""
    yield curves(run, plots)
    if run.evaluated is not None:
        yield from run.task.sections(run.evaluated, plots)
    yield from inside(run, plots)
    yield layers(run)
    yield Section("environment", "Environment", facts(environment(run)), in_column=True)


def last_section(run: ReportedRun, left_out: list[str]) -> Section:
    """Return the configuration, and what is not on the page."""
    summary: Mapping[str, Any] = run.summary or {}
    typed, values, usual = summary.get("command", ""), run.settings.values, run.task.scores.monitors[0]
    command = command_of(values, usual) or typed or "a group's file is not here"
    content = configuration(settings(values, usual, typed), command, left_out)
    return Section("configuration", "Configuration", content)


def curves(run: ReportedRun, plots: Plots) -> Section:
    """Return the scores and the learning rate after each epoch."""
    name, title, history, scores = "curves", "Curves", run.history, run.task.scores
    if not history:
        return Section(name, title, "")
    drawn = [
        plots.as_svg(file, figure, f"{words} after each epoch")
        for (file, words), figure in figures.curves(history, run.best, scores).items()
    ]
    last = history[-1]
    sentence = f"training {scores.in_words(last, TRAIN)}"
    if last[VAL_LOSS.name] is not None:
        sentence += f"; validation {scores.in_words(last, VAL)}"
    text = (
        f"After epoch {last['epoch']}: {sentence}. {sentences.on_curves(history, scores)} Training "
        "figures are "
        "means over the epoch, each batch before its own update, with augmentation and dropout if there are "
        "any; validation comes after the epoch, and the learning rate is that of its last step."
    )
    return Section(name, title, panels(drawn) + paragraph(text))


def inside(run: ReportedRun, plots: Plots) -> Iterator[Section]:
    """Yield what the network shows of itself: its attention, its feature maps, or its filters."""
    if run.settings.data.inputs != IMAGES:
        return  # these are drawn over images
    if isinstance(run.model, ReadsStepByStep):
        return  # the task tells what it answers, step by step
    if isinstance(run.model, HasAttention):
        if run.evaluated is not None:
            yield attention(run.model, run, run.evaluated, plots)
        return
    if run.evaluated is not None:
        yield feature_maps(run, run.evaluated, plots)
    yield filters(run, plots)


def attention(model: HasAttention, run: ReportedRun, seen: Evaluated, plots: Plots) -> Section:
    """Return where the network looks in a few images."""
    name, title = "attention", "Attention"
    chosen, names = zip(*run.task.examples(seen, FOLLOWED), strict=True)
    images = seen.images.load(chosen)
    x = seen.prepare(images.to(seen.device))
    maps, why = asked(run.model, lambda: model_views.attention(model, x))
    if maps is None:
        return Section(name, title, paragraph(why))
    figure = figures.attention(in_colours(images), maps.numpy())
    drawn = plots.draw(name, figure, "where the heads of each layer look in some images")
    text = (
        f"{count(len(chosen), 'image')} ({', '.join(names)}), and below them how much attention each part "
        "gets from what is classified: bright is much, each image and layer on its own scale. After "
        "the first layer a part stands for what it has gathered from others, too."
    )
    return Section(name, title, drawn + paragraph(text))


def in_colours(images: Tensor) -> np.ndarray:
    """Return images, uint8 (N, C, H, W), as they are drawn: (N, H, W, 1 or 3)."""
    colours: np.ndarray = images[:, : 3 if images.shape[1] >= 3 else 1].permute(0, 2, 3, 1).numpy()
    return colours


def feature_maps(run: ReportedRun, seen: Evaluated, plots: Plots) -> Section:
    """Return what the layers make of a few images."""
    name, title = "maps", "Feature maps"
    chosen, names = zip(*run.task.examples(seen, FOLLOWED), strict=True)
    images = seen.images.load(chosen)
    x = seen.prepare(images.to(seen.device))
    maps, why = asked(run.model, lambda: model_views.feature_maps(run.model, x, seen.precision))
    if not maps:
        return Section(name, title, paragraph(why) if why else "")
    figure = figures.feature_maps(in_colours(images), maps)
    drawn = plots.draw("feature_maps", figure, "what layers make of some images")
    text = (
        f"{count(len(chosen), 'image')} ({', '.join(names)}) on the way through {model_views.which(maps)}: "
        f"up to {model_views.MOST_MAPS} maps of each, bright where it responds most; squares are values."
    )
    return Section(name, title, drawn + paragraph(text))


def filters(run: ReportedRun, plots: Plots) -> Section:
    """Return the filters of the first layer."""
    name, title = "filters", "Filters"
    found = model_views.first_filters(run.model, run.settings.data.shape)
    if found is None:
        sentence = "No layer takes the image itself as a Conv2d or Linear would."
        return Section(name, title, paragraph(sentence), in_column=True)
    number, layer = len(found.weights), f"{found.layer or 'the model'} ({found.kind})"
    drawn = plots.draw(name, figures.filters(found), f"{number} filters of the layer {layer}")
    each = "unit: its weight for each pixel" if found.kind == "Linear" else "filter"
    has_colours = found.weights.shape[1] == 3
    colours = "in their colours" if has_colours else "red where brightness adds, blue where it takes away"
    text = f"The first layer, {layer}: {number} of {found.total}, a square for each {each}; {colours}."
    return Section(name, title, drawn + paragraph(text), in_column=True)


def layers(run: ReportedRun) -> Section:
    """Return the table of layers."""
    found, why = asked(run.model, lambda: summaries.layers(run.model, run.settings.data.shape))
    shown = layers_table(found, run.settings.data.inputs) if found else paragraph(why) if why else ""
    return Section("layers", "Layers", shown, in_column=True)
