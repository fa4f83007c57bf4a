"""The confusion matrix as a table, whose cells open the images behind them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from html import escape

from torch import Tensor

MOST_CLASSES = 40  # that a table shows; of more, those with the most mistakes


def shown_classes(matrix: Tensor) -> list[int]:
    """Return the classes that the table shows."""
    if len(matrix) <= MOST_CLASSES:
        return list(range(len(matrix)))
    errors = matrix.sum(dim=0) + matrix.sum(dim=1) - 2 * matrix.diag()
    return sorted(errors.argsort(descending=True, stable=True)[:MOST_CLASSES].tolist())


def matrix_table(matrix: Tensor, names: Sequence[str], opening: Container[tuple[int, int]]) -> str:
    """Return the table.

    Args:
        matrix: int64 (classes, classes); row: true class, column: predicted class.
        names: the names of the classes.
        opening: the cells that have images to show.
    """
    classes = shown_classes(matrix)
    upright = ' class="upright"' if any(len(names[column]) > 3 for column in classes) else ""
    head = "".join(f'<th scope="col"{upright}><span>{escape(names[c])}</span></th>' for c in classes)
    rows = []
    for row in classes:
        cells = (cell(matrix, names, row, column, opening) for column in classes)
        rows.append(f'<tr><th scope="row">{escape(names[row])}</th>{"".join(cells)}</tr>')
    # Tab stops at the first cell; the arrow keys go on from there.
    body = "\n".join(rows).replace('tabindex="-1"', 'tabindex="0"', 1)
    corner = '<td class="corner">predicted →<br>true ↓</td>'
    return (
        f'<div id="matrix" class="scroll" tabindex="-1" style="--classes:{len(classes)}">'
        f"<table><thead><tr>{corner}{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table></div>"
    )


def cell(
    matrix: Tensor, names: Sequence[str], row: int, column: int, opening: Container[tuple[int, int]]
) -> str:
    """Return a cell: how many of a class are taken for another, darker for a larger share of the class."""
    number, total = int(matrix[row, column]), max(1, int(matrix[row].sum()))
    is_right = row == column
    share = number / total if is_right else (number / total) ** 0.5  # so that few are seen, too
    text = f"{number:,}" if number else ""
    if (row, column) in opening:
        what = names[row] if is_right else f"{names[row]}, taken for {names[column]}"
        text = (
            f'<button data-cell="{row},{column}" data-count="{number}" tabindex="-1" '
            f'aria-label="{escape(what)}: {number:,}">{text}</button>'
        )
    return f'<td{" class=right" if is_right else ""} style="--share:{share:.3f}">{text}</td>'
