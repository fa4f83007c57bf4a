"""The tests mirror the package, and the package has room to find something in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cnntrain

TESTS = Path(__file__).parent
PACKAGE = Path(cnntrain.__file__).parent
KNOW_THE_CONFIGURATION = ("run", "config", "cli")  # packages; what is below takes plain arguments


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


def is_configuration(node: ast.expr) -> bool:
    """Return whether an expression is a configuration by its name: config, job.settings, state["config"]."""
    if isinstance(node, ast.Subscript):
        name = getattr(node.slice, "value", "")
    else:
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return name in ("config", "cfg", "settings")


def indexed_by(tree: ast.AST) -> list[int]:
    """Return the lines that read a key of a configuration: ``config["epochs"]``, ``config.get("epochs")``."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and is_configuration(node.value):
            lines.append(node.lineno)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            reads = node.func.attr in ("get", "pop", "setdefault", "__getitem__")
            lines += [node.lineno] if reads and is_configuration(node.func.value) else []
    return lines


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("config['epochs']", True),
        ("run.config[key]['lr']", True),
        ("cfg.get('epochs', 1)", True),
        ("state['config']['epochs']", True),
        ("EndSettings.from_config(state['config'])", False),
        ("settings['epochs']", True),
        ("job.settings.get('epochs')", True),
        ("settings.epochs", False),
        ("parts.settings.optim.get('lr')", False),
        ("config.of('epochs')", False),
        ("{**config, 'epochs': 1}", False),
    ],
)
def test_the_check_sees_what_reads_a_key(code: str, reads: bool) -> None:
    assert bool(indexed_by(ast.parse(code))) is reads


def test_only_run_config_and_cli_index_the_configuration() -> None:
    """Everything else works without one: it takes plain arguments, or typed parts of config/sections."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE)
        if module.parts[0] not in KNOW_THE_CONFIGURATION and (
            lines := indexed_by(ast.parse(path.read_text()))
        ):
            found[module.as_posix()] = lines
    assert found == {}, "take plain arguments, or a section of config/sections"


def test_the_score_of_classification_is_named_where_classes_are_learnt_alone() -> None:
    """Elsewhere stands a score of the task. Explanations of classifiers, and what users type, may name it."""
    may = ("tasks/", "explain/topics/", "explain/table.py", "config/keys.py", "config/mistakes/synonyms.py")
    modules = (path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
    others = [module for module in modules if not module.startswith(may)]
    assert [module for module in others if "accuracy" in (PACKAGE / module).read_text().lower()] == []
