"""Networks that classify images. Each is a plain ``nn.Module``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnntrain.models.cnn import CNN as CNN
    from cnntrain.models.mlp import MLP as MLP
    from cnntrain.models.timm import Timm as Timm
    from cnntrain.models.torchvision import Torchvision as Torchvision

MODULES = {"CNN": "cnn", "MLP": "mlp", "Timm": "timm", "Torchvision": "torchvision"}


def __getattr__(name: str) -> Any:
    """Import a class when it is asked for: what needs no torch imports this package too."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names of the classes."""
    return sorted(MODULES)
