"""Text of unknown origin is printed as one harmless line."""

from __future__ import annotations

import pytest

from cnntrain.text import printable, together


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("été 数 😀", "été 数 😀"),
        ("\x1b]0;owned\x07\x1b[2J", r"\x1b]0;owned\x07\x1b[2J"),
        ("one\ntwo\r\t", r"one\ntwo\r\t"),
        ("caf\udce9", r"caf\xe9"),
        ("half of a pair \ud800", r"half of a pair \ud800"),
        ("no break\u00a0here", r"no break\xa0here"),
        ("right to left \u202e", r"right to left \u202e"),
        (1.5, "1.5"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_escapes(text: object, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_is_cut() -> None:
    assert printable("x" * 100_000) == "x" * 197 + "..."
    assert printable("x" * 9, longest=8) == "xxxxx..."


@pytest.mark.parametrize(
    ("names", "text"),
    [(["dice"], "dice"), (["a", "b"], "a and b"), (("loss", "mIoU", "Dice"), "loss, mIoU and Dice")],
)
def test_names_are_told_as_in_a_sentence(names: list[str], text: str) -> None:
    assert together(names) == text
