"""Recurrent networks and Transformers as a script writes them: without the options that are not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from torch import nn

from cnntrain.explain import arithmetic
from cnntrain.explain.script.closure import source
from cnntrain.models.sequences.recurrent import Recurrent
from cnntrain.models.sequences.transformer import Transformer, sinusoids


def written(
    model: Recurrent | Transformer, shape: tuple[int, int, int], environment: jinja2.Environment
) -> str:
    """Return the class of a network that reads an image of this shape, and the function that it calls.

    Args:
        model: the network.
        shape: channels, height and width of an image.
        environment: the environment for the template ``sequences.py.jinja``.
    """
    reader = model.reader
    known: dict[str, Any] = {
        "name": type(model).__name__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "shape": shape,
        "classes": model.output.out_features,
        "pooling": model.pooling,
        "read": reader.read,
        "part": reader.part,
        "steps": reader.length,
        "features": reader.features,
        "sinusoids": "",
        **(of_recurrent(model, shape) if isinstance(model, Recurrent) else of_transformer(model)),
    }
    text = Path(__file__).with_name("sequences.py.jinja").read_text("utf-8")
    return environment.from_string(text).render(known).rstrip()


def of_recurrent(model: Recurrent, shape: tuple[int, int, int]) -> dict[str, Any]:
    """Return what the template needs of an RNN, an LSTM or a GRU."""
    (row,) = (row for row in arithmetic.trace(model, shape) if isinstance(row.module, nn.RNNBase))
    return {
        "is_recurrent": True,
        "width": model.rnn.hidden_size,
        "depth": model.rnn.num_layers,
        "bidirectional": model.rnn.bidirectional,
        "dropout": model.dropout.p,
        "of_rnn": arithmetic.describe_parameters(row),
    }


def of_transformer(model: Transformer) -> dict[str, Any]:
    """Return what the template needs of a Transformer or a ViT."""
    layers: Any = model.encoder.layers
    is_learned = isinstance(model.positions, nn.Parameter)
    return {
        "is_recurrent": False,
        "width": model.embedding.out_features,
        "depth": len(layers),
        "heads": layers[0].self_attn.num_heads,
        "dropout": layers[0].dropout.p,
        "positions": "learned" if is_learned else "sinusoidal",
        "length": len(model.positions),
        "sinusoids": "" if is_learned else source(sinusoids),
    }
