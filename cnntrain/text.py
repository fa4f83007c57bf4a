"""Text for people: names and contents of unknown origin, made safe to print, and values as they are typed."""

from __future__ import annotations

import codecs
import hashlib
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cnntrain.language.translation import tr, tr_count

JOIN = "\u00a0"  # a blank at which no line is cut; it reaches the screen as a blank
KEPT = ("\n", JOIN)  # of our own prose; in a name they are escaped
LONGEST = 200  # characters of a value that a message shows
NAMED = 8  # names that a message lists
READABLE = "cnntrain.readable"  # name of the handler, for ``errors=``, of characters that an encoding lacks
PLAIN = {"×": "x", "–": "-", "—": "-", "→": ">", "−": "-", "·": ".", "…": ".", "│": "|", "─": "-", "≥": ">="}


def printable(text: object, longest: int = LONGEST) -> str:
    r"""Return text as one line without control characters, cut to a length.

    What a terminal would obey (ESC, newline, carriage return, and the other control and format characters)
    and bytes that are not UTF-8 become escapes such as ``\x1b``; everything printable stays, in any script.

    Args:
        text: anything; its ``str`` is shown.
        longest: characters to show; what is left out is replaced by ``...``.
    """
    whole = str(text)
    shown = whole if len(whole) <= longest else f"{whole[: longest - 3]}..."
    return "".join(char if char.isprintable() else escaped(char) for char in shown)


def escaped(char: str) -> str:
    r"""Return a character as Python writes it; a surrogate that stands for a byte as that byte: ``\xe9``."""
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a file name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")


def format_loss(loss: float) -> str:
    """Return a loss with four decimals or, from 1,000 on, three digits: columns stay columns."""
    return f"{loss:.4f}" if abs(loss) < 1e3 else f"{loss:.2e}"


def some(names: Iterable[object]) -> str:
    """Return the first few names, printable, and ``...`` if there are more."""
    listed = list(names)
    return ", ".join(map(printable, listed[:NAMED])) + (", ..." if len(listed) > NAMED else "")


def together(names: Iterable[object]) -> str:
    """Return ``a``, ``a and b`` or ``a, b and c``."""
    *before, last = map(str, names)
    return tr("{several} and {last}", several=", ".join(before), last=last) if before else last


def without_controls(text: str) -> str:
    """Return lines of text with control characters as escapes, except for newlines and :data:`JOIN`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in KEPT else escaped(char) for char in text)


def encoded(text: str) -> bytes:
    r"""Return text as UTF-8; bytes of a file name that are not UTF-8 become escapes such as ``\xe9``."""
    return text.encode("utf-8", READABLE)


def readable(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that an encoding lacks: by some that look alike, else by an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(c) or escaped(c) for c in error.object[error.start : error.end]), error.end


codecs.register_error(READABLE, readable)


# A command in a message is the end of a line, after a colon or by itself.
COMMAND = re.compile(r"(?:^|: )\s*(cnntrain [a-z]|python |pip |tensorboard |mlflow |wandb )")


def folded(line: str, width: int, hang: int = 2) -> list[tuple[int, int]]:
    """Return where a line is to be cut, between words, to fit a terminal; a command stays whole.

    A command is the end of a line, after a colon: ``to go on: cnntrain resume RUN``. It gets a line of its
    own where it does not fit, and may then be longer than the terminal is wide, so that it can be copied.
    Words that belong together are joined by :data:`JOIN`.

    Args:
        line: without a newline.
        width: columns of the terminal.
        hang: indent, in columns, of all lines but the first.

    Returns:
        Begin and end of each piece, without the blanks between them.
    """
    command = COMMAND.search(line)
    prose = len(line) if command is None else command.start(1)
    pieces: list[tuple[int, int]] = []
    begin = end = 0
    for word in re.finditer(r"[^ ]+", line[:prose]):
        limit = width if not pieces else width - hang
        if end > begin and columns(line[begin : word.end()]) > limit:
            pieces.append((begin, end))
            begin = word.start()
        end = word.end()
    if command is not None:
        whole = columns(line[begin:])
        if end > begin and whole > (width - hang if pieces else width):
            pieces.append((begin, end))
            begin = prose
        end = len(line)
    return [*pieces, (begin, end)]


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes; scripts of East Asia take two a character."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in text)


def network_name(model: Mapping[str, Any], kind: str) -> str:
    """Return the name of a network, such as ``resnet18``.

    Args:
        model: the group ``model`` of the configuration; those of torchvision and timm name a network.
        kind: the class of the model, for those that do not.
    """
    name = model.get("name")
    return printable(name, 60) if isinstance(name, str) and name else kind


def shown(value: Any) -> str:
    """Return a value as it would be typed."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, list | tuple):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{shown(item)}" for name, item in value.items()) + "}"
    return str(value)


def brief(value: Any) -> str:
    """Return a value as it would be typed; of a long one, such as a vocabulary, the beginning and a hash."""
    text = shown(value)
    if len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[: LONGEST // 2]}... ({len(text):,} characters, {digest[:8]})"


def expanded(path: str | Path) -> Path:
    """Return a path in which a leading ``~`` is home; as it is where that names nobody, as a file may do."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def shown_path(path: str | Path) -> str:
    """Return a path as it is shown everywhere: relative to the current folder if it lies below that."""
    path = Path(path)
    try:
        here = Path.cwd()
        return str(path.relative_to(here)) if path.is_absolute() and path != here else str(path)
    except (OSError, ValueError):  # elsewhere, or the current folder was removed
        return str(path)


def shown_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of classes as one may print and draw them."""
    return tuple(map(printable, names))


def argument(path: str | Path) -> str:
    """Return a path as a word of a command that can be copied: ``$'...'`` if it is not printable."""
    text = shown_path(path)
    if text.isprintable():
        return shlex.quote(text)
    quoted = text.replace("\\", r"\\").replace("'", r"\'")
    return f"$'{printable(quoted, longest=len(quoted))}'"


def is_there(name: str) -> bool:
    """Return whether there is a file or folder of a name, which may be one that none can have."""
    try:
        return Path(name).exists()
    except (OSError, ValueError):
        return False


def points(difference: float) -> str:
    """Return a difference of two shares, such as accuracies, in words: ``3 points``."""
    number = round(100 * abs(difference))
    return tr_count(number, "{number} point", "{number} points")
