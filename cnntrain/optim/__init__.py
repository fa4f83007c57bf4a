"""Learning-rate schedules, groups of parameters, freezing and averaged weights."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnntrain.optim.schedules import Constant as Constant
    from cnntrain.optim.schedules import Cosine as Cosine
    from cnntrain.optim.schedules import OneCycle as OneCycle
    from cnntrain.optim.schedules import Step as Step

MODULES = {"Constant": "schedules", "Cosine": "schedules", "OneCycle": "schedules", "Step": "schedules"}


def __getattr__(name: str) -> Any:
    """Import a class when it is asked for: what needs no torch imports this package too."""
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the names of the classes."""
    return sorted(MODULES)
