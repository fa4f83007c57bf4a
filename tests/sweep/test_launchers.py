"""Every launcher leaves what the local one leaves."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY, Command, is_told

from cnntrain.cli import main
from cnntrain.errors import UserError
from cnntrain.runtime.imports import needed

GRID = ("train", "-m", *TINY, "precision=fp32", "threads=1", "optim.lr=1e-2,1e9", "optim=sgd")
LAUNCHERS = {
    "joblib": ["launcher=joblib", "launcher.n_jobs=2"],
    "submitit": ["launcher=submitit", "launcher.cluster=local", "launcher.cpus=1"],
    "ray": ["launcher=ray"],
}
# The processes of these engines take seconds to start.
STARTED = [
    pytest.param(name, marks=pytest.mark.slow if name in ("submitit", "ray") else ()) for name in LAUNCHERS
]


def ranking(folder: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((folder / "sweep.csv").open()))
    for row in rows:
        row.pop("seconds")
        row["reason"] = row["reason"].replace(f"{folder.absolute().parent}/", "").replace(folder.name, "")
    return rows


def layout(folder: Path) -> set[str]:
    """The files of a sweep, but for the engine's own."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in paths if not path.parts[0].startswith(".")}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what the local launcher leaves: one of the jobs diverges."""
    folder = tmp_path_factory.mktemp("local")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["cnntrain", *GRID, "out=local"])
        with pytest.raises(SystemExit, match="1"):
            main.main()
    return folder / "local"


@pytest.mark.parametrize("name", STARTED)
def test_it_leaves_what_the_local_one_leaves(
    cnntrain: Command, process: Command, local: Path, name: str
) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"needs {name}")
    # Ray changes the handlers of signals, and joblib's jobs are to come of a fork server of the sweep's own.
    run = cnntrain if name == "submitit" else process
    outcome = run(*GRID, *LAUNCHERS[name], "out=other")
    assert outcome.code == 1, outcome.err
    assert "Traceback" not in outcome.err
    assert "(optim.lr=1000000000.0) failed: " in outcome.err
    assert layout(Path("other")) - {"x/.lock"} == layout(local)
    assert ranking(Path("other")) == ranking(local)
    assert "2 of 2" in outcome.out + outcome.err


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_missing_engine_is_told_before_anything_runs(
    cnntrain: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    is_told(cnntrain(*GRID, f"launcher={name}", "out=sweep"), f"pip install '{name}>=")
    assert not Path("sweep").exists()


def test_a_folder_of_its_name_is_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("engine_of_mine").mkdir()  # as wandb makes one
    monkeypatch.syspath_prepend(str(Path.cwd()))
    with pytest.raises(UserError, match=r"needs engine_of_mine, which is not installed"):
        needed("engine_of_mine")


@pytest.mark.slow
def test_a_users_module_named_like_one_of_pythons_shadows_nothing_in_a_job(tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    for name in ("random", "torch", "numpy", "queue", "string", "signal"):
        Path(f"{name}.py").write_text(f"raise RuntimeError('the {name} of the user')\n")
    Path("mine.py").write_text(
        "from cnntrain.models import MLP\n\n\nclass Net(MLP):\n"
        "    def __init__(self, in_features, num_classes):\n"
        "        super().__init__(in_features, [8], num_classes)\n"
    )
    command = tmp_path / "command.py"  # as an installed one, it is not in the current folder
    command.write_text("from cnntrain.__main__ import main\n\nif __name__ == '__main__':\n    main()\n")
    typed = [*TINY, "model._target_=mine.Net", "seed=1,2", "launcher=joblib", "out=sweep"]
    typed.remove("model=mlp")
    done = subprocess.run([sys.executable, command, "train", "-m", *typed], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
