"""docs/promises.md names tests that exist, and SECURITY.md and README lead there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`((?:\w+/)*test_\w+\.py)::(test_\w+)`")


def missing(text: str) -> list[str]:
    """Return the tests that a text names and that do not exist."""
    found = []
    for file, name in NAMED.findall(text):
        path = ROOT / "tests" / file
        if not path.exists() or f"\ndef {name}(" not in path.read_text():
            found.append(f"{file}::{name}")
    return found


def test_every_promise_names_a_test_that_exists() -> None:
    text = (ROOT / "docs/promises.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    promises = [row for row in rows if row != "| promise | test |"]
    assert len(promises) >= 40
    assert all(len(NAMED.findall(row)) == 1 for row in promises)
    assert not missing(text)


def test_a_test_that_is_gone_is_seen() -> None:
    assert missing("`test_promises.py::test_a_test_that_is_gone_is_seen` `test_promises.py::test_none`") == [
        "test_promises.py::test_none"
    ]
    assert missing("`test_no_such_file.py::test_x`") == ["test_no_such_file.py::test_x"]


def test_the_readme_leads_to_both_pages() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "](SECURITY.md)" in readme and "](docs/promises.md)" in readme
    assert "](docs/promises.md)" in (ROOT / "SECURITY.md").read_text()
