"""The small parts of a page. All text that comes in is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def section(identity: str, title: str, *content: str) -> str:
    """Return a section with its heading; nothing if it has no content."""
    inside = "\n".join(filter(None, content))
    return f'<section id="{identity}"><h2>{escape(title)}</h2>\n{inside}\n</section>' if inside else ""


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(text)}</p>"


def panels(figures: Iterable[str]) -> str:
    """Return figures, as SVG, side by side where there is room."""
    inside = "".join(f'<div class="figure">{figure}</div>' for figure in figures)
    return f'<div class="panels">{inside}</div>' if inside else ""


def tile(index: int, columns: int, alternative: str) -> str:
    """Return an image of the page's sprite."""
    place = f"--x:{index % columns};--y:{index // columns}"
    return f'<span class="tile" role="img" aria-label="{escape(alternative)}" style="{place}"></span>'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1, sorts: bool = False) -> str:
    """Return a table.

    Args:
        headings: the headings of the columns.
        rows: their cells.
        words: columns that hold words; the others hold numbers, and stand to the right.
        sorts: whether a heading sorts.
    """
    head = "".join(
        f'<th scope="col"{number(column, words)}>{button(text) if sorts else escape(text)}</th>'
        for column, text in enumerate(headings)
    )
    body = "\n".join(
        "<tr>" + "".join(f"<td{number(column, words)}{sort_key(text)}>{escape(text)}</td>"
                         for column, text in enumerate(row)) + "</tr>"
        for row in rows
    )  # fmt: skip
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def number(column: int, words: int) -> str:
    """Return the class of a cell that holds a number."""
    return ' class="number"' if column >= words else ""


def sort_key(text: str) -> str:
    """Return the sort key of a cell whose number has a form that a program does not read."""
    plain = text.replace(",", "").removesuffix("%").strip()
    return f' data-value="{plain}"' if plain != text and plain.replace(".", "", 1).isdigit() else ""


def button(text: str) -> str:
    """Return a button."""
    return f"<button>{escape(text)}</button>"


def facts(pairs: Mapping[str, str]) -> str:
    """Return names and values, as a table without headings."""
    rows = (
        f'<tr><th scope="row">{escape(name)}</th><td class="long">{escape(value)}</td></tr>'
        for name, value in pairs.items()
        if value
    )
    return f"<table><tbody>{''.join(rows)}</tbody></table>"
