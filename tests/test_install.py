"""cnntrain finds conf/ however it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from conftest import TINY

CHECKOUT = Path(__file__).parent.parent


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", *arguments, "--quiet", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*command, "--disable-pip-version-check", "--no-index"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, since a build writes into its folder."""
    copy = tmp_path_factory.mktemp("source") / "cnntrain"
    shutil.copytree(
        CHECKOUT,
        copy,
        ignore=shutil.ignore_patterns(".git", ".venv", "outputs", "build", "*.egg-info", "__pycache__"),
    )
    return copy


def test_every_package_is_in_the_wheel() -> None:
    named = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {path.parent for path in (CHECKOUT / "cnntrain").rglob("__init__.py")}
    # which hold no code of ours
    of_data = {"cnntrain.conf", "cnntrain.data.mnist_mini", "cnntrain.demo.onnxruntime_web"}
    assert set(named) == of_data | {".".join(path.relative_to(CHECKOUT).parts) for path in there}


def train(python: list[str], path: Path | None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    command = [*python, "-m", "cnntrain", "train", *TINY, "optim=rmsprop", "schedule=step"]
    return subprocess.run(command, capture_output=True, text=True, env=env)


@pytest.mark.slow
def test_from_a_wheel_in_an_empty_folder(source: Path, tmp_path: Path) -> None:
    pip("wheel", str(source), "--wheel-dir", str(tmp_path / "wheels"))
    (wheel,) = (tmp_path / "wheels").glob("*.whl")
    pip("install", str(wheel), "--no-compile", "--target", str(tmp_path / "site"))
    assert (tmp_path / "site" / "cnntrain" / "conf" / "train.yaml").exists()
    with zipfile.ZipFile(wheel) as packed:
        sizes = {part.filename: part.compress_size for part in packed.infolist()}
    runtime = sum(size for name, size in sizes.items() if "/onnxruntime_web/" in name)
    assert runtime < 4_000_000  # 3.7 MB that run networks in a browser
    # 1 MB of digits, 1 MB of code and its translations: no tests, no data sets
    assert wheel.stat().st_size - runtime < 2_500_000
    assert not [name for name in sizes if "test" in Path(name).parts[0]]

    done = train([sys.executable], tmp_path / "site")

    assert done.returncode == 0, done.stderr
    where = subprocess.run(
        [sys.executable, "-c", "import cnntrain.config.compose as c; print(c.conf_folder())"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
    )
    assert where.stdout.strip() == str(tmp_path / "site" / "cnntrain" / "conf")


@pytest.mark.slow
def test_from_an_editable_install_with_a_new_yaml_file(source: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    site = next((environment / "lib").glob("python*/site-packages"))
    # The environment borrows the packages of this one, and takes cnntrain from the editable install alone.
    pip("install", "--editable", str(source), "--prefix", str(environment), "--ignore-installed")
    borrowed = [p for p in sys.path if p.endswith("site-packages")]
    (site / "zz_borrowed.pth").write_text("\n".join(borrowed) + "\n")
    (source / "conf" / "optim" / "nadam.yaml").write_text("_target_: torch.optim.NAdam\nlr: 1e-3\n")
    python = str(environment / "bin" / "python")

    done = subprocess.run(
        [python, "-m", "cnntrain", "train", "--cfg", "job", "optim=nadam"], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "torch.optim.NAdam" in done.stdout
