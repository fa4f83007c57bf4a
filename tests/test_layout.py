"""The tests mirror the package, and the package has room to find something in it."""

from __future__ import annotations

from pathlib import Path

import cnntrain

TESTS = Path(__file__).parent
PACKAGE = Path(cnntrain.__file__).parent


def test_each_folder_of_tests_is_named_like_the_package_that_it_tests() -> None:
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    missing = [folder for folder in folders if not (PACKAGE / folder / "__init__.py").exists()]
    assert not missing, f"tests/ has folders that cnntrain/ lacks: {', '.join(map(str, missing))}"


def test_a_package_has_at_most_twelve_modules_and_the_root_six() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    sizes = {
        folder.name: len([f for f in folder.glob("*.py") if f.name != "__init__.py"]) for folder in folders
    }
    sizes[PACKAGE.name] += 1  # its __init__.py holds the public names
    assert sizes[PACKAGE.name] <= 6
    assert {name: size for name, size in sizes.items() if size > 12} == {}
