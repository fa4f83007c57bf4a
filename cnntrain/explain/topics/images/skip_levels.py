"""The levels of a U-Net, which ``cnntrain explain skips`` shows: sizes, channels and receptive fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.markup import escape
from torch import nn

from cnntrain.explain.setup import ExplainedModel
from cnntrain.explain.terminal import rows, words
from cnntrain.language.translation import tr, tr_count
from cnntrain.models.summary import Layer, layers
from cnntrain.models.views import HasSkipConnections
from cnntrain.runtime.console import Console


@dataclass(frozen=True)
class Level:
    """A resolution of the network.

    Args:
        encoder: the last layer of the encoder there.
        decoder: the last layer of the decoder there; None at the bottom.
        giver: the module whose features go past the levels below.
        taker: the module that merges them; empty at the bottom.
    """

    encoder: Layer
    decoder: Layer | None
    giver: str
    taker: str

    @property
    def size(self) -> str:
        """Height and width of the features."""
        return "×".join(map(str, self.encoder.output_shape[1:]))


def levels_of(net: nn.Module, shape: tuple[int, int, int]) -> list[Level]:
    """Return the resolutions of a network with skip connections, the finest first and the bottom last."""
    done = layers(net, shape)
    named = {}
    for row in done:
        for parent in {row.name, row.name.rpartition(".")[0]}:
            named[parent] = row  # the last one counts
    assert isinstance(net, HasSkipConnections)
    found = [Level(named[giver], named[taker], giver, taker) for giver, taker in net.skip_connections]
    bottom = min(
        (row for row in done if row.parameters), key=lambda row: row.output_shape[-1] * row.output_shape[-2]
    )
    below = [row for row in done if row.output_shape == bottom.output_shape and row.parameters][-1]
    return [*found, Level(below, None, below.name.rpartition(".")[0], "")]


def show_levels(console: Console, model: ExplainedModel, levels: Sequence[Level]) -> None:
    """Show sizes, channels and receptive fields on the way down, and on the way up."""
    total = sum(p.numel() for p in model.model.parameters())
    words(
        console,
        tr(
            "[bold]{model}[/], {total:,} parameters: {levels} down and up again; an image is {size}\n",
            model=escape(model.name),
            total=total,
            levels=tr_count(len(levels) - 1, "{number:,} level", "{number:,} levels"),
            size="×".join(map(str, model.shape)),
        ),
    )
    lines = []
    for number, level in enumerate(levels):
        channels = level.encoder.output_shape[0]
        up = ("", "", "–") if level.decoder is None else merged(model.model, level)
        lines.append(
            (f"{number}", level.size, level.giver, f"{channels}", in_digits(level.encoder), level.taker, *up)
        )
    headings = (
        tr("level"),
        tr("size"),
        tr("down"),
        tr("channels"),
        tr("sees"),
        tr("up"),
        tr("skip + below"),
        f"{tr('channels')} ",
        f"{tr('sees')} ",
    )
    rows(console, headings, lines, left=3)
    words(
        console,
        tr(
            "\nEach level down halves the image and sees more of it: [bold]what[/] is "
            "there, and less and less exactly where. On the way up, a level gets its "
            "features from below, enlarged, and beside them the encoder's own of the same "
            "size, by the skip connection: [bold]where[/]. sees: the side in pixels of the "
            "part of the image that one value depends on.\n"
        ),
    )


def merged(net: nn.Module, level: Level) -> tuple[str, str, str]:
    """Return what a level of the decoder gets, what it gives, and what that sees."""
    assert level.decoder is not None
    skip = level.encoder.output_shape[0]
    first = next(m for m in net.get_submodule(level.taker).modules() if isinstance(m, nn.Conv2d))
    return (
        f"{skip} + {first.in_channels - skip}",
        f"{level.decoder.output_shape[0]}",
        in_digits(level.decoder),
    )


def in_digits(layer: Layer) -> str:
    """Return the receptive field of a layer, or a dash."""
    return "–" if layer.receptive_field is None else f"{layer.receptive_field}"
