"""What the tests share: the command, in this process or in one of its own, in an empty folder."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# Tiny models gain nothing from threads, and two test workers would fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from omegaconf import DictConfig

from cnntrain.annotations.boxes.inventory import box_inventory
from cnntrain.annotations.inventory import annotated_inventory
from cnntrain.cli import main
from cnntrain.compute import autotune
from cnntrain.config import hydra_errors
from cnntrain.config.compose import compose
from cnntrain.config.conf_files import conf_folder, conf_folders
from cnntrain.image_folder.inventory import inventory

# Enough to learn something, little enough to take a fraction of a second.
TINY = ("limit=200", "epochs=1", "model=mlp", "report=false")
DATA_ROOT = os.environ.get("CNNTRAIN_DATA_ROOT", "")  # for the tests on the complete MNIST alone


@dataclass
class Outcome:
    """What a command left behind: its exit code and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the slow tests, as ``-m`` would, unless they are wanted."""
    if not config.getoption("--slow"):
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if not config.getoption("--slow"):
        terminalreporter.line("without the slow tests: scripts/test --slow runs them too")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tests keep their cache and the user's key to themselves, and share them."""
    os.environ["CNNTRAIN_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in an empty folder, without the user's own data or settings."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("CNNTRAIN_DATA_ROOT", raising=False)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    inventory.cache_clear()  # which a process keeps for the folder that it was started in
    annotated_inventory.cache_clear()
    box_inventory.cache_clear()
    return folder


@pytest.fixture(autouse=True)
def untimed_engines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the plain engine, which is never too slow, where the choice of one is not the subject."""
    if "compute" not in request.path.parts:
        monkeypatch.setattr(autotune, "measured", lambda *arguments: (arguments[-1], 1.0))


@pytest.fixture
def cnntrain(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], in_empty_folder: Path
) -> Iterator[Command]:
    """Run ``cnntrain ARGUMENTS`` in this process, which saves the seconds that importing torch takes."""
    monkeypatch.setattr(sys, "path", sys.path.copy())  # to which the command adds the current folder
    before = set(sys.modules)

    def command(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["cnntrain", *arguments])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main.main()
        captured = capfd.readouterr()
        return Outcome(int(end.value.code or 0), captured.out, captured.err)

    yield command
    # A later test may write a module of the same name.
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(in_empty_folder)):
            del sys.modules[name]


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, but not drawn, which takes most of the time of a report."""
    drawn = (
        ("agg.FigureCanvasAgg.print_png", b"\x89PNG\r\n"),
        ("svg.FigureCanvasSVG.print_svg", "<svg></svg>"),
    )
    for name, content in drawn:
        target = f"matplotlib.backends.backend_{name}"
        monkeypatch.setattr(target, lambda _, file, content=content, **options: file.write(content))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny run, to be copied before it is changed."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["cnntrain", "train", *TINY, "-q", "out=run"])
        with pytest.raises(SystemExit, match="0"):
            main.main()
    return folder / "run"


@pytest.fixture
def run(trained: Path, in_empty_folder: Path) -> Path:
    """Return a copy of a tiny run's folder, in the current folder."""
    return Path(shutil.copytree(trained, "run"))


@pytest.fixture
def torchless(cnntrain: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command in this process, where whoever imports torch fails."""
    for module in ("torch", "cnntrain.run", "cnntrain.models.summary"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(hydra_errors, "compose", composed_once)
    return cnntrain


def composed_once(choices: Sequence[str], config_dir: str | None, with_hydra: bool) -> DictConfig:
    """Compose what explains a mistake; cnntrain's own defaults, which many share, once for all tests."""
    is_own = conf_folders(config_dir) == [conf_folder()]
    return (composed_of_own if is_own else compose)(tuple(choices), config_dir, with_hydra=with_hydra)


composed_of_own = functools.cache(compose)


@pytest.fixture
def process() -> Command:
    """Run ``cnntrain ARGUMENTS`` as a process of its own."""

    def command(*arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "cnntrain", *arguments],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return command


def run_folders() -> list[Path]:
    """Return the run folders that ``train`` made in the current folder, oldest first."""
    return sorted(Path("outputs/train").glob("*"))


def full_mnist() -> Path:
    """Return the folder of the complete MNIST, or skip the test, saying what it needs."""
    candidates = [DATA_ROOT, str(Path(__file__).parents[2] / "shared" / "data")]
    for root in candidates:
        if root and (Path(root) / "MNIST" / "raw").is_dir():
            return Path(root)
    pytest.skip("needs the complete MNIST: set CNNTRAIN_DATA_ROOT to its folder")


def is_told(outcome: Outcome, *parts: str) -> None:
    """Assert that a command ended with one or two clear lines, which hold all the parts, and with code 2."""
    assert outcome.err.startswith("cnntrain: ") or "\ncnntrain: " in outcome.err, outcome
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.err
    message = outcome.err[outcome.err.index("cnntrain: ") :]
    assert len(message.splitlines()) <= 2, message
    for part in parts:
        assert part in message, f"{part!r} is not in {message!r}"
