"""Imports that wait: names imported when they are asked for, packages that only some of the work needs.

No torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from cnntrain.errors import UserError


def lazily(
    package: str, modules: Mapping[str, str], *others: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return a package's ``__getattr__`` and ``__dir__`` (PEP 562): what needs no torch imports it too.

    Args:
        package: its ``__name__``.
        modules: the module below the package that each name comes from.
        others: the names that it has besides.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return get, lambda: sorted({*modules, *others})


def needed(package: str, wanted_by: str = "", extra: str = "") -> None:
    """Raise a UserError that says how to install a package if it is missing.

    Args:
        package: its name.
        wanted_by: the override that needs it, as typed.
        extra: the extra of cnntrain that installs it, if that has another name.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:  # a mere folder of that name, such as wandb makes
        what = wanted_by or f"launcher={package}"
        raise UserError(
            f"{what} needs {package}, which is not installed: {install_command(extra or package)}"
        )


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra, from wherever it is typed.

    cnntrain itself is on no package index, so that ``pip install 'cnntrain[extra]'`` finds nothing.
    """
    import re
    import shlex
    from importlib import metadata

    wanted = re.compile(rf"([^;]+);.*\bextra\s*==\s*['\"]{re.escape(extra)}['\"]")
    try:
        requirements = metadata.requires("cnntrain") or []
    except metadata.PackageNotFoundError:  # a clone that is not installed
        requirements = []
    packages = [found[1].strip() for found in map(wanted.match, requirements) if found]
    return f"pip install {shlex.join(packages or [extra])}"
