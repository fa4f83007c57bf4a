"""Functions that are called after layers, for as long as a ``with`` block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

AfterLayer = Callable[[str, nn.Module, tuple[Any, ...], Any], None]


@contextmanager
def forward_hooks(
    layers: Iterable[tuple[str, nn.Module]],
    after_layer: AfterLayer,
    before_layer: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Call a function after each forward pass of some layers; the end of the block removes the hooks.

    Args:
        layers: names and modules.
        after_layer: gets the layer's name, the module, its positional arguments and its output.
        before_layer: is called before each forward pass.
    """

    def hook(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        after_layer(name, module, args, output)  # whose result must not replace the output

    def hook_before(module: nn.Module, args: tuple[Any, ...]) -> None:
        before_layer()

    with ExitStack() as hooks:
        for name, layer in layers:
            hooks.callback(layer.register_forward_pre_hook(hook_before).remove)
            hooks.callback(layer.register_forward_hook(partial(hook, name)).remove)
        yield


def leaves(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules that hold no others, with their names."""
    return [(name, module) for name, module in model.named_modules() if is_leaf(module)]


def is_leaf(module: nn.Module) -> bool:
    """Return whether a module holds no others."""
    return not list(module.children())
