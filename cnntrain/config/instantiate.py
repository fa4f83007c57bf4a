"""From a choice in the configuration, ``_target_`` and arguments, to the object.

What the user types or keeps in ``conf/`` is the user's code and may name any class. A configuration that
comes out of a checkpoint is data: it may name classes of ours, of torch.nn, torch.optim and torchvision, by
exact name and of the kind that is wanted, or of a package that the user trusts. Nothing else is called.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from cnntrain.errors import CheckpointError, UserError, describe_error, did_you_mean
from cnntrain.sequences.source import Source
from cnntrain.text import printable

# Modules whose classes a checkpoint may name, as module.Class and no deeper.
SAFE_MODULES = (
    "cnntrain.tasks",
    "cnntrain.tasks.detection.losses",
    "cnntrain.tasks.segmentation.losses",
    "cnntrain.models",
    "cnntrain.optim",
    "cnntrain.data.sources",
    "cnntrain.sequences",
    "cnntrain.data.augment",
    "cnntrain.loggers",
    "torch.nn",
    "torch.optim",
    "torch.optim.lr_scheduler",
)
# Functions of this module build models; its other names are not for checkpoints.
SAFE_MODEL_FUNCTIONS = "torchvision.models"


def build(
    key: str, node: Mapping[str, Any], kind: type, trust: Sequence[str] | None = None, **known: Any
) -> Any:
    """Build what a node of the configuration names.

    Args:
        key: where the node stands, for messages.
        node: ``_target_`` and arguments, as plain types.
        kind: class that the result must be an instance of.
        trust: packages that a checkpoint's configuration may name; None for what the user typed.
        known: what only the run knows. Each is passed on if the class has an argument of that name which the
            node leaves open.

    Raises:
        UserError: there is no such class, it is of another kind, or its arguments do not fit.
        CheckpointError: the configuration is not the user's and names what it may not.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    check_trusted(key, node, kind, trust)
    factory = locate(key, str(node["_target_"]))
    if inspect.isclass(factory) and not issubclass(factory, kind):
        raise UserError(f"{key}._target_={node['_target_']} is not a {describe_kind(kind)}")
    runtime = runtime_arguments(key, node, factory, known)
    try:
        result = instantiate(dict(node), _partial_=True, _convert_="all")(**runtime)
    except UserError:
        raise
    except InstantiationException as error:
        raise UserError(f"{key}: {describe_error(error.__cause__ or error)}") from error
    except Exception as error:  # whatever a class of the user's or of torch's may raise
        raise UserError(f"{key}: {factory.__name__} can't be built: {describe_error(error)}") from error
    if not isinstance(result, kind):
        raise UserError(
            f"{key}._target_={node['_target_']} gives {type(result).__name__}, not a {describe_kind(kind)}"
        )
    return result


def build_source(data: Mapping[str, Any], trust: Sequence[str] | None, **known: Any) -> Any:
    """Build the source of sequences that the group ``data`` names: one of ours, or any of the user's."""
    check_trusted("data.source", data["source"], Source, trust)
    root = {"root": data["root"]} if data.get("root") else {}
    return build("data.source", data["source"], object, None, **root, **known)


def describe_kind(kind: type) -> str:
    """Return a class in words: ``torch Module``."""
    return f"{kind.__module__.partition('.')[0]} {kind.__name__}"


def runtime_arguments(
    key: str, node: Mapping[str, Any], factory: Any, known: Mapping[str, Any]
) -> dict[str, Any]:
    """Check a node's arguments against the signature, and return those of the run's that it leaves open."""
    parameters = signature(key, factory).parameters.values()
    names = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in node:
        if name not in names and not takes_any and not name.startswith("_"):
            near = (
                did_you_mean(name, names - known.keys())
                or f": remove it, with ~{key}.{name} if it is a default"
            )
            raise UserError(f"{key}.{name}: {factory.__name__} has no such argument{near}")
    # torchvision's functions take num_classes through **kwargs.
    wanted = names | ({"num_classes"} if takes_any and not inspect.isclass(factory) else set())
    runtime = {name: value for name, value in known.items() if name in wanted and name not in node}
    required = {p.name for p in parameters if p.default is p.empty and p.name in names}
    missing = sorted(required - node.keys() - runtime.keys())
    if missing and "_args_" not in node:
        raise UserError(
            f"{key}: {factory.__name__} needs {', '.join(missing)}: give it as {key}.{missing[0]}=VALUE"
        )
    return runtime


def signature(key: str, factory: Any) -> inspect.Signature:
    """Return the arguments that a class or function takes."""
    nn = sys.modules.get("torch.nn")  # a network's class has imported it
    if nn is not None and getattr(factory, "__init__", None) is nn.Module.__init__:  # takes what it refuses
        return inspect.Signature()
    try:
        return inspect.signature(factory)
    except (ValueError, TypeError) as error:
        raise UserError(f"{key}: {factory.__name__} does not say which arguments it takes") from error


def targets(node: Any) -> list[str]:
    """Return every ``_target_`` in a node, at any depth."""
    if isinstance(node, Mapping):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [target for value in node.values() for target in targets(value)]
    if isinstance(node, list | tuple):
        return [target for item in node for target in targets(item)]
    return []


def has_positional(node: Any) -> bool:
    """Return whether a node holds arguments without names, at any depth."""
    if isinstance(node, Mapping):
        return "_args_" in node or any(map(has_positional, node.values()))
    return isinstance(node, list | tuple) and any(map(has_positional, node))


def untrusted_error(target: str, key: str) -> CheckpointError:
    """Return the error of a checkpoint that names a class which it may not."""
    return CheckpointError(
        f"refusing to import {printable(target, 100)}, named in a saved configuration under "
        f"{key}{advice(target)}"
    )


def check_trusted(key: str, node: Mapping[str, Any], kind: type, trust: Sequence[str] | None) -> None:
    """Raise a CheckpointError if a checkpoint may not name what a node names, at any depth."""
    if trust is None:
        return
    from torch import nn

    own, *nested = targets(node)
    kinds = [(own, kind), *((target, nn.Module) for target in nested)]
    for target, wanted in kinds:
        if not is_trusted(target, trust) and not is_safe(target, wanted):
            raise untrusted_error(target, key)


def is_safe(target: str, kind: type) -> bool:
    """Return whether anybody's checkpoint may name a class: one of ours or torch's, and of the right kind."""
    module_name, _, name = target.rpartition(".")
    if module_name in SAFE_MODULES:
        found = getattr(importlib.import_module(module_name), name, None)
        return inspect.isclass(found) and issubclass(found, kind)
    if module_name == SAFE_MODEL_FUNCTIONS:
        models = importlib.import_module(module_name)
        return name in models.list_models(module=models)
    return False


def is_own_class(target: str) -> bool:
    """Return whether a class lies where a checkpoint may name one. Whether it fits is seen later."""
    return target.rpartition(".")[0] in (*SAFE_MODULES, SAFE_MODEL_FUNCTIONS)


def is_trusted(target: str, trust: Sequence[str]) -> bool:
    """Return whether a class belongs to a package that the user trusts."""
    return any(f"{target}.".startswith(f"{package}.") for package in trust)


def advice(target: str) -> str:
    """Return what to do about a class that a checkpoint may not name; nothing makes ``os.system`` right."""
    package = target.partition(".")[0]
    if package in (*sys.stdlib_module_names, "torch", "torchvision", "hydra", "numpy", "cnntrain"):
        return "\nno run of cnntrain's names it: do not use this file"
    return f"; allow with trust=[{printable(package, 100)}] if you know that code"


def locate(key: str, target: str) -> Any:
    """Import the class or function that a ``_target_`` names."""
    module_name, _, name = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever a module of the user's may raise
        hint = "; it must be installed or lie in the current folder" if isinstance(error, ImportError) else ""
        raise UserError(
            f"{key}._target_={target}: {module_name} can't be imported: {describe_error(error)}{hint}"
        ) from error
    if not hasattr(module, name):
        public = [other for other in dir(module) if not other.startswith("_")]
        raise UserError(f"{key}._target_={target}: {module_name} has no {name}{did_you_mean(name, public)}")
    found = getattr(module, name)
    if not callable(found):
        raise UserError(
            f"{key}._target_={target} is neither a class nor a function, but {type(found).__name__}"
        )
    return found
