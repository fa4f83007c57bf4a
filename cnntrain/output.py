"""Files that the user has named on the command line, ``-`` for standard output."""

from __future__ import annotations

import sys

from cnntrain.checkpoint import write_atomically
from cnntrain.console import Console
from cnntrain.errors import UserError
from cnntrain.run_folder import typed_path
from cnntrain.text import encoded

STDOUT = "-"


def screen_beside(*names: str | None, verbose: int = 1) -> Console:
    """Return a console for what is told beside files of these names: silent if one is standard output.

    Raises:
        UserError: a folder is named.
    """
    for name in names:
        if name is not None and typed_path(name).is_dir():
            raise UserError(f"{name} can't be written: it is a folder, name a file")
    return Console(0 if STDOUT in names else verbose)


def write(name: str, text: str, console: Console) -> None:
    """Write a file that the user has named, and say so; or write to standard output.

    Raises:
        UserError: it can't be written.
    """
    if name == STDOUT:
        sys.stdout.write(text)
        return
    try:
        write_atomically(typed_path(name), encoded(text))
    except OSError as error:
        raise UserError(f"{name} can't be written: {error.strerror or error}") from error
    console.line("[dim]written to {}[/]", name)
