"""Private names of libraries: only torch has any that cnntrain needs, and they stand in one module.

A private name may be gone with the next release. The first test says which name an upgrade of torch took.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils import flop_counter
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

import cnntrain

PACKAGE = Path(cnntrain.__file__).parent
HOME = PACKAGE / "runtime" / "torch_private.py"
PUBLIC = {"os._exit", "_replace", "_asdict", "_fields"}  # documented, in spite of their first letter
# Attributes that cnntrain sets and reads: on a tensor, and on a Value, as the course names it.
OURS = {"_cnntrain_field", "_backward"}
ACCESS = {"getattr", "setattr", "hasattr", "delattr"}
MODULE = re.compile(r"(torch|torchvision|hydra|omegaconf|optuna|rich|matplotlib|numpy)(\.\w+)*\.(_[a-z]\w*)")


def stepped() -> Optimizer:
    """Return an optimizer that a schedule watches, after a step."""
    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    LambdaLR(optimizer, lambda step: 1.0)
    optimizer.step()
    return optimizer


def wrappers(function: Any) -> list[str]:
    """Return the names of the functions that wrap one another, the outermost first."""
    names = []
    while function is not None:
        names.append(function.__code__.co_name)
        function = getattr(function, "__wrapped__", None)
    return names


def is_wrapped(function: Any) -> bool:
    """Return whether torch has wrapped a function in what keeps its compiler away."""
    return inspect.unwrap(function) is not function


# For each private name in torch_private.py: whether the installed torch has it, and means by it what it did.
IS_THERE: dict[str, Callable[[], bool]] = {
    "_get_default_store": lambda: callable(distributed.distributed_c10d._get_default_store),
    "_opt_called": lambda: getattr(stepped(), "_opt_called", False) is True,
    "_iterator": lambda: DataLoader([0], num_workers=1, persistent_workers=True)._iterator is None,
    "_shutdown_workers": lambda: callable(_MultiProcessingDataLoaderIter._shutdown_workers),
    # Of a class that no other test has stepped: cnntrain takes the wrapper off those that it trains with.
    "_use_grad": lambda: "_use_grad" in wrappers(torch.optim.Rprop.step),
    "_dynamo": lambda: "torch._dynamo" in inspect.getsource(DistributedDataParallel.__init__),
    "_inside_ddp_forward": lambda: is_wrapped(DistributedDataParallel._inside_ddp_forward),
    "_FlopCounterMode": lambda: is_wrapped(flop_counter._FlopCounterMode.__torch_dispatch__),
    "_config": lambda: hasattr(importlib.import_module("torch.fx.experimental._config"), "patch"),
    "_patches": lambda: callable(
        importlib.import_module("torch.export._patches").register_lstm_while_loop_decomposition
    ),
    "_dispatch_cache": lambda: isinstance(torch.ops.aten.lstm.input._dispatch_cache, dict),
    "__dynamo_disable": lambda: "__dynamo_disable" in inspect.getsource(torch._disable_dynamo),
}


@pytest.mark.parametrize("name", IS_THERE)
def test_the_installed_torch_has_each_private_name_that_cnntrain_uses(name: str) -> None:
    try:
        found = IS_THERE[name]()
    except AttributeError:
        found = False
    assert found, f"torch {torch.__version__} has no {name} as cnntrain/runtime/torch_private.py uses it"


def test_each_private_name_of_torch_is_looked_for() -> None:
    used = {name.rpartition(".")[2] for name, _ in private_names(ast.parse(HOME.read_text()))}
    assert used == set(IS_THERE)


def test_no_other_module_uses_a_private_name_of_a_library() -> None:
    paths = [path for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.jinja")] if path != HOME]
    found = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: {name}"
        for path in paths
        for name, line in names_in(path)
        if name.rpartition(".")[2] not in OURS
    ]
    assert not found, "take a public name, or move it to runtime/torch_private.py:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "from hydra._internal.utils import run",
        "from torch import _dynamo",
        "import optuna._hypervolume",
        "torch._foreach_add_(a, b)",
        "study._storage.get_trial(1)",
        "getattr(optimizer, '_opt_called')",
        "'torch._inductor' in sys.modules",
        "vars(torch)['_dynamo'] = None",
        "code.co_name == '_use_grad'",
        "class Schedule(LambdaLR):\n    def go(self):\n        self._last_lr = []",
    ],
)
def test_the_search_finds_a_private_name_however_it_is_used(line: str) -> None:
    assert list(private_names(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        "os._exit(1)",
        "point._replace(x=1)",
        "node['_target_']",
        "class Own:\n    def go(self):\n        self._x = 1",
    ],
)
def test_the_search_leaves_public_and_own_names_alone(line: str) -> None:
    assert not list(private_names(ast.parse(line)))


def names_in(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the private names in a module or in a template of one, with their lines."""
    if path.suffix == ".py":
        yield from private_names(ast.parse(path.read_text()))
    else:
        yield from ((found[0], 0) for found in MODULE.finditer(path.read_text()))


def private_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield each private name of a library that code uses, and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            above = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            dotted = (".".join([*above, alias.name]) for alias in node.names)
            yield from ((name, node.lineno) for name in dotted if any(map(is_private, name.split("."))))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            name = ast.unparse(node)
            if not PUBLIC & {name, node.attr} and not name.startswith(("self.", "cls.")):
                yield name, node.lineno
        elif isinstance(node, ast.ClassDef) and node.bases:
            yield from inherited(node)
        yield from ((name, node.lineno) for name in quoted(node))


def inherited(node: ast.ClassDef) -> Iterator[tuple[str, int]]:
    """Yield the private attributes of itself that a class uses and does not define: those of its base."""
    own = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
    for part in ast.walk(node):
        is_own_attribute = isinstance(part, ast.Attribute) and ast.unparse(part.value) in ("self", "cls")
        if is_own_attribute and is_private(part.attr) and part.attr not in own | PUBLIC:
            yield part.attr, part.lineno


def quoted(node: ast.AST) -> Iterator[str]:
    """Yield the private names in strings: of modules, of attributes that are asked for, of code objects."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and MODULE.fullmatch(node.value):
        yield node.value
    parts: list[ast.expr] = []
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ACCESS:
        parts = node.args[1:2]
    elif isinstance(node, ast.Call) and ast.unparse(node.func).startswith("vars("):
        parts = node.args[:1]
    elif isinstance(node, ast.Subscript) and ast.unparse(node.value).startswith("vars("):
        parts = [node.slice]
    elif isinstance(node, ast.Compare) and ast.unparse(node.left).endswith("co_name"):
        parts = node.comparators
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from [part.value] if is_private(part.value) else []


def is_private(name: str) -> bool:
    """Return whether a name is private by its first letter, which ``__name__`` is not."""
    return len(name) > 1 and name.startswith("_") and not name.endswith("__")
