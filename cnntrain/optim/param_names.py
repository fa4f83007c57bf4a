"""The parameters that a pattern selects in a model: ``layer1``, ``*.bias``, ``head`` or ``backbone``."""

from __future__ import annotations

from fnmatch import fnmatchcase

from torch import nn

from cnntrain.errors import UserError, did_you_mean

HEAD, BACKBONE = "head", "backbone"


def matching(model: nn.Module, pattern: str, num_classes: int, key: str) -> set[str]:
    """Return the names of the parameters and buffers that a pattern stands for.

    A pattern is the name of a parameter or of a module that holds some, or a part of it between dots, and may
    hold ``*`` and ``?``: ``layer1`` stands for all of ``network.layer1.0.conv1.weight`` and the like.
    ``head`` is the last layer, which gives the classes, or what the model itself calls its head, and
    ``backbone`` all else.

    Args:
        model: the model whose parameter names are searched.
        pattern: the pattern, as typed.
        num_classes: number of classes.
        key: a key of the configuration, for messages.

    Raises:
        UserError: nothing is called so.
    """
    names = names_of(model)
    if pattern in (HEAD, BACKBONE):
        heads = heads_of(model, num_classes)
        if not heads:
            raise UserError(
                f"{key}={pattern}: {type(model).__name__} has no layer of {num_classes} outputs for a head; "
                f"name its parameters: {', '.join(parts(names))}"
            )
        return {name for name in names if any(is_inside(name, head) for head in heads) == (pattern == HEAD)}
    found = {name for name in names if fnmatchcase(f".{name}.", f"*.{pattern}.*")}
    if not found:
        near = did_you_mean(pattern.replace("*", ""), {*words(names), HEAD, BACKBONE})
        raise UserError(
            f"{key}={pattern}: {type(model).__name__} has no parameter of that name{near}\n"
            f"it has {', '.join(parts(names))}; {HEAD} and {BACKBONE} are its last layer and the rest"
        )
    return found


def heads_of(model: nn.Module, num_classes: int) -> tuple[str, ...]:
    """Return the names of the modules that are a model's head; empty where they can't be determined.

    A detector, which has several layers that give classes, names them in its attribute ``head_modules``.
    """
    named: tuple[str, ...] = getattr(model, "head_modules", ())
    last = head_of(model, num_classes)
    return named or (() if last is None else (last,))


def head_of(model: nn.Module, num_classes: int) -> str | None:
    """Return the name of the layer that gives the classes: the last Linear, or convolution, of so many."""
    linear = [n for n, m in model.named_modules() if getattr(m, "out_features", None) == num_classes]
    convolutions = [n for n, m in model.named_modules() if getattr(m, "out_channels", None) == num_classes]
    return next(reversed(linear or convolutions), None)


def is_inside(name: str, module: str) -> bool:
    """Return whether a parameter is one of a module's; the model itself is ``""``."""
    return not module or name.startswith(f"{module}.")


def names_of(model: nn.Module) -> list[str]:
    """Return the names of all parameters and buffers."""
    return [name for name, _ in (*model.named_parameters(), *model.named_buffers())]


def parts(names: list[str]) -> list[str]:
    """Return the parts of a model, as one would name them: below a single module that holds all, its own."""
    split = [name.split(".") for name in names]
    while split and len({path[0] for path in split}) == 1 and min(map(len, split)) > 2:
        split = [path[1:] for path in split]
    return list(dict.fromkeys(path[0] for path in split))


def words(names: list[str]) -> set[str]:
    """Return every part of a name between dots, and every name of a module."""
    found: set[str] = set()
    for name in names:
        path = name.split(".")
        found.update(word for word in path if not word.isdigit())
        found.update(".".join(path[:end]) for end in range(1, len(path) + 1))
    return found
