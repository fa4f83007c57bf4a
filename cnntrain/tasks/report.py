"""What a task's report is made of, and the report of a task that has no sections of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from cnntrain.compute.outputs import predictions_of
from cnntrain.compute.precision import Precision
from cnntrain.config.inputs import CALLED, IMAGES, Called
from cnntrain.drawing.html import facts, paragraph, tile
from cnntrain.drawing.mosaic import Sprite, most_tiles, style_of
from cnntrain.errors import describe_error
from cnntrain.runtime.console import count
from cnntrain.tasks.collector import evenly
from cnntrain.tasks.scores import Scores
from cnntrain.text import printable

SHOWN = 48  # images whose predictions are shown
T = TypeVar("T")


@dataclass(frozen=True)
class Images:
    """The images of an evaluation. An index counts the evaluated ones, in the order of the evaluation.

    Args:
        count: how many there are.
        size: height and width, in pixels.
        load_both: returns some of them by their indices, uint8 (N, C, H, W), and their targets as the data
            have them, on the CPU.
        name: returns what one is called: its file, or its number in the data set.
        are_files: whether that is a file.
        are_streamed: whether each is decoded again, so that only few should be asked for.
        inputs: what they are, as in ``data.inputs``: images, or sequences.
    """

    count: int
    size: tuple[int, int]
    load_both: Callable[[Sequence[int] | Tensor], tuple[Tensor, Tensor]]
    name: Callable[[int], str]
    are_files: bool
    are_streamed: bool
    inputs: str = IMAGES

    @property
    def can_be_seen(self) -> bool:
        """Whether they are images, which can be drawn, rather than sequences."""
        return self.inputs == IMAGES

    @property
    def called(self) -> Called:
        """What messages call them."""
        return CALLED[self.inputs]

    def entry(self, index: int) -> str:
        """Return what a table that is written calls one: its file, or its number alone."""
        return self.name(index).removeprefix("" if self.are_files else f"{self.called.word} ")

    def load(self, some: Sequence[int] | Tensor) -> Tensor:
        """Return some of them by their indices, uint8 (N, C, H, W), on the CPU."""
        return self.load_both(some)[0]


@dataclass(frozen=True)
class Evaluated:
    """A trained model, the images that it was evaluated on, and the outcome of it.

    Args:
        split: ``test`` or ``validation``.
        images: the images that were evaluated.
        result: the result of the task's evaluation.
        kept: what the task's collector kept of each image.
        class_names: the class names of the data.
        model: the model in evaluation mode, on its device, not compiled.
        prepare: turns uint8 (N, C, H, W) on the model's device into what the model takes.
        precision: the number format of the forward pass.
        device: where the model is.
        augment: class and arguments of the augmentation in training.
        patience: how many times as long as usual the figures may take.
        to_wait: the command that gives them more time; empty if they have it.
    """

    split: str
    images: Images
    result: Any
    kept: Any
    class_names: Sequence[str]
    model: nn.Module
    prepare: Callable[[Tensor], Tensor]
    precision: Precision
    device: torch.device
    augment: Mapping[str, Any] = field(default_factory=dict)
    patience: float = 1.0
    to_wait: str = ""

    @torch.no_grad()
    def outputs(self, images: Tensor) -> Tensor:
        """Return what the model gives for images, uint8 (N, C, H, W): float32 (N, ...), on its device."""
        self.model.eval()
        with self.precision.autocast():
            output = self.model(self.prepare(images.to(self.device)))
        return predictions_of(output)


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Args:
        name: its anchor, unique on the page.
        title: its heading.
        content: HTML; without any there is no section.
        in_column: whether it stands in a column beside the tall feature maps.
        left_out: what it does not show, and how to have it, in a sentence.
        style: CSS.
        data: the data for the page's script; of all sections, one may have some.
        files: what is written into the run folder, by name.
    """

    name: str
    title: str
    content: str
    in_column: bool = False
    left_out: str = ""
    style: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


def asked(model: nn.Module, work: Callable[[], T]) -> tuple[T | None, str]:
    """Return what a model answers and ""; or None, and why the model can't be asked that."""
    try:
        return work(), ""
    except Exception as error:  # whatever a network of the user's may raise
        return None, f"This can't be shown for {type(model).__name__}: {describe_error(error)}"


Decoded = Sequence[Sequence[tuple[str, float]]]  # the names and values of each image


def headline(scores: Scores, seen: Evaluated) -> str:
    """Return the main score, and the others below it, as HTML."""
    main, *others = (figure.score for figure in scores.ranked)
    shown = {score: score.text(float(getattr(seen.result, score.name))) for score in (main, *others)}
    rest = "; ".join(f"{score.words} {shown[score]}" for score in others)
    about = f"{seen.split} {main.words}, {count(seen.result.examples, seen.images.called.word)}"
    first = f'<p class="headline">{escape(shown[main])} <small>{escape(about)}</small></p>'
    return first + (f"\n{paragraph(rest)}" if rest else "")


def figures(seen: Evaluated) -> Section:
    """Return the section that lists all figures of the evaluation."""
    found = {
        name.replace("_", " "): f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
        for name, value in seen.result.as_dict().items()
        if isinstance(value, int | float)
    }
    return Section("scores", "Scores", facts(found))


def predictions(seen: Evaluated, decode: Callable[[Tensor], Decoded], value_format: str) -> Section:
    """Return the section that shows what the model makes of some images, evenly spread over all.

    Args:
        seen: the evaluation.
        decode: returns the names and values that outputs mean, float32 (N, ...), of each image.
        value_format: how a value is printed, as in ``format(value, ".2%")``.
    """
    chosen = evenly(min(SHOWN, most_tiles(seen.images.size)), seen.images.count).tolist()
    images = seen.images.load(chosen)
    decoded, why = asked(seen.model, lambda: decode(seen.outputs(images)))
    if decoded is None:
        return Section("predictions", "Predictions", paragraph(why))
    sprite = Sprite(images)
    shown = []
    for place, (index, found) in enumerate(zip(chosen, decoded, strict=True)):
        sentence = [f"{printable(name)} {format(value, value_format)}" for name, value in found]
        name = printable(seen.images.name(index))
        image = tile(place, sprite.columns, f"{', '.join(sentence)}: {name}")
        caption = f'{"<br>".join(map(escape, sentence))}<br><span class="file">{escape(name)}</span>'
        shown.append(f'<figure class="image">{image}<figcaption>{caption}</figcaption></figure>')
    words = seen.images.called.words
    text = f"{len(chosen):,} of {seen.images.count:,} {seen.split} {words}, evenly spread."
    content = paragraph(text) + f'<div class="images">{"".join(shown)}</div>'
    return Section("predictions", "Predictions", content, style=style_of(sprite))
