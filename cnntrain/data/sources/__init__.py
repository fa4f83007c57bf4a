"""Where images come from. A source is a data set class that takes ``train=True`` or ``train=False``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnntrain.data.sources.builtin import Fake as Fake
    from cnntrain.data.sources.builtin import MNISTMini as MNISTMini
    from cnntrain.data.sources.builtin import Torchvision as Torchvision
    from cnntrain.data.sources.folder import Folder as Folder

MODULES = {"Fake": "builtin", "Folder": "folder", "MNISTMini": "builtin", "Torchvision": "builtin"}


def __getattr__(name: str) -> Any:
    """Import a class when it is asked for: a folder of images needs modules that MNIST does not."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names of the classes."""
    return sorted(MODULES)
