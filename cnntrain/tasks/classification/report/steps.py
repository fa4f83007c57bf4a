"""What a network that reads an image step by step answers before it has read all of it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from cnntrain.drawing.html import paragraph
from cnntrain.drawing.plots import Plots
from cnntrain.models.views import ReadsStepByStep
from cnntrain.tasks.classification.report import figures
from cnntrain.tasks.collector import evenly
from cnntrain.tasks.report import Evaluated, Section, asked

SECONDS = 1.5  # that the images may take
MOST_IMAGES, IN_BATCH = 1024, 64
MOST_POINTS = 32  # numbers of steps
LISTED = 4  # of them, in words


@dataclass(frozen=True)
class Early:
    """How often the answers after some steps are right.

    Args:
        steps: the number of steps that were read.
        accuracy: the accuracy after each of these numbers, from 0 to 1.
        images: the images that were read.
    """

    steps: list[int]
    accuracy: list[float]
    images: int


def by_steps(model: ReadsStepByStep, seen: Evaluated, plots: Plots) -> Section:
    """Return the accuracy by the number of steps read.

    Args:
        model: the model of the evaluation.
        seen: the evaluation, with the predictions on its images.
        plots: draws and saves figures.
    """
    name, title = "steps", f"Accuracy by number of {model.of_step} read"
    found, why = asked(seen.model, lambda: accuracy_by_steps(model, seen))
    if found is None:
        return Section(name, title, paragraph(why))
    figure = figures.by_steps(found.steps, found.accuracy, 1 / len(seen.class_names), model.of_step)
    drawn = plots.draw(name, figure, f"accuracy against the number of {model.of_step} read")
    some = evenly(LISTED, len(found.steps)).tolist()
    sentence = ", ".join(f"{found.accuracy[place]:.1%} after {found.steps[place]}" for place in some)
    words = seen.images.called.words
    text = (
        f"Accuracy on {found.images:,} of {seen.images.count:,} {seen.split} {words}, evenly spread, that "
        f"end after so many {model.of_step}: {sentence}. The network was trained on whole {words} alone."
    )
    return Section(name, title, drawn + paragraph(text))


@torch.no_grad()
def accuracy_by_steps(model: ReadsStepByStep, seen: Evaluated) -> Early:
    """Return how often a network is right after some steps, on as many images as the time allows."""
    steps = [place + 1 for place in evenly(MOST_POINTS, model.steps).tolist()]
    places = evenly(MOST_IMAGES, seen.images.count)
    seen.model.eval()
    batches = max(1, len(places) // IN_BATCH)
    correct, images, end = torch.zeros(len(steps)), 0, time.monotonic() + SECONDS * seen.patience
    for first in range(batches):
        some = places[first::batches]  # evenly spread, too
        labels = seen.kept.labels[some].to(seen.device)
        x = seen.prepare(seen.images.load(some).to(seen.device))
        with seen.precision.autocast():
            answers = model.answers_after(x, steps).argmax(dim=2)
        correct += (answers == labels[:, None]).sum(dim=0).cpu()
        images += len(some)
        if time.monotonic() > end:
            break
    return Early(steps, (correct / images).tolist(), images)
