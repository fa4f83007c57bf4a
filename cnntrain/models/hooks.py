"""Functions that are called after layers, for as long as a ``with`` block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

AfterLayer = Callable[[str, nn.Module, tuple[Any, ...], Any], None]


@contextmanager
def forward_hooks(layers: Iterable[tuple[str, nn.Module]], after_layer: AfterLayer) -> Iterator[None]:
    """Call a function after each forward pass of some layers; the end of the block removes the hooks.

    Args:
        layers: names and modules.
        after_layer: gets the layer's name, the module, its positional arguments and its output.
    """

    def hook(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        after_layer(name, module, args, output)  # whose result must not replace the output

    with ExitStack() as hooks:
        for name, layer in layers:
            hooks.callback(layer.register_forward_hook(partial(hook, name)).remove)
        yield


def leaves(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules that hold no others, with their names."""
    return [(name, module) for name, module in model.named_modules() if not list(module.children())]
