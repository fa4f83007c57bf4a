"""Commands in README.md and docs/ with the outputs that they are shown with, and lines of source.

A page marks what is checked; the marks are seen neither on GitHub nor on the site:

    <!-- output near=0.05 any=seconds -->   the ```text block that follows is the output of the last command
                                            above it. Numbers may differ by ``near`` of their size; those of
                                            lines in which ``any``, a regular expression, is found are those
                                            of one machine. A line … stands for lines that are left out.
    <!-- source: cnntrain/loop.py -->       the block that follows is from that file.

tests/test_docs.py checks both. ``python scripts/docs_outputs.py [PAGE ...]`` runs the commands again
and writes what they print now, and their figures, into the pages.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OUTPUT = re.compile(r"<!-- output((?: \w+=\S+)*) -->\n+\Z")
SOURCE = re.compile(r"<!-- source: (\S+) -->\n+\Z")
PICTURE = re.compile(r"!\[[^\]]*\]\((images/(\w+)(?:-(\w+))?(?:\.fr)?\.png)\)")  # TOPIC or TOPIC-FILE
DATE = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d")
NUMBER = re.compile(r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
LEFT_OUT = "…"
WIDTH = 1200  # of a picture, at most
COLOURS = (256, 128, 64, 32)
PICTURE_BYTES = 60_000


@dataclass(frozen=True)
class Output:
    """What a page shows of a command's output.

    Args:
        page: its file.
        command: what is typed.
        text: what is shown.
        start: where the text begins in the page.
        near: by what share of its size a number may differ.
        any: found in lines whose numbers may be anything; "": in none.
    """

    page: Path
    command: str
    text: str
    start: int
    near: float = 0.0
    any: str = ""


@dataclass(frozen=True)
class Token:
    """A word of an output: its letters, with # for each number, and its numbers."""

    letters: str
    numbers: tuple[float, ...] = field(compare=False)
    line: int = field(compare=False)
    is_free: bool = field(compare=False)  # whether its numbers may be anything


def pages() -> list[Path]:
    """Return README.md and the pages of docs/."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[tuple[str, str, int, str]]:
    """Yield the blocks of code of a page: language, text, where that begins, and the page before it."""
    text = page.read_text()
    for found in FENCE.finditer(text):
        yield found[1], found[2], found.start(2), text[: found.start()]


def commands(page: Path) -> list[str]:
    """Return the commands in the blocks for the shell, without their comments."""
    lines = (line for language, text, *_ in blocks(page) if language == "sh" for line in text.splitlines())
    return [line.partition(" # ")[0].strip() for line in lines if line.startswith("cnntrain ")]


def outputs(page: Path) -> list[Output]:
    """Return the outputs that a page shows and that are checked."""
    found, command = [], ""
    for language, text, start, before in blocks(page):
        typed = [line for line in text.splitlines() if line.startswith("cnntrain ")]
        if language == "sh" and typed:
            command = typed[-1].partition(" # ")[0].strip()
        mark = OUTPUT.search(before)
        if mark:
            options = dict(option.split("=", 1) for option in mark[1].split())
            near, free = float(options.pop("near", 0)), options.pop("any", "")
            if not command or options:
                raise ValueError(f"{page}: {mark[0].strip()}: no command above it, or an unknown option")
            found.append(Output(page, command, text, start, near, free))
    return found


def sources(page: Path) -> list[tuple[str, str]]:
    """Return the files that a page quotes, each with the lines."""
    marked = ((SOURCE.search(before), text) for _, text, _, before in blocks(page))
    return [(mark[1], text) for mark, text in marked if mark]


def quoted(file: str, lines: str) -> bool:
    """Return whether a file has these lines one after another, further to the right perhaps."""
    wanted, there = lines.splitlines(), (ROOT / file).read_text().splitlines()
    for first in range(len(there) - len(wanted) + 1):
        piece = there[first : first + len(wanted)]
        indent = len(piece[0]) - len(piece[0].lstrip()) - (len(wanted[0]) - len(wanted[0].lstrip()))
        if all(line[max(0, indent) :] == want for line, want in zip(piece, wanted, strict=True)):
            return True
    return False


def tokens(text: str, free: str = "") -> list[Token]:
    """Return the words of an output, however they are spaced and broken into lines."""
    found = []
    for number, line in enumerate(text.splitlines()):
        is_free = bool(free) and re.search(free, line) is not None
        for word in DATE.sub("DATE", line).split():
            values = tuple(float(value.replace(",", "").replace("−", "-")) for value in NUMBER.findall(word))
            found.append(Token(NUMBER.sub("#", word), values, number, is_free))
    return found


def agree(shown: Token, printed: Token, near: float) -> bool:
    """Return whether two words are the same, but for numbers that may differ."""
    if shown.letters != printed.letters:
        return False
    pairs = zip(shown.numbers, printed.numbers, strict=True)
    return shown.is_free or near == math.inf or all(abs(a - b) <= near * abs(a) + 1e-12 for a, b in pairs)


def chunks(output: Output) -> list[str]:
    """Return the parts of an output that is shown, between the lines that are left out."""
    parts = re.split(rf"^{LEFT_OUT}$", output.text, flags=re.MULTILINE)
    return [part.strip("\n") for part in parts if part.strip()]


def place(
    chunk: str, printed: list[Token], output: Output, start: int, near: float
) -> tuple[int, int] | None:
    """Return the range of printed words that a chunk shows, from a start onwards; None if there is none."""
    wanted = tokens(chunk, output.any)
    for first in range(start, len(printed) - len(wanted) + 1):
        piece = printed[first : first + len(wanted)]
        if all(agree(want, word, near) for want, word in zip(wanted, piece, strict=True)):
            return first, first + len(wanted)
    return None


def difference(output: Output, printed: str) -> str:
    """Return the chunk that a command does not print any more; "" if all is as it is shown."""
    words, end = tokens(printed), 0
    for chunk in chunks(output):
        found = place(chunk, words, output, end, output.near)
        if found is None:
            return chunk
        end = found[1]
    return ""


def renewed(output: Output, printed: str) -> str:
    """Return the text that a page shows with the numbers that are printed now.

    Raises:
        ValueError: the words have changed, so that nobody knows which lines are meant.
    """
    words, end, text = tokens(printed), 0, output.text
    lines = [line.rstrip() for line in printed.splitlines()]
    if LEFT_OUT not in output.text.splitlines():
        return "\n".join(lines).strip("\n") + "\n"
    for chunk in chunks(output):
        found = place(chunk, words, output, end, math.inf)
        if found is None:
            raise ValueError(f"{output.page}: edit by hand what `{output.command}` does not print:\n{chunk}")
        end = found[1]
        text = text.replace(chunk, "\n".join(lines[words[found[0]].line : words[end - 1].line + 1]), 1)
    return text


def run(command: str, folder: Path) -> str:
    """Run a command in a folder, and return what it prints."""
    words = [sys.executable, "-m", *shlex.split(command)]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder, env=env).stdout


def update(page: Path, ran: Callable[[str], tuple[str, Path]]) -> None:
    """Write what the commands print now, and the figures that they drew, into a page.

    Args:
        page: its file.
        ran: runs a command, and returns what it prints and the folder that it ran in.
    """
    text = page.read_text()
    for output in reversed(outputs(page)):
        end = output.start + len(output.text)
        text = text[: output.start] + renewed(output, ran(output.command)[0]) + text[end:]
    page.write_text(text)
    for name, topic, file in PICTURE.findall(text):
        drawing = next(c for c in commands(page) if c.startswith(f"cnntrain explain {topic}"))
        drawn = (ran(drawing)[1] / "outputs/explain").glob(f"*/{file or topic}.png")
        shrink(next(drawn), page.parent / name)


def shrink(drawn: Path, picture: Path) -> None:
    """Save a figure no wider than a page, with fewer colours where it has too many bytes."""
    from PIL import Image

    image = Image.open(drawn).convert("RGB")
    width = min(WIDTH, image.width)
    # Means of pixels keep areas of one colour, which take few bytes.
    image = image.resize((width, round(image.height * width / image.width)), Image.Resampling.BOX)
    picture.parent.mkdir(exist_ok=True)
    for colours in COLOURS:
        image.quantize(colours, dither=Image.Dither.NONE).save(picture, optimize=True)
        if picture.stat().st_size < PICTURE_BYTES:
            return
    raise ValueError(f"{picture} has {picture.stat().st_size:,} bytes with {colours} colours")


def main(arguments: Sequence[str]) -> None:
    """Update pages; all that show outputs, if none is named."""
    known: dict[str, tuple[str, Path]] = {}
    with tempfile.TemporaryDirectory() as name:

        def ran(command: str) -> tuple[str, Path]:
            if command not in known:
                print(command, flush=True)
                folder = Path(name) / str(len(known))
                folder.mkdir()
                known[command] = run(command, folder), folder
            return known[command]

        for page in map(Path, arguments) if arguments else pages():
            update(page.resolve(), ran)


if __name__ == "__main__":
    main(sys.argv[1:])
