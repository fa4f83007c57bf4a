"""Packages that only some of the work needs, and how to install them. No torch."""

from __future__ import annotations

import re
import shlex
from importlib import metadata
from importlib.util import find_spec

from cnntrain.errors import UserError


def needed(package: str, wanted_by: str = "", extra: str = "") -> None:
    """Raise a UserError that says how to install a package if it is missing.

    Args:
        package: its name.
        wanted_by: what the user typed.
        extra: that brings it, if that has another name.
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
    wanted = re.compile(rf"([^;]+);.*\bextra\s*==\s*['\"]{re.escape(extra)}['\"]")
    try:
        requirements = metadata.requires("cnntrain") or []
    except metadata.PackageNotFoundError:  # a clone that is not installed
        requirements = []
    packages = [found[1].strip() for found in map(wanted.match, requirements) if found]
    return f"pip install {shlex.join(packages or [extra])}"
