"""What a function needs to stand in a file of its own: functions and classes, found in its code."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from types import FunctionType
from typing import Any

OWN = "cnntrain."


def with_called(part: Any) -> list[Any]:
    """Return the functions and classes of this package that one of them uses, directly or not, and it itself.

    Each comes after those that it uses. Otherwise they keep the order of their modules, and these come
    behind the modules that they import from.
    """
    uses: dict[Any, set[Any]] = {}
    waiting = [part]
    while waiting:
        one = waiting.pop()
        uses[one] = used_by(one)
        waiting += uses[one] - uses.keys()

    def depth(module: str) -> int:
        others = {u.__module__ for one in uses if one.__module__ == module for u in uses[one]} - {module}
        return 1 + max(map(depth, others), default=0)

    places = {one: (depth(one.__module__), one.__module__, inspect.getsourcelines(one)[1]) for one in uses}
    ordered: dict[Any, None] = {}
    while len(ordered) < len(uses):
        ready = [one for one in uses if one not in ordered and uses[one] <= ordered.keys()]
        ordered[min(ready, key=places.__getitem__)] = None
    return list(ordered)


def used_by(part: Any) -> set[Any]:
    """Return the functions and classes of this package that one of them names itself."""
    known = vars(sys.modules[part.__module__])
    values = [known.get(name) for name in names_in(ast.parse(textwrap.dedent(source(part))))]
    return {
        value
        for value in values
        if isinstance(value, FunctionType | type) and value.__module__.startswith(OWN) and value is not part
    }


def names_in(tree: ast.AST) -> set[str]:
    """Return the names that code uses and does not assign itself; also those in annotations."""
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    assigned = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - assigned


def imported(line: str) -> set[str]:
    """Return the names that an import statement binds: ``F`` for ``import torch.nn.functional as F``."""
    return {alias.asname or alias.name for node in ast.parse(line).body for alias in node.names}  # type: ignore[attr-defined]


def source(part: Any) -> str:
    """Return the text of a function or a class."""
    return inspect.getsource(part).rstrip()
