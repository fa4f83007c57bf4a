"""How networks, files and commands are named wherever a person reads of them. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cnntrain.text import printable


def network_name(model: Mapping[str, Any], kind: str) -> str:
    """Return the name of a network, such as ``resnet18``.

    Args:
        model: the group ``model`` of the configuration; those of torchvision and timm name a network.
        kind: the class of the model, for those that do not.
    """
    name = model.get("name")
    return printable(name, 60) if isinstance(name, str) and name else kind


def shown_path(path: str | Path) -> str:
    """Return a path as it is shown everywhere: relative to the current folder if it lies below that."""
    path = Path(path)
    try:
        here = Path.cwd()
        return str(path.relative_to(here)) if path.is_absolute() and path != here else str(path)
    except (OSError, ValueError):  # elsewhere, or the current folder was removed
        return str(path)


def shown_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of classes as one may print and draw them."""
    return tuple(map(printable, names))


def argument(path: str | Path) -> str:
    """Return a path as a word of a command that can be copied: ``$'...'`` if it is not printable."""
    text = shown_path(path)
    if text.isprintable():
        return shlex.quote(text)
    quoted = text.replace("\\", r"\\").replace("'", r"\'")
    return f"$'{printable(quoted, longest=len(quoted))}'"
