"""``cnntrain summary``: a model's layers as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from cnntrain.config.conf_files import conf_folder, read_yaml
from cnntrain.config.inputs import CALLED
from cnntrain.config.sections import Shape, SummarySettings
from cnntrain.explain import sentences
from cnntrain.models.sequences.reading import Reader
from cnntrain.models.summary import Layer, in_digits, layers, total_multiply_adds
from cnntrain.models.views import HasSkipConnections
from cnntrain.runtime.console import Console, format_bytes
from cnntrain.text import network_name, printable, shown
from cnntrain.training.components.components import build_freezing, describe_model


def show(settings: SummarySettings, console: Console) -> None:
    """Print the summary of a model.

    Args:
        settings: the model. It is not allocated.
        console: the console to print to.
    """
    shape = settings.model.shape
    model = describe_model(settings.model, trust=None)
    rows = layers(model, shape)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("layer", "kind"):
        table.add_column(heading, overflow="fold")  # rather than cut
    for heading in ("output", "parameters", "MACs", "receptive field"):
        table.add_column(heading, justify="right")
    table.add_row("", "input", "×".join(map(str, shape)), "", "", "1")
    for row in rows:
        size = "×".join(map(str, row.output_shape))
        field = "–" if row.receptive_field is None else f"{row.receptive_field}"
        figures = (f"{row.parameters:,}", in_digits(row.multiply_adds), field)
        table.add_row(escape(printable(row.name)), row.kind, size, *figures)
    freezing = build_freezing(model, settings.freeze, settings.unfreeze_epoch, settings.model.num_classes)
    console.table(table)
    console.line()
    size, work = format_bytes(4 * freezing.total), in_digits(total_multiply_adds(rows))
    name = network_name(settings.model.node, type(model).__name__)
    called = CALLED[settings.model.inputs]
    totals = f"{freezing.total:,} parameters[/] ({size} as fp32), {work} MACs per {called.word}"
    console.line(f"[bold]{{}}: {totals}", name)
    for reader in (module for module in model.modules() if isinstance(module, Reader)):
        console.line("an image is a sequence of length {}: {}", reader.length, reader.extra_repr())
    if order := sentences.on_order([row.kind for row in rows]):
        console.line(order)
    if isinstance(model, HasSkipConnections):
        console.line("skip connections: {}", skips_in_words(model.skip_connections, rows))
    if freezing.names:
        console.line("{}, with freeze={}", freezing, shown(settings.freeze))
    weighted = [row for row in rows if row.parameters]
    if weighted and weighted[0].kind == "Linear" and len(weighted[0].output_shape) == 1:
        show_convolution_instead(console, shape, weighted[0])


def skips_in_words(skips: Sequence[tuple[str, str]], rows: Sequence[Layer]) -> str:
    """Return where features go past other layers, and their sizes: ``first to merge.2 (16×64×64)``."""
    shapes = {giver: [r.output_shape for r in rows if r.name.startswith(f"{giver}.")] for giver, _ in skips}
    return ", ".join(
        f"{giver} to {taker} ({'×'.join(map(str, shapes[giver][-1]))})" for giver, taker in skips
    )


def show_convolution_instead(console: Console, shape: Shape, layer: Layer) -> None:
    """Describe what a convolution in place of a fully connected first layer would need."""
    channels, height, width = shape
    cnn = read_yaml(conf_folder() / "model" / "cnn.yaml")
    filters, side = cnn["channels"][0], cnn["kernel_size"]
    parameters = filters * (channels * side * side + 1)
    console.line(
        f"The first layer has a weight for each pair of one of {channels * height * width:,} input values "
        f"and one of {layer.output_shape[-1]:,} units: {layer.parameters:,} parameters.\n"
        f"A convolution sees the same image through {filters} filters of {side}x{side} (model=cnn): "
        f"{parameters:,}, whatever the size of the image."
    )
