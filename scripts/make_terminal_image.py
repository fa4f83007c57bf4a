"""Draw the terminal image of the README: run a command in a terminal and save what it shows as SVG.

python scripts/make_terminal_image.py docs/run.svg cnntrain train model=cnn optim=adam augment=digits
"""

from __future__ import annotations

import inspect
import io
import os
import pty
import re
import shlex
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 104


def run_in_terminal(command: list[str]) -> str:
    """Run a command in a pseudo-terminal and return all that it wrote, colours included."""
    os.environ.update(COLUMNS=str(WIDTH), TERM="xterm-256color")
    chunks: list[bytes] = []

    def read(descriptor: int) -> bytes:
        chunks.append(os.read(descriptor, 4096))
        return chunks[-1]

    pty.spawn(command, read)
    return b"".join(chunks).decode()


def last_state(line: str) -> str:
    """Return what a line shows in the end, of what was written over it by carriage returns."""
    return line.rstrip("\r").rpartition("\r")[2]


def own_format() -> str:
    """Return rich's format without the fonts that it fetches: each line says how wide it is, in any font."""
    format_of_rich = inspect.signature(Console.export_svg).parameters["code_format"].default
    without_fonts = re.sub(r"@font-face \{\{.*?\}\}\n", "", format_of_rich, flags=re.DOTALL)
    return without_fonts.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")


def main(target: Path, command: list[str]) -> None:
    """Write the image."""
    lines = [last_state(line) for line in run_in_terminal(command).split("\n")]
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(f"[bold green]$[/] {shlex.join(command)}", highlight=False)
    console.print(Text.from_ansi("\n".join(lines).rstrip()), highlight=False)
    target.write_text(console.export_svg(title="cnntrain", code_format=own_format()))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
