"""The tests mirror the package."""

from __future__ import annotations

from pathlib import Path

import cnntrain

TESTS = Path(__file__).parent
PACKAGE = Path(cnntrain.__file__).parent


def test_each_folder_of_tests_is_named_like_the_package_that_it_tests() -> None:
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    missing = [folder for folder in folders if not (PACKAGE / folder / "__init__.py").exists()]
    assert not missing, f"tests/ has folders that cnntrain/ lacks: {', '.join(map(str, missing))}"
