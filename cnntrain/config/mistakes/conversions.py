"""Names of other tools whose values mean something else than those of the nearest key here."""

from __future__ import annotations

import re
from collections.abc import Callable

UNITS = 128  # of a hidden layer, in the example for a number of layers
MOST_LAYERS = 8  # a larger number is probably one of units


def held_out(value: str) -> str:
    """Return the override for the share of images to train on: the rest is for validation."""
    share = decimal(value.rstrip("%"), 0.01 if value.endswith("%") else 1.0)
    share = share / 100 if 1 < share < 100 else share
    rest = round(1 - share, 6)
    return f"data.val_fraction={rest:g}" if 0 <= rest <= 0.9 else "data.val_fraction"


def hidden_layers(value: str) -> str:
    """Return the override for a number of hidden layers, or for a list of their units."""
    if re.fullmatch(r"\[[\d, ]+\]", value):
        return f"'model.hidden={value.replace(' ', '')}'"
    number = int(value) if value.isdecimal() and len(value) < 3 else 0
    is_count = 0 < number <= MOST_LAYERS
    return f"'model.hidden=[{','.join([str(UNITS)] * number)}]'" if is_count else "model.hidden"


def least_share(value: str) -> str:
    """Return the override for the zoom of Keras: the area left by the largest."""
    zoom = decimal(value, 1.0)
    return f"augment.crop={round((1 - zoom) ** 2, 4):g}" if 0 < zoom < 1 else "augment.crop"


CONVERSIONS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("train_split", "train_size", "train_ratio", "train_frac", "train_fraction"), held_out),
    **dict.fromkeys(("hidden_layers", "num_hidden_layers", "n_hidden_layers"), hidden_layers),
    **dict.fromkeys(("layers", "num_layers", "n_layers", "nb_layers"), hidden_layers),
    "zoom_range": least_share,
}


def is_number(text: str) -> bool:
    """Return whether a text is written as a finite number."""
    return re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text) is not None


def decimal(text: str, factor: float) -> float:
    """Return a number with a decimal point or comma, multiplied; infinity if it is none."""
    text = text.replace(",", ".")
    return float(text) * factor if is_number(text) else float("inf")
