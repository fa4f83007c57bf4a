"""The first convolution of a network, at work on images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cnntrain.errors import UserError
from cnntrain.explain.setup import ExplainedModel
from cnntrain.models.hooks import forward_hooks


@dataclass(frozen=True)
class Seen:
    """The first convolution of a network at work on some images.

    Args:
        name: the name of the layer.
        layer: itself.
        input: float (N, C, H, W).
        output: float (N, filters, H', W').
    """

    name: str
    layer: nn.Conv2d
    input: Tensor
    output: Tensor


@torch.no_grad()
def first_convolution(model: ExplainedModel, images: Tensor) -> Seen:
    """Return what goes into the first convolution that the forward pass calls, and what comes out.

    Args:
        model: a trained model.
        images: uint8 (N, C, H, W).

    Raises:
        UserError: there is none.
    """
    found: list[Seen] = []

    def note(name: str, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d) and not found:
            found.append(Seen(name, module, args[0].float().cpu(), output.float().cpu()))

    with forward_hooks(model.model.named_modules(), note):
        model.model(model.normalize(images.to(model.normalize.mean.device)))
    if not found:
        raise UserError(f"{type(model.model).__name__} has no convolution: model=cnn has")
    return found[0]
