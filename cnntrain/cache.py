"""The user's cache folder: what can be made again, kept so that the next run need not make it.

Nothing in it is needed, and nothing in it is trusted: whoever reads a file checks it and makes it anew.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO


def folder() -> Path:
    """Return ``$CNNTRAIN_CACHE``, or the folder ``cnntrain`` where the system keeps its users' caches."""
    own = os.environ.get("CNNTRAIN_CACHE")
    if own:
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cnntrain"


def write(path: Path, save: Callable[[IO[bytes]], object], replace: bool = True) -> None:
    """Let ``save`` write a file of the cache, which takes its name once it is whole.

    A cache that can't be written, on a full disk or in a read-only home, is done without.

    Args:
        path: a file in the cache folder.
        save: is given the open file.
        replace: take the place of a file that is there already, rather than leave it.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".tmp", delete=False) as file:
            temporary = Path(file.name)
            save(file)
        if replace:
            temporary.replace(path)
        else:  # a rename would replace what another process has put there since; a link does not
            os.link(temporary, path)
    except OSError:
        pass
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
