"""The notebook of the course runs from top to bottom; both languages have its code, without outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs/course/notebook.ipynb"
FRENCH = NOTEBOOK.with_name("notebook.fr.ipynb")


def code_of(notebook: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]


def test_the_french_notebook_has_the_same_code() -> None:
    assert code_of(FRENCH) == code_of(NOTEBOOK)
    kinds = [
        [cell["cell_type"] for cell in json.loads(one.read_text())["cells"]] for one in (FRENCH, NOTEBOOK)
    ]
    assert kinds[0] == kinds[1]


@pytest.mark.slow
def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names: dict[str, Any] = {}
    for number, cell in enumerate(code_of(NOTEBOOK), 1):
        assert cell["outputs"] == [] and cell["execution_count"] is None
        exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    assert names["longer"].summary["epochs"] == 5
    assert names["probabilities"].shape == (10, 10)
    assert names["run"].summary["test"]["accuracy"] > 0.8
    printed = capsys.readouterr().out
    assert "did you mean optim.lr" in printed
    assert [value.grad for value in names["by_values"]] == pytest.approx(
        [t.grad.item() for t in names["by_torch"]]
    )
    assert max(names["with_zero_grad"][-10:]) < 1 < min(names["without"][-10:])
    assert "676 -> 169" in printed and "CNN: " in printed
