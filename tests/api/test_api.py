"""The commands as functions: the same runs and messages, and the process as it was."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Command

import cnntrain as package
from cnntrain.api.words import text_of

OVERRIDES = [*TINY, "precision=fp32", "threads=1", "verbose=0"]


def weights(folder: Path | str) -> dict[str, Any]:
    return torch.load(Path(folder) / "checkpoints/best.pt", weights_only=True)["model"]  # type: ignore[no-any-return]


def test_importing_the_package_imports_nothing_else() -> None:
    heavy = ("torch", "hydra", "rich")
    code = f"import cnntrain, sys; dir(cnntrain); print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert {"train", "resume", "evaluate", "load", "errors", "CnntrainError"} <= set(dir(package))


def test_using_it_for_the_first_time_draws_no_random_numbers() -> None:
    code = "import random; random.seed(1); before = random.getstate(); import cnntrain.api; "
    code += "assert random.getstate() == before"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_trains_the_weights_of_the_command_twice_in_one_process_and_in_a_thread(cnntrain: Command) -> None:
    assert cnntrain("train", *OVERRIDES, "out=typed", "optim.lr=0.01").code == 0
    package.train(OVERRIDES, out=Path("called"), optim__lr=0.01)
    thread = threading.Thread(target=lambda: package.train(OVERRIDES, out="thread", optim__lr=0.01))
    thread.start()
    thread.join()
    expected = weights("typed")
    for folder in ("called", "thread"):
        assert all(torch.equal(expected[name], value) for name, value in weights(folder).items())


def test_a_run_can_be_evaluated_used_and_trained_longer() -> None:
    run = package.train(OVERRIDES, out="a")
    assert run.folder == Path("a").absolute() and len(run.history) == 1
    assert [type(run.history[0][name]) for name in ("epoch", "step")] == [int, int]
    assert "101,770" in repr(run) and "101,770" in run._repr_html_()
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    assert torch.equal(run.model.predict(images.numpy()), run.model.predict(images))
    for wrong, told in (
        (images.float(), "not float32 of 2x1x28x28"),
        (images[0], "not uint8 of"),
        ("a.png", "not str"),
    ):
        with pytest.raises(package.CnntrainError, match=told):
            run.model.predict(wrong)
    result = package.evaluate(run, split="val")
    assert result.accuracy == pytest.approx(run.history[0]["val_accuracy"], abs=1e-5)
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    assert torch.equal(run.model.predict(images), package.load("a", device="cpu").predict(images))
    assert package.resume(run, epochs=2).summary["epochs"] == 2
    assert package.resume(run).summary["epochs"] == 2


def environment() -> dict[str, str]:
    """Return the environment without what torch's compiler adds when it is imported."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TORCHINDUCTOR")}


def test_the_process_is_left_as_it_was() -> None:
    def state() -> list[Any]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        generators = [random.getstate(), torch.get_rng_state().tolist()]
        torch_state = [torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()]
        log = [logging.root.level, logging.root.handlers.copy()]
        here = [sys.path.copy(), sys.argv, Path.cwd()]
        return [handlers, generators, torch_state, log, here, environment()]

    before = state()
    package.train(OVERRIDES, deterministic=True)
    assert state() == before


@pytest.mark.parametrize(
    ("overrides", "keys", "part"),
    [
        ([], {"model": "mpl"}, "did you mean model=mlp"),
        ([], {"epochs": -1}, "epochs=-1 is not possible"),
        ([], {"optim": {"lr": 1}}, "optim__lr"),
        ([], {"epochs": object()}, "epochs takes text, numbers"),
        (["optim.lr=0.1,0.2"], {}, "call train once for each"),
        ([], {"seeds": 2}, "call train once"),
        (["-m"], {}, "call train once"),
        ("epochs=1", {}, "list of texts"),
    ],
)
def test_a_mistake_is_raised_before_anything_is_made(overrides: Any, keys: dict[str, Any], part: str) -> None:
    with pytest.raises(package.CnntrainError, match=part):
        package.train(overrides, **keys)
    assert not Path("outputs").exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1e-5, "1e-05"),
        ("mlp", "mlp"),
        ("null", "'null'"),
        ("a,b", "'a,b'"),
        ([1, "x y"], "[1,'x y']"),
        ({"head": 10}, "{head:10}"),
        (torch.tensor(3), "3"),
    ],
)
def test_python_values_mean_themselves(value: Any, text: str) -> None:
    assert text_of(value) == text


SLOW = """
import signal
from torch import nn
class Net(nn.Linear):
    steps = 0
    def __init__(self, in_features, num_classes):
        super().__init__(in_features, num_classes)
    def forward(self, x):
        Net.steps += self.training
        if Net.steps == 5:
            signal.raise_signal(signal.SIGINT)
        return super().forward(x.flatten(1))
"""


def test_ctrl_c_writes_the_checkpoint_and_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("slow_net.py").write_text(SLOW)
    before = signal.getsignal(signal.SIGINT)
    words = [word for word in OVERRIDES if word != "model=mlp"]
    with pytest.raises(KeyboardInterrupt):
        package.train(words, model___target_="slow_net.Net", out="a", epochs=3)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("fails", [False, True])
def test_no_worker_outlives_a_run(fails: bool) -> None:
    gc.disable()  # which frees what is left in cycles, at some time
    try:
        if fails:
            Path("failing_net.py").write_text(SLOW.replace("signal.raise_signal(signal.SIGINT)", "1 / 0"))
            words = [word for word in OVERRIDES if word != "model=mlp"]
            with pytest.raises(package.CnntrainError):
                package.train(words, model___target_="failing_net.Net", out="a", workers=2)
        else:
            package.train(OVERRIDES, out="a", workers=2)
        assert multiprocessing.active_children() == []
    finally:
        gc.enable()


def test_the_figures_of_another_task_are_shown_too() -> None:
    run = package.train(OVERRIDES, out="a")
    other = type(run)(run.folder, {**run.summary, "test": {"mae": 0.25, "loss": 0.5, "examples": 3}})  # type: ignore[typeddict-item]
    assert "test mae: 0.25, test loss: 0.5," in repr(other) and "examples" not in repr(other)
