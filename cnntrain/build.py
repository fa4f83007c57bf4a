"""From a choice in the configuration, ``_target_`` and arguments, to the object.

What the user types or keeps in ``conf/`` is the user's code and may name any class. A configuration that
comes out of a checkpoint is data: it may name classes of ours, of torch.nn, torch.optim and torchvision, by
exact name and of the kind that is wanted, or of a package that the user trusts. Nothing else is called.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from cnntrain.errors import CheckpointError, UserError, did_you_mean

# Modules whose classes a checkpoint may name, as module.Class and no deeper.
SAFE_MODULES = (
    "cnntrain.models",
    "cnntrain.optim",
    "cnntrain.data.sources",
    "cnntrain.data.augment",
    "torch.nn",
    "torch.optim",
    "torch.optim.lr_scheduler",
)
# Functions of this module build models; its other names are not for checkpoints.
SAFE_MODEL_FUNCTIONS = "torchvision.models"


def build(key: str, node: Mapping[str, Any], kind: type, trust: Sequence[str] | None = None, **known: Any) -> Any:
    """Build what a node of the configuration names.

    Args:
        key: where the node stands, for messages.
        node: ``_target_`` and arguments, as plain types.
        kind: class of which the result must be an instance.
        trust: packages that a checkpoint's configuration may name; None for what the user typed.
        known: what only the run knows. Each is passed on if the class has an argument of that name which the
            node leaves open.

    Raises:
        UserError: there is no such class, it is of another kind, or its arguments do not fit.
        CheckpointError: the configuration is not the user's and names what it may not.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    for target in targets(node):
        check_trusted(key, target, kind if target == node["_target_"] else object, trust)
    factory = locate(key, str(node["_target_"]))
    arguments = {name: value for name, value in node.items() if name != "_target_"}
    signature = inspect.signature(factory)
    names = {p.name for p in signature.parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for name in arguments:
        if name not in names and not open_ended and not name.startswith("_"):
            raise UserError(f"{key}.{name}: {factory.__name__} has no such argument{did_you_mean(name, names)}")
    # torchvision's models take num_classes through **kwargs.
    wanted = names | ({"num_classes"} if open_ended else set())
    runtime = {name: value for name, value in known.items() if name in wanted and name not in arguments}
    missing = [
        p.name
        for p in signature.parameters.values()
        if p.default is p.empty and p.name in names and p.name not in arguments and p.name not in runtime
    ]
    if missing and "_args_" not in arguments:
        raise UserError(f"{key}: {factory.__name__} needs {', '.join(missing)}: give it as {key}.{missing[0]}=VALUE")
    try:
        result = instantiate(dict(node), _partial_=True, _convert_="all")(**runtime)
    except UserError:
        raise
    except InstantiationException as error:
        raise UserError(f"{key}: {error.__cause__ or error}") from error
    except (TypeError, ValueError, AttributeError, RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"{key}: {factory.__name__} can't be built: {error}") from error
    if not isinstance(result, kind):
        raise UserError(f"{key}._target_={node['_target_']} gives a {type(result).__name__}, not a {kind.__name__}")
    return result


def targets(node: Any) -> list[str]:
    """Return every ``_target_`` in a node, at any depth."""
    if isinstance(node, Mapping):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [target for value in node.values() for target in targets(value)]
    if isinstance(node, list | tuple):
        return [target for item in node for target in targets(item)]
    return []


def check_trusted(key: str, target: str, kind: type, trust: Sequence[str] | None) -> None:
    """Raise a CheckpointError unless a checkpoint may name ``target``; ``trust=None`` lets everything pass."""
    if trust is None or target.partition(".")[0] in trust:
        return
    module_name, _, name = target.rpartition(".")
    if module_name in SAFE_MODULES:
        found = vars(importlib.import_module(module_name)).get(name)
        if inspect.isclass(found) and issubclass(found, kind):
            return
    if module_name == SAFE_MODEL_FUNCTIONS:
        models = importlib.import_module(module_name)
        if name in models.list_models(module=models):
            return
    raise CheckpointError(
        f"the checkpoint's configuration names {key}._target_={target}, which is not of cnntrain or torch\n"
        f"if you know this checkpoint and trust its code: trust=[{target.partition('.')[0]}]"
    )


def locate(key: str, target: str) -> Any:
    """Import the class or function that a ``_target_`` names."""
    module_name, _, name = target.rpartition(".")
    if not module_name:
        raise UserError(f"{key}._target_={target} names no module: write package.module.{target}")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UserError(
            f"{key}._target_={target}: {module_name} can't be imported ({error}); "
            "it must be installed or lie in the current folder"
        ) from error
    if not callable(getattr(module, name, None)):
        raise UserError(f"{key}._target_={target}: {module_name} has no {name}{did_you_mean(name, dir(module))}")
    return getattr(module, name)
