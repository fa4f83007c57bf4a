"""Copies of a model, of whatever a network of the user's keeps in itself."""

from __future__ import annotations

import copy

from torch import Tensor, nn


def copied(model: nn.Module) -> nn.Module:
    """Return a deep copy of a model, with the same values and no link to its graphs.

    Layers under ``torch.nn.utils.weight_norm`` or ``spectral_norm`` keep the weight that they computed last
    as a plain attribute, which torch refuses to copy as long as it belongs to a graph. It is computed again
    before each forward pass, so its value is enough.
    """
    memo = {id(tensor): tensor.detach().clone() for tensor in computed(model)}
    return compacted(copy.deepcopy(model, memo))


def compacted(model: nn.Module) -> nn.Module:
    """Return a model whose recurrent layers keep their weights in one piece, as cuDNN wants.

    A copy keeps them apart (documentation of ``torch.nn.RNNBase.flatten_parameters``). A CPU does not mind.
    """
    for module in model.modules():
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()
    return model


def computed(model: nn.Module) -> list[Tensor]:
    """Return the tensors that modules keep as plain attributes and that belong to a graph."""
    kept = (value for module in model.modules() for value in vars(module).values())
    return [value for value in kept if isinstance(value, Tensor) and value.grad_fn is not None]
