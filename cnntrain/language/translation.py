"""Words in the language of the user: English as it stands in the code, or its translation in a catalogue.

A catalogue is a file of GNU gettext: ``fr/explain.po`` is edited, ``scripts/translations`` compiles it to
``fr/explain.mo``, and that is read. What lacks a translation stays English.

Numbers are written alike in every language, 1,000.5: they stand beside code, commands and what torch
prints, such as ``lr=0.1`` and ``tensor([0.5])``, which have a decimal point everywhere.
"""

from __future__ import annotations

import gettext
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "fr")  # the first is that of the code
FOLDER = Path(__file__).parent
spoken: ContextVar[str] = ContextVar("spoken", default=LANGUAGES[0])


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Let all that is said meanwhile be said in one of :data:`LANGUAGES`."""
    before = spoken.set(language)
    try:
        yield
    finally:
        spoken.reset(before)


def tr(message: str, /, **values: object) -> str:
    """Return a message in the language that is spoken, with values in its places.

    Args:
        message: the message in English, a literal, so that it is found in the code: ``"{number} images"``.
        values: the values of its places, which are written as in ``str.format``. Without any, braces stay as
            they are.
    """
    said = catalogue(spoken.get()).gettext(message)
    return said.format(**values) if values else said


def tr_count(number: int, one: str, many: str, /, **values: object) -> str:
    """Return a message about a number of things, in the plural that the language has for it.

    Args:
        number: the number of things, which stands in the place ``{number}``.
        one: the message in English for one thing, a literal.
        many: the same for any other number.
        values: the values of its other places.
    """
    said = catalogue(spoken.get()).ngettext(one, many, number)
    return said.format(number=number, **values)


def later(message: str, /) -> str:
    """Return a message as it is: marked in a constant, to be translated by ``tr`` when it is said."""
    return message


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """Return all catalogues of a language as one."""
    whole = gettext.NullTranslations()
    for path in sorted((FOLDER / language).glob("*.mo"), reverse=True):
        with path.open("rb") as file:
            part = gettext.GNUTranslations(file)
        part.add_fallback(whole)
        whole = part
    return whole
