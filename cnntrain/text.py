"""Text of unknown origin, made safe to print: names of files and classes, contents of checkpoints."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 200  # characters of a value that a message shows
NAMED = 8  # names that a message lists


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


def loss_in_words(loss: float) -> str:
    """Return a loss with four decimals or, from 10,000 on, three digits: columns stay columns."""
    return f"{loss:.4f}" if abs(loss) < 1e4 else f"{loss:.2e}"


def some(names: Iterable[object]) -> str:
    """Return the first few names, printable, and ``...`` if there are more."""
    listed = list(names)
    return ", ".join(map(printable, listed[:NAMED])) + (", ..." if len(listed) > NAMED else "")
