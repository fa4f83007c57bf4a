"""The confusion matrix of pixels as a table: of each true class, the shares that are taken for each class."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from torch import Tensor

MOST_CLASSES = 40  # that a table shows; of more, those with the largest share of wrong pixels
LEAST = 0.0005  # share that is shown as a number


def shares_of(confusion: Tensor) -> Tensor:
    """Return the shares of each true class, float64 (classes, classes), of pixels, int64 likewise."""
    return confusion.double() / confusion.sum(dim=1, keepdim=True).clamp(min=1)


def shown_classes(confusion: Tensor) -> list[int]:
    """Return the classes that the table shows: those that have pixels or are predicted, the worst of many."""
    used = (confusion.sum(dim=0) + confusion.sum(dim=1) > 0).nonzero().flatten()
    errors = 1 - shares_of(confusion).diag()[used]
    order = errors.argsort(descending=True, stable=True)[:MOST_CLASSES]
    return sorted(used[order].tolist())


def matrix_table(confusion: Tensor, names: Sequence[str]) -> str:
    """Return the table.

    Args:
        confusion: pixels, int64 (classes, classes); row: true class, column: predicted class.
        names: the names of the classes.
    """
    classes, shares = shown_classes(confusion), shares_of(confusion)
    upright = ' class="upright"' if any(len(names[column]) > 3 for column in classes) else ""
    head = "".join(f'<th scope="col"{upright}><span>{escape(names[c])}</span></th>' for c in classes)
    rows = []
    for row in classes:
        cells = "".join(cell(float(shares[row, column]), row == column) for column in classes)
        rows.append(f'<tr><th scope="row">{escape(names[row])}</th>{cells}</tr>')
    corner = '<td class="corner">predicted →<br>true ↓</td>'
    body = "\n".join(rows)
    return (
        f'<div id="matrix" class="scroll" tabindex="0" style="--classes:{len(classes)}">'
        f"<table><thead><tr>{corner}{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
    )


def cell(share: float, is_right: bool) -> str:
    """Return a cell: the share in per cent, darker for a larger one."""
    dark = share if is_right else share**0.5  # so that few are seen, too
    text = "" if share < LEAST else f"{100 * share:.1f}"
    return f'<td{" class=right" if is_right else ""} style="--share:{dark:.3f}">{text}</td>'
