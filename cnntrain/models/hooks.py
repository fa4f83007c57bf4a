"""Functions that are called before or after layers, for as long as a ``with`` block lasts."""

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
        after_layer: gets the layer's name, the module, its positional arguments and its output. Recurrent
            layers and attention return several tensors: the first is their output.
        before_layer: is called before each forward pass.
    """

    def hook(name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        is_several = isinstance(output, tuple) and output
        after_layer(name, module, args, output[0] if is_several else output)
        # The result of after_layer must not replace the output.

    def hook_before(module: nn.Module, args: tuple[Any, ...]) -> None:
        before_layer()

    with ExitStack() as hooks:
        for name, layer in layers:
            hooks.callback(layer.register_forward_pre_hook(hook_before).remove)
            hooks.callback(layer.register_forward_hook(partial(hook, name)).remove)
        yield


@contextmanager
def changed_inputs(changes: Iterable[tuple[nn.Module, Callable[[Any], Any]]]) -> Iterator[None]:
    """Let layers read something else; the end of the block removes the hooks.

    Args:
        changes: modules, and what makes of a module's first argument the one that it gets.
    """

    def hook(change: Callable[[Any], Any], module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (change(args[0]), *args[1:])

    with ExitStack() as hooks:
        for module, change in changes:
            hooks.callback(module.register_forward_pre_hook(partial(hook, change)).remove)
        yield


def leaves(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the modules that hold no others, with their names.

    ``nn.MultiheadAttention`` counts as one: it holds a linear layer, takes its weights, and never calls it.
    """
    named = list(model.named_modules())
    attention = [module for _, module in named if isinstance(module, nn.MultiheadAttention)]
    inside = {id(child) for module in attention for child in module.children()}
    return [
        (name, module)
        for name, module in named
        if (is_leaf(module) and id(module) not in inside) or module in attention
    ]


def is_leaf(module: nn.Module) -> bool:
    """Return whether a module holds no others."""
    return not list(module.children())
